"""What invocations of one process share, and what dbt must be like for it."""

import logging
import time

import pytest
from dbt.compilation import Linker
from dbt_common.events import base_types

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


def test_a_manifest_is_linked_once_and_selected_from_anew(transformer, monkeypatch):
    linked = []
    original = Linker.link_graph
    monkeypatch.setattr(
        Linker, "link_graph", lambda *args: (linked.append(args), original(*args))[1]
    )
    assert [node.name for node in transformer.build("one", ["early"], set()).nodes] == ["early"]
    assert [node.name for node in transformer.run("two", ["late"], set()).nodes] == ["late"]
    assert [node.name for node in transformer.build("one", ["early"], set()).nodes] == ["early"]
    # Once with what the checks hold back, once without: `run` knows no checks.
    assert len(linked) == 2


def test_no_message_is_made_of_a_debug_event(transformer, monkeypatch, tmp_path):
    transformer.build("one", ["early"], set())
    made = []
    original = base_types.msg_from_base_event

    def counted(event, level=None):
        made.append((level or event.level_tag()).value)
        return original(event, level)

    monkeypatch.setattr("dbt_common.events.event_manager.msg_from_base_event", counted)
    transformer.build("one", ["early"], set())
    assert made
    assert "debug" not in made
    logging.shutdown()
    assert "early" in (tmp_path / "logs" / "dbt" / "dbt.log").read_text()
