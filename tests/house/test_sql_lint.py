"""A file is linted again exactly when something changed that its lint depends on."""

import json
from pathlib import Path

import pytest

from tests.house.scripts import load_script

lint_sql = load_script("lint_sql")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    models = tmp_path / "dbt_project" / "models"
    models.mkdir(parents=True)
    (tmp_path / "dbt_project" / "macros").mkdir()
    (tmp_path / "dbt_project" / "macros" / "keys.sql").write_text("{% macro key() %}1", "utf-8")
    (tmp_path / ".sqlfluff").write_text("[sqlfluff]\n", "utf-8")
    (models / "one.sql").write_text("select 1\n", "utf-8")
    (models / "two.sql").write_text("select 2\n", "utf-8")
    monkeypatch.setattr(lint_sql, "ROOT", tmp_path)
    monkeypatch.setattr(lint_sql, "CLEAN", tmp_path / "clean")
    return tmp_path


@pytest.fixture
def linted(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Names of the files of each call of sqlfluff; a file that says `bad` has a finding."""
    calls: list[list[str]] = []

    class Answer:
        returncode, stdout, stderr = 0, "", ""

    def sqlfluff(mode: str, files: list[Path], *options: str) -> Answer:
        calls.append([path.name for path in files])
        entries = [
            {
                "filepath": str(path.relative_to(lint_sql.ROOT)),
                "violations": [
                    {
                        "start_line_no": 3,
                        "start_line_pos": 5,
                        "code": "LT05",
                        "description": "Line is too long.",
                    }
                ]
                * ("bad" in path.read_text("utf-8")),
            }
            for path in files
        ]
        Path(options[-1]).write_text(json.dumps(entries), "utf-8")
        return Answer()

    monkeypatch.setattr(lint_sql, "sqlfluff", sqlfluff)
    return calls


def lint(project: Path) -> int:
    return int(lint_sql.lint(lint_sql.sql_files(project)))


def test_clean_files_are_not_linted_twice(project: Path, linted: list[list[str]]) -> None:
    assert lint(project) == 0
    assert lint(project) == 0
    assert linted == [["one.sql", "two.sql"]]


def test_a_changed_file_is_linted_alone(project: Path, linted: list[list[str]]) -> None:
    lint(project)
    (project / "dbt_project/models/two.sql").write_text("select 22\n", "utf-8")
    assert lint(project) == 0
    assert linted[1:] == [["two.sql"]]


@pytest.mark.parametrize("shared", ["dbt_project/macros/keys.sql", ".sqlfluff"])
def test_every_file_is_linted_again_when_rules_or_what_dbt_calls_change(
    project: Path, linted: list[list[str]], shared: str
) -> None:
    lint(project)
    with (project / shared).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    lint(project)
    assert linted[1:] == [["one.sql", "two.sql"]]


def test_a_macro_is_a_matter_of_the_files_that_come_to_it(
    project: Path, linted: list[list[str]]
) -> None:
    macros = project / "dbt_project" / "macros"
    (macros / "keys.sql").write_text("{% macro key() %}{{ inner() }}", "utf-8")
    (macros / "inner.sql").write_text("{%- macro default__inner() -%}1", "utf-8")
    (macros / "other.sql").write_text("{% macro other() %}1", "utf-8")
    (project / "dbt_project/models/one.sql").write_text("select {{ key() }}\n", "utf-8")
    (project / "dbt_project/models/two.sql").write_text("select {{ other() }}\n", "utf-8")
    lint(project)
    for name, again in (("inner", ["one.sql"]), ("keys", ["one.sql"]), ("other", ["two.sql"])):
        with (macros / f"{name}.sql").open("a", encoding="utf-8") as file:
            file.write("2")
        lint(project)
        assert linted.pop() == again, name


def test_what_another_clone_found_clean_is_remembered_beside_it(
    project: Path, linted: list[list[str]]
) -> None:
    two = project / "dbt_project/models/two.sql"
    lint(project)
    two.write_text("select 22\n", "utf-8")
    lint(project)
    two.write_text("select 2\n", "utf-8")
    assert lint(project) == 0
    assert linted == [["one.sql", "two.sql"], ["two.sql"]]


def test_without_a_cache_folder_everything_is_linted(
    project: Path, linted: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lint_sql, "CLEAN", project / ".sqlfluff" / "clean")
    assert lint(project) == 0
    assert lint(project) == 0
    assert linted == [["one.sql", "two.sql"]] * 2


def test_a_finding_fails_the_lint_each_time_until_it_is_mended(
    project: Path, linted: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    bad = project / "dbt_project/models/two.sql"
    bad.write_text("select bad\n", "utf-8")
    assert lint(project) == 1
    assert capsys.readouterr().out == "dbt_project/models/two.sql:3:5: LT05 Line is too long.\n"
    assert lint(project) == 1
    bad.write_text("select 2\n", "utf-8")
    assert lint(project) == 0
    assert linted == [["one.sql", "two.sql"], ["two.sql"], ["two.sql"]]


def test_lint_fails_when_sqlfluff_says_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Answer:
        returncode, stdout, stderr = 2, "", "the templater cannot be loaded\n"

    monkeypatch.setattr(lint_sql, "sqlfluff", lambda *_: Answer())
    assert lint(project) == 2
    assert "the templater cannot be loaded" in capsys.readouterr().out
