"""A first night lets another process parse the models while the sandbox and Airflow start."""

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest

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
"""


@pytest.fixture
def transformer(tmp_path, monkeypatch):
    """A transformer of a small project that nobody has parsed yet."""
    project = tmp_path / "project"
    (project / "models" / "staging").mkdir(parents=True)
    (project / "models" / "one.sql").write_text("select 1 as one")
    (project / "dbt_project.yml").write_text(PROJECT)
    shutil.copy(PROJECT_DIR / "profiles.yml", project)
    monkeypatch.setattr(runner, "_manifests", {})
    monkeypatch.setattr(runner, "_parsing_ahead", {})
    monkeypatch.setenv("REGULARS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("REGULARS_DBT_PROJECT_DIR", str(project))
    return Transformer(Settings(data_dir=tmp_path, dbt_project_dir=project), time.monotonic)


def parsed_files(tmp_path):
    """How many files the last parse had to read through."""
    report = json.loads((tmp_path / "dbt_target" / "perf_info.json").read_text())
    return report["parsed_path_count"]


def test_what_was_parsed_ahead_is_not_parsed_again(transformer, tmp_path):
    transformer.prepare_ahead()
    transformer.prepare()
    assert parsed_files(tmp_path) == 0
    assert not runner._parsing_ahead
    transformer.prepare_ahead()
    assert not runner._parsing_ahead, "a project that is parsed needs no other process"


def test_another_installation_of_the_checkout_reads_what_was_parsed(
    transformer, tmp_path, monkeypatch
):
    transformer.prepare()
    assert parsed_files(tmp_path) > 0
    monkeypatch.setattr(runner, "_manifests", {})
    other = Settings(
        data_dir=tmp_path / "other",
        dbt_project_dir=tmp_path / "project",
        duckdb_threads=1,
        duckdb_memory_limit="512MB",
    )
    Transformer(other, time.monotonic).prepare()
    assert parsed_files(tmp_path / "other") == 0
    assert not list((tmp_path / "project" / "target").glob("*.part"))


def test_a_copied_project_is_parsed_for_itself(transformer, tmp_path, monkeypatch):
    transformer.prepare()
    monkeypatch.setattr(runner, "_manifests", {})
    copy = shutil.copytree(tmp_path / "project", tmp_path / "copy")
    Transformer(
        Settings(data_dir=tmp_path / "other", dbt_project_dir=copy), time.monotonic
    ).prepare()
    assert parsed_files(tmp_path / "other") > 0


def test_a_checkout_that_may_not_be_written_is_parsed_all_the_same(transformer, tmp_path):
    # A file where the folder would stand: nobody, not even root, can write below it.
    (tmp_path / "project" / "target").write_text("")
    transformer.prepare()
    assert parsed_files(tmp_path) > 0


def test_a_failure_ahead_is_made_up_for(transformer, tmp_path, monkeypatch):
    # The other process refuses its settings; this one has its own.
    monkeypatch.setenv("REGULARS_DUCKDB_THREADS", "many")
    transformer.prepare_ahead()
    transformer.prepare()
    assert parsed_files(tmp_path) > 0
    assert "REGULARS_DUCKDB_THREADS" in (tmp_path / "logs" / "dbt-parse.log").read_text()


def test_a_parse_that_hangs_is_ended_and_made_up_for(transformer, tmp_path, monkeypatch):
    hanging = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    runner._parsing_ahead[str(tmp_path / "project")] = hanging
    monkeypatch.setattr(runner, "_PARSING_AHEAD_SECONDS", 0.1)
    transformer.prepare()
    assert hanging.returncode == -signal.SIGKILL
    assert parsed_files(tmp_path) > 0
