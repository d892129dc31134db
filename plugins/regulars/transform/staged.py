"""Which staging models there are: what dbt has to know before it has read them.

A platform joins the unions of the intermediate models by its folder alone. dbt renders a model
while its own graph is still empty, so the folders are listed here and handed over in an
environment variable, which dbt watches: a new folder makes it parse the unions anew.
"""

from pathlib import Path

STAGED_VARIABLE = "REGULARS_STAGED"
"""Read by ``dbt_project/macros/staged.sql``."""


def staged_models(project_dir: Path) -> str:
    """Every staging model's file, relative to the dbt project, in order and space-separated.

    The shell's ``echo models/staging/*/stg_*.sql`` in ``project_dir`` says the same.
    """
    found = project_dir.glob("models/staging/*/stg_*.sql")
    return " ".join(sorted(path.relative_to(project_dir).as_posix() for path in found))
