"""A model is a function of the run manifest and the as-of date; it asks no clock."""

import pkgutil
import re

import pytest

from tests.house.repository import ROOT, repository_files

CLOCK = re.compile(
    r"\b(now|today|get_current_timestamp|transaction_timestamp|getdate|sysdate|clock_timestamp)\s*\("
    r"|\b(current_date|current_time|current_timestamp|current_localtime|localtime|localtimestamp"
    r"|run_started_at)\b"
    r"|\bmodules\.datetime\b"
    r"|'(now|today|yesterday|tomorrow)'\s*::",
    re.IGNORECASE,
)
COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/|\{#.*?#\}", re.DOTALL)


def clocks_in(sql: str) -> list[str]:
    """Every call of a clock, comments aside."""
    return [match[0] for match in CLOCK.finditer(COMMENTS.sub(" ", sql))]


def test_no_model_macro_or_test_asks_a_clock() -> None:
    asking = {
        str(path): clocks
        for path in repository_files("dbt_project/*.sql")
        if (clocks := clocks_in((ROOT / path).read_text(encoding="utf-8")))
    }
    assert not asking


@pytest.mark.parametrize(
    "sql",
    [
        "select now()",
        "select current_date",
        "where paid_date < CURRENT_DATE - 3",
        "select {{ run_started_at }}",
        "select {{ modules.datetime.datetime.now() }}",
        "select 'today'::date",
        "select {{ current_timestamp() }}",
    ],
)
def test_a_clock_is_seen(sql: str) -> None:
    assert clocks_in(sql)


@pytest.mark.parametrize(
    "sql",
    ["-- never now()\nselect 1", "{# current_date #} select 1", "select known(x), is_today"],
)
def test_no_clock_is_seen_where_none_is_asked(sql: str) -> None:
    assert clocks_in(sql) == []


def test_no_module_on_the_path_looks_like_a_dbt_plugin() -> None:
    """dbt imports every top-level module named dbt_* that it finds; this is how it looks."""
    places = [str(ROOT / folder) for folder in ("", "dags", "plugins", "scripts")]
    names = [module.name for module in pkgutil.iter_modules(places)]
    assert "regulars" in names
    assert not [name for name in names if name.startswith("dbt_")]
    assert "dbt" not in names
