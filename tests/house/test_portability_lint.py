"""What the lint of portable SQL finds, and that it looks again at what has changed."""

from pathlib import Path

import pytest

from tests.house.repository import ROOT
from tests.house.scripts import load_script

lint = load_script("lint_portability")

ONE_ENGINES_OWN = {
    "select date_diff('day', a, b) from t": "date_diff",
    "select date_trunc('month', a) from t": "date_trunc",
    "select arg_max(a, b) from t": "arg_max",
    "select quantile_cont(a, 0.5) from t": "quantile_cont",
    "select list_sort(a) from t": "list_sort",
    "select list(a order by b) from t": "list",
    "select unnest(a) from t": "unnest",
    "select * from generate_series(1, 3)": "generate_series",
    "select list_of(a, lambda x: x) from t": "lambda",
    "select a ->> 'b' from t": "reads JSON",
    "select json_extract(a, b) from t": "json_extract",
    "select strftime(a, b) from t": "strftime",
    "select timezone(a, b) from t": "timezone",
    "select a at time zone 'UTC' from t": "at time zone",
    "select a + to_hours(1) from t": "to_hours",
    "select a // b from t": "//",
    "select concat(a, b) from t": "concat",
    'select "a" from t': '"a"',
    "select * exclude (a) from t": "exclude",
    "select regexp_matches(a, b) from t": "regexp_matches",
}


def complaints(sql: str) -> list[str]:
    return [what for _, what in lint.constructs(sql)]


def compiled(sql: str, name: str = "some_model") -> list[str]:
    return list(lint.compiled_complaints(name, sql))


@pytest.mark.parametrize("sql", ONE_ENGINES_OWN)
def test_a_construct_of_one_engine_is_found(sql: str) -> None:
    assert any(ONE_ENGINES_OWN[sql] in what for what in complaints(sql)), complaints(sql)


@pytest.mark.parametrize("construct", lint.CONSTRUCTS, ids=lambda one: one.what)
def test_every_rule_has_something_that_it_finds(construct: object) -> None:
    assert any(construct in found for found in map(_rules, ONE_ENGINES_OWN))


def _rules(sql: str) -> list[object]:
    return [one for one in lint.CONSTRUCTS if any(one.what in what for what in complaints(sql))]


@pytest.mark.parametrize(
    "sql",
    [
        "select max_by(a, b), median(a), a || coalesce(b, ''), a::date from t",
        "-- date_diff(a, b) and \"a\" in a comment\nselect 'unnest(a) // b' as text from t",
        "{# list_sort(a) #}select {{ quantile('list_sort(a)', 0.5) }} from t",
        "{% macro default__explode(list) -%}\n    unnest({{ list }})\n{%- endmacro %}",
    ],
    ids=["portable", "comments and texts", "jinja", "a macro that another engine replaces"],
)
def test_what_is_portable_or_dispatched_is_left_alone(sql: str) -> None:
    assert complaints(sql) == []


def test_a_macro_that_is_not_dispatched_is_looked_at() -> None:
    macros = "{% macro default__x() %}unnest(a){% endmacro %}\n{% macro x() %}\nunnest(a)"
    assert [line for line, _ in lint.constructs(macros)] == [3]


def test_a_complaint_names_the_line() -> None:
    assert [line for line, _ in lint.constructs("select\n    a,\n    strftime(b, c)\nfrom t")] == [
        3
    ]


@pytest.mark.parametrize(
    "sql", ["select a from t qualify", "select list_transform(a, lambda x: 1)"]
)
def test_what_a_dialect_cannot_read_is_said(sql: str) -> None:
    assert any("cannot read it" in what for what in compiled(sql))


def test_nulls_that_would_stand_elsewhere_are_found() -> None:
    (found,) = compiled("select row_number() over (order by a) from t")
    assert found.startswith("order by a: nulls stand elsewhere")
    assert compiled("select row_number() over (order by a asc nulls last) from t") == []


def test_a_division_that_may_meet_a_zero_is_found() -> None:
    (found,) = compiled("select a / b as c from t")
    assert found.startswith("a / b: Spark raises")
    guarded = "select a / nullif(b, 0) as c, a / cast(nullif(b, 0) as double), a / 2 from t"
    assert compiled(guarded) == []


def test_an_exception_is_of_a_model_that_there_is_and_says_why() -> None:
    names = {path.stem for path in (ROOT / "dbt_project" / "models").rglob("*.sql")}
    assert set(lint.UNGUARDED) <= names
    assert all(lint.UNGUARDED.values())
    name = next(iter(lint.UNGUARDED))
    assert compiled("select a / b as c from t", name) == []


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A project of two models, one with a fault; names of the models of each compilation."""
    calls: list[list[str]] = []
    models = tmp_path / "dbt_project" / "models"
    models.mkdir(parents=True)
    (tmp_path / "dbt_project" / "macros").mkdir()
    (models / "good.sql").write_text("select 1 as a\n", "utf-8")
    (models / "bad.sql").write_text("select a / b as c from t\n", "utf-8")

    def compile_models(names: list[str]) -> dict[str, str]:
        calls.append(names)
        return {name: (models / f"{name}.sql").read_text("utf-8") for name in names}

    monkeypatch.setattr(lint, "ROOT", tmp_path)
    monkeypatch.setattr(lint, "CLEAN", tmp_path / "clean")
    monkeypatch.setattr(lint, "compiled", compile_models)
    return calls


def test_what_is_clean_is_not_compiled_again_until_it_changes(
    project: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert lint.main() == 1
    assert "dbt_project/models/bad.sql:1: a / b" in capsys.readouterr().out
    assert lint.main() == 1
    (lint.ROOT / "dbt_project" / "models" / "bad.sql").write_text("select 2 as a\n", "utf-8")
    assert lint.main() == 0
    assert lint.main() == 0
    assert project == [["bad", "good"], ["bad"], ["bad"]]


def test_a_macro_with_a_fault_fails_the_lint(
    project: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    (lint.ROOT / "dbt_project" / "models" / "bad.sql").unlink()
    (lint.ROOT / "dbt_project" / "macros" / "one.sql").write_text("unnest(a)\n", "utf-8")
    assert lint.main() == 1
    assert "dbt_project/macros/one.sql:1: unnest handles lists" in capsys.readouterr().out
