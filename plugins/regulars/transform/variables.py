"""The dbt project's variables: what a model makes of them is part of what it is."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

_READ = re.compile(r"\bvar\(\s*['\"](\w+)['\"]")


def project_variables(project_dir: Path) -> dict[str, Any]:
    """``vars`` of ``dbt_project.yml`` in ``project_dir``; dbt has found the file fit to parse."""
    project = yaml.safe_load((project_dir / "dbt_project.yml").read_text(encoding="utf-8"))
    return dict(project.get("vars") or {})


def variables_read(code: Iterable[str], variables: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``variables`` that the given Jinja names, sorted.

    What no model reads is left out: a switch of the checks rebuilds nothing.
    """
    named = {name for text in code for name in _READ.findall(text)}
    return {name: variables[name] for name in sorted(named & set(variables))}
