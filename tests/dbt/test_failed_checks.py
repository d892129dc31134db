"""A failed check says what it found, and comes when the last of its models has been built."""

import time

import pytest

from regulars.errors import TransformFailed
from regulars.settings import Settings
from regulars.transform import runner
from regulars.transform.runner import Transformer
from tests.dbt.small_project import write_project


@pytest.fixture
def transformer(tmp_path, monkeypatch):
    project = write_project(tmp_path / "project")
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
