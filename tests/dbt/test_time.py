"""Zones: the arithmetic of the fixed ones equals the calendar, the others are looked up."""

import duckdb
import pytest
import yaml
from jinja2 import Environment

from tests.dbt.project import PROJECT_DIR

FIXED = yaml.safe_load((PROJECT_DIR / "dbt_project.yml").read_text(encoding="utf-8"))["vars"][
    "fixed_offset_hours"
]


class _Adapter:
    """Stands in for dbt's dispatch: every macro has a default."""

    def __init__(self, module: dict[str, object]) -> None:
        self._module = module

    def dispatch(self, name: str, package: str) -> object:
        del package
        return self._module[f"default__{name}"]


@pytest.fixture(scope="module")
def macros() -> dict[str, object]:
    """The time macros, rendered without a project."""
    found: dict[str, object] = {}
    environment = Environment(autoescape=False, extensions=["jinja2.ext.do"])  # noqa: S701 - SQL
    environment.globals.update(
        var={"fixed_offset_hours": FIXED}.__getitem__,
        adapter=_Adapter(found),
    )
    source = (PROJECT_DIR / "macros" / "time.sql").read_text(encoding="utf-8")
    module = environment.from_string(source).make_module()
    found.update({name: getattr(module, name) for name in dir(module) if not name.startswith("_")})
    return found


@pytest.fixture
def utc() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    return connection


def test_fixed_offsets_equal_the_calendar(utc: duckdb.DuckDBPyConnection) -> None:
    for zone, hours in FIXED.items():
        wrong = utc.execute(
            f"""
            select count(*)
            from generate_series(timestamp '2000-01-01', timestamp '2049-12-31', interval 1 hour)
                as hour(local_at)
            where timezone('UTC', timezone('{zone}', local_at))
                <> local_at - interval '{hours} hours'
            """
        ).fetchone()
        assert wrong == (0,)


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York", "Asia/Kolkata"])
def test_there_and_back(zone: str, macros: dict, utc: duckdb.DuckDBPyConnection) -> None:
    to_utc = macros["to_utc"]("local_at", "zone")
    back = macros["to_local_at"](f"({to_utc})", "zone")
    wrong = utc.execute(
        f"""
        select count(*)
        from (select timestamp '2017-06-01 03:00:00' as local_at, '{zone}' as zone)
        where ({back}) <> local_at
        """
    ).fetchone()
    assert wrong == (0,)


def test_a_day_begins_at_the_shops_midnight(macros: dict, utc: duckdb.DuckDBPyConnection) -> None:
    day = macros["to_local_date"]("moment", "zone")
    rows = utc.execute(
        f"""
        select {day}::varchar from (values
            ('2017-10-01 15:59:59', 'Asia/Shanghai'), ('2017-10-01 16:00:00', 'Asia/Shanghai'),
            ('2017-10-02 03:59:59', 'America/New_York'), ('2017-10-02 04:00:00', 'America/New_York')
        ) as t(text, zone), lateral (select cast(text as timestamp) as moment)
        """
    ).fetchall()
    assert [row[0] for row in rows] == ["2017-10-01", "2017-10-02", "2017-10-01", "2017-10-02"]


def test_an_unknown_zone_is_an_error(macros: dict, utc: duckdb.DuckDBPyConnection) -> None:
    conversion = macros["to_utc"]("timestamp '2017-10-01'", "zone")
    with pytest.raises(duckdb.Error, match="Mars"):
        utc.execute(f"select {conversion} from (select 'Mars/Olympus' as zone)").fetchall()
