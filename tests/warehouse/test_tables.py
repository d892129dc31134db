"""Tables of a warehouse that an older version made."""

import duckdb
import pytest

from regulars.state import STREAMS
from regulars.warehouse.tables import create_tables

EVENTS = "warehouse.raw.state__message_events"


@pytest.fixture
def old_warehouse() -> duckdb.DuckDBPyConnection:
    """Recorded events as they were copied before they said when a message is to be sent."""
    connection = duckdb.connect()
    connection.execute("attach ':memory:' as warehouse")
    connection.execute("create schema warehouse.raw")
    known = STREAMS["state__message_events"].columns.items()
    columns = ", ".join(f"{name} {kind}" for name, kind in known if name != "send_at")
    connection.execute(f"create table {EVENTS} ({columns})")
    connection.execute(f"insert into {EVENTS} (seq, event) values (1, 'exported')")
    return connection


def test_a_copy_of_recorded_state_that_lacks_a_column_is_copied_anew(
    old_warehouse: duckdb.DuckDBPyConnection,
) -> None:
    """Filling only what is new would leave older rows without what recorded state knows."""
    create_tables(old_warehouse)
    assert old_warehouse.execute(f"select count(*), count(send_at) from {EVENTS}").fetchall() == [
        (0, 0)
    ]


def test_what_has_every_column_is_kept(old_warehouse: duckdb.DuckDBPyConnection) -> None:
    create_tables(old_warehouse)
    old_warehouse.execute(f"insert into {EVENTS} (seq, event) values (1, 'exported')")
    create_tables(old_warehouse)
    assert old_warehouse.execute(f"select seq from {EVENTS}").fetchall() == [(1,)]
