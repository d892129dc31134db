"""A project of two models and a check, where the real one would say no more and take longer."""

import shutil
from pathlib import Path

from tests.dbt.project import PROJECT_DIR

PROJECT = """
name: regulars
version: "1.0"
config-version: 2
profile: regulars
flags: {send_anonymous_usage_stats: false}
models: {+materialized: table}
"""
CHECK = """
select 'late: item is not unique' as violation, count(*) as violation_count
from (select late.item from {{ ref('late') }} as late group by late.item having count(*) > 1)
having count(*) > 0
union all
select 'early: item is missing' as violation, count(*) as violation_count
from {{ ref('early') }} as early
where early.item is null
having count(*) > 0
"""


def write_project(directory: Path) -> Path:
    """Two models, the second built after the first, and a check of both."""
    for folder, name, text in (
        ("models", "early.sql", "{{ config(tags=['first']) }} select null::integer as item"),
        (
            "models",
            "late.sql",
            "{{ config(tags=['second']) }} "
            "select unnest([1, 2, 2, 2]) as item from {{ ref('early') }}",
        ),
        ("tests", "assert_keys_hold.sql", CHECK),
    ):
        (directory / folder).mkdir(parents=True, exist_ok=True)
        (directory / folder / name).write_text(text)
    (directory / "dbt_project.yml").write_text(PROJECT)
    shutil.copy(PROJECT_DIR / "profiles.yml", directory)
    return directory
