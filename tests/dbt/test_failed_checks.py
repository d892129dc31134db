"""A failed check says what it found, and comes when the last of its models has been built."""

import shutil
import time

import pytest

from regulars.errors import TransformFailed
from regulars.settings import Settings
from regulars.transform import runner
from regulars.transform.runner import Transformer
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


@pytest.fixture
def transformer(tmp_path, monkeypatch):
    project = tmp_path / "project"
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
        (project / folder).mkdir(parents=True, exist_ok=True)
        (project / folder / name).write_text(text)
    (project / "dbt_project.yml").write_text(PROJECT)
    shutil.copy(PROJECT_DIR / "profiles.yml", project)
    monkeypatch.setattr(runner, "_manifests", {})
    settings = Settings(data_dir=tmp_path, dbt_project_dir=project)
    settings.warehouse_path.parent.mkdir()
    return Transformer(settings, time.monotonic)


def test_a_failed_check_names_what_is_broken_once_all_its_models_are_there(transformer):
    first = transformer.build("first", ["tag:first"], set())
    assert [node.name for node in first.nodes] == ["early"]
    with pytest.raises(TransformFailed) as caught:
        transformer.build("second", ["tag:second"], set())
    said = "assert_keys_hold failed: early: item is missing (1); late: item is not unique (1)"
    assert said in str(caught.value)
    assert caught.value.where == "dbt second"
