"""Raw tables that were created by code with other payload models."""

import pytest

from regulars.settings import Settings
from regulars.warehouse.session import open_warehouse
from regulars.warehouse.tables import create_tables, raw_tables, reshaped_tables

TABLE = "taobao_top__orders"


@pytest.fixture
def connection(tmp_path):
    settings = Settings(data_dir=tmp_path)
    settings.warehouse_path.parent.mkdir(parents=True)
    with open_warehouse(settings, holder="test") as opened:
        create_tables(opened)
        yield opened


def columns_of(connection, table):
    rows = connection.execute(f"describe warehouse.raw.{table}").fetchall()
    return {row[0]: row[1] for row in rows}


def nested_column():
    """The first column of the table that is a list of records."""
    return next(name for name, kind in raw_tables()[TABLE].items() if kind.endswith("[]"))


def test_tables_of_todays_models_have_their_shape(connection):
    assert reshaped_tables(connection) == []
    create_tables(connection)
    assert reshaped_tables(connection) == []


def test_a_new_warehouse_has_no_tables_of_another_shape(tmp_path):
    settings = Settings(data_dir=tmp_path / "new")
    settings.warehouse_path.parent.mkdir(parents=True)
    with open_warehouse(settings, holder="test") as opened:
        assert reshaped_tables(opened) == []


@pytest.mark.parametrize(
    "left_by_older_code",
    [
        "drop column modified",
        "add column gone varchar",
        "alter column modified type bigint using null",
        f"alter column {nested_column()} type struct(oid varchar)[] using null",
    ],
    ids=["gained", "lost", "another type", "gained within a list"],
)
def test_a_table_of_another_shape_is_named_and_left_as_it_is(connection, left_by_older_code):
    connection.execute(f"alter table warehouse.raw.{TABLE} {left_by_older_code}")
    older = columns_of(connection, TABLE)
    assert reshaped_tables(connection) == [TABLE]
    create_tables(connection)
    assert columns_of(connection, TABLE) == older, "what was loaded would have nothing in it"


def test_recorded_streams_are_compared_as_well(connection):
    connection.execute("alter table warehouse.raw.state__refusals drop column kind")
    assert reshaped_tables(connection) == ["state__refusals"]


def test_tables_that_are_written_anew_each_night_are_extended(connection):
    connection.execute("alter table warehouse.ops.run_shops drop column zone")
    create_tables(connection)
    rows = connection.execute("describe warehouse.ops.run_shops").fetchall()
    assert "zone" in {row[0] for row in rows}
