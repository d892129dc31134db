"""Reading rows of a real MariaDB: pages, changes underneath, lost connections, refusals."""

import dataclasses
from collections.abc import Iterator
from contextlib import closing
from itertools import count, islice
from typing import Any

import pymysql
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymysql.cursors import SSCursor

from regulars.errors import (
    AuthenticationFailed,
    RegularsError,
    SchemaChanged,
    SourceError,
    SourceUnavailable,
)
from regulars.sandbox.platforms.taobao_push import PushDatabase
from regulars.sources.calling import RetryPolicy
from regulars.sources.taobao_rds.client import PushTable, RdsClient
from tests.servers import push_database, shared_push_database  # noqa: F401
from tests.sources.gateway import Sleeper
from tests.sources.push import access_to, client_of, push_trades, run_sql, trade_row

TRADES = PushTable("jdp_tb_trade", "tid")
START, END = "2017-10-01 00:00:00", "2017-10-02 00:00:00"


@pytest.fixture
def database(push_database: PushDatabase) -> PushDatabase:  # noqa: F811
    return push_database


def read(client: RdsClient, start: str = START, end: str = END) -> list[tuple[str, str]]:
    with closing(client):
        return [(row.key, row.pushed) for row in client.rows(TRADES, start, end)]


def kill_readers(database: PushDatabase) -> int:
    """KILL every other connection to the database; how many."""
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select id from information_schema.processlist where db = %s and id <> connection_id()",
            (database.name,),
        )
        numbers = [row[0] for row in cursor.fetchall()]
        for number in numbers:
            cursor.execute(f"kill {number}")
    return len(numbers)


def test_an_empty_window_is_empty(database: PushDatabase) -> None:
    assert read(client_of(database)) == []


def test_the_window_includes_its_start_and_not_its_end(database: PushDatabase) -> None:
    moments = ("2017-09-30 23:59:59", START, "2017-10-01 23:59:59", END)
    push_trades(database, [trade_row(n, "{}", at) for n, at in enumerate(moments, start=1)])
    assert read(client_of(database)) == [("2", START), ("3", "2017-10-01 23:59:59")]


@pytest.mark.parametrize("page_rows", [1, 3, 4, 5, 12, 5_000])
def test_pages_split_a_second_that_many_rows_share(database: PushDatabase, page_rows: int) -> None:
    noon, later = "2017-10-01 12:00:00", "2017-10-01 12:00:01"
    rows = [trade_row(n, "{}", noon if n % 3 else later) for n in range(100, 112)]
    push_trades(database, rows)
    expected = sorted((row[-1], row[0]) for row in rows)
    assert read(client_of(database, page_rows=page_rows)) == [
        (str(tid), pushed) for pushed, tid in expected
    ]


def test_another_sellers_rows_are_left_alone(database: PushDatabase) -> None:
    push_trades(
        database, [trade_row(1, "{}"), trade_row(2, "{}", seller="别的店"), trade_row(3, "{}")]
    )
    assert [key for key, _ in read(client_of(database))] == ["1", "3"]
    assert [key for key, _ in read(client_of(database, seller_nick="别的店"))] == ["2"]


def test_ids_and_texts_come_as_they_are_stored(database: PushDatabase) -> None:
    text = '{"title": "绿茶 🍵 500g ＼"}'
    push_trades(database, [trade_row(2**63 - 1, text), trade_row(1, None)])
    with closing(client_of(database)) as client:
        rows = list(client.rows(TRADES, START, END))
    assert [(row.key, row.response) for row in rows] == [
        ("1", None),
        (str(2**63 - 1), text.encode()),
    ]


def test_a_page_is_read_by_the_index_from_its_middle(database: PushDatabase) -> None:
    push_trades(database, [trade_row(n, "{}") for n in range(1, 2001)])
    client = client_of(database, page_rows=10)
    asked: list[str] = []
    open_page = client.open_page

    def remembered(query: str, values: dict[str, Any]) -> SSCursor:
        with closing(database.connect()) as connection, connection.cursor() as cursor:
            asked.append(cursor.mogrify(query, values))
        return open_page(query, values)

    client.open_page = remembered  # type: ignore[method-assign]
    with closing(client):
        list(islice(client.rows(TRADES, START, END), 25))
    (plan,) = run_sql(database, f"explain {asked[-1]}")
    assert "range" in plan
    assert "ind_jdp_tb_trade_jdp_modified" in plan
    # Time and id together: the second's earlier rows are not gone through again.
    assert plan[6] == "14"


# --- what changes underneath ----------------------------------------------------------------


sellers = count(1)


@pytest.mark.slow
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    page_rows=st.integers(1, 7),
    pushes=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 40)), max_size=10),
)
def test_no_row_that_stays_is_lost_and_none_comes_twice(
    shared_push_database: PushDatabase,  # noqa: F811
    page_rows: int,
    pushes: list[tuple[int, int]],
) -> None:
    """Rows are pushed anew, and new ones come, while the window is read."""
    database, number = shared_push_database, next(sellers)
    seller, first = f"seller {number}", 1000 * number

    def row(tid: int, pushed: str) -> tuple[Any, ...]:
        return trade_row(first + tid, "{}", pushed, seller)

    push_trades(database, [row(n, f"2017-10-01 12:00:{n // 4:02d}") for n in range(1, 31)])
    client = client_of(database, page_rows=page_rows, seller_nick=seller)
    seen: list[int] = []
    rows = (int(row.key) - first for row in client.rows(TRADES, START, END))
    for after, tid in sorted(pushes):
        seen += islice(rows, max(0, after - len(seen)))
        # At the push's own moment, which lies after the window as the present does.
        push_trades(database, [row(tid, "2017-10-02 00:00:05")])
    seen += rows
    moved = {tid for _, tid in pushes}
    assert len(seen) == len(set(seen))
    assert set(range(1, 31)) - moved <= set(seen) <= set(range(1, 31))
    following = read(client, END, "2017-10-03 00:00:00")
    assert {int(key) - first for key, _ in following} == moved


# --- lost connections ----------------------------------------------------------------------


@pytest.mark.parametrize("page_rows", [7, 5_000])
@pytest.mark.parametrize("size", [10, 60_000])
def test_a_killed_connection_loses_and_repeats_nothing(
    database: PushDatabase, page_rows: int, size: int
) -> None:
    rows = [trade_row(n, "x" * size, f"2017-10-01 12:00:{n % 3:02d}") for n in range(1, 700)]
    push_trades(database, rows)
    sleeper = Sleeper()
    with closing(client_of(database, page_rows=page_rows, sleep=sleeper)) as client:
        reading = client.rows(TRADES, START, END)
        seen = [next(reading).key]
        assert kill_readers(database) == 1
        for _ in range(2):
            seen += [row.key for row in islice(reading, 250)]
            kill_readers(database)
        seen += [row.key for row in reading]
    assert sorted(seen, key=int) == [str(n) for n in range(1, 700)]
    assert sleeper.waits == [1.0] * len(sleeper.waits)
    # A small page is in the client's socket as a whole and is read all the same.
    assert sleeper.waits or (size == 10 and page_rows == 5_000)


def test_connections_that_keep_dying_end_as_unavailable(
    database: PushDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    push_trades(database, [trade_row(1, "{}")])
    sleeper = Sleeper()
    client = client_of(database, sleep=sleeper)

    def dead(*_: Any) -> None:
        raise pymysql.err.OperationalError(2013, "Lost connection during the-password")

    monkeypatch.setattr(SSCursor, "execute", dead)
    with pytest.raises(SourceUnavailable, match="2013") as caught:
        read(client)
    assert sleeper.waits == [1.0, 2.0, 4.0, 8.0]
    assert "the-password" not in str(caught.value)


def test_progress_starts_the_count_of_failures_anew(database: PushDatabase) -> None:
    push_trades(database, [trade_row(n, "{}") for n in range(1, 30)])
    client = client_of(database, page_rows=2, policy=RetryPolicy(attempts=4))
    open_page, calls = client.open_page, iter(range(1000))

    def often_dead(*arguments: Any) -> SSCursor:
        if next(calls) % 4 != 3:
            raise pymysql.err.InterfaceError(0, "")
        return open_page(*arguments)

    client.open_page = often_dead  # type: ignore[method-assign]
    assert len(read(client)) == 29


def test_nothing_is_left_open_when_the_reader_stops(database: PushDatabase) -> None:
    push_trades(database, [trade_row(n, "x" * 50_000) for n in range(1, 300)])
    client = client_of(database)
    reading = client.rows(TRADES, START, END)
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    assert client._connection is None
    assert len(read(client)) == 299


# --- refusals ------------------------------------------------------------------------------


@pytest.fixture
def reader(database: PushDatabase) -> Iterator[PushDatabase]:
    """A user with a password who may select."""
    name = database.name[-20:]
    run_sql(
        database,
        f"create user `{name}`@`%` identified by 'the-password'",
        f"grant select on `{database.name}`.* to `{name}`@`%`",
    )
    yield PushDatabase(database.name, database.host, database.port, name, "the-password")
    run_sql(database, f"drop user `{name}`@`%`")


def test_a_user_who_may_only_select_reads(database: PushDatabase, reader: PushDatabase) -> None:
    push_trades(database, [trade_row(1, "{}")])
    assert len(read(client_of(reader))) == 1


def refused(client: RdsClient, error: type[RegularsError]) -> RegularsError:
    with pytest.raises(error) as caught:
        read(client)
    assert type(caught.value) is error
    assert caught.value.next_step
    for secret in ("the-password", "wrong-password", client.access.host):
        assert secret not in str(caught.value) + repr(caught.value.__cause__)
    return caught.value


def test_a_wrong_password_is_refused_at_once(reader: PushDatabase) -> None:
    sleeper = Sleeper()
    error = refused(
        client_of(reader, password="wrong-password", sleep=sleeper), AuthenticationFailed
    )
    assert "password" in error.next_step
    assert sleeper.waits == []


def test_a_table_that_may_not_be_read_is_a_matter_of_rights(
    database: PushDatabase, reader: PushDatabase
) -> None:
    run_sql(
        database,
        f"revoke select on `{database.name}`.* from `{reader.user}`@`%`",
        f"grant select on `{database.name}`.jdp_tb_refund to `{reader.user}`@`%`",
    )
    assert "may select" in refused(client_of(reader), AuthenticationFailed).next_step


def test_a_missing_table_is_named(database: PushDatabase, reader: PushDatabase) -> None:
    run_sql(database, "drop table jdp_tb_trade")
    error = refused(client_of(reader), SchemaChanged)
    assert error.where == f"{database.name}.jdp_tb_trade"
    assert "switched on" in error.next_step


def test_a_missing_column_is_a_changed_schema(database: PushDatabase, reader: PushDatabase) -> None:
    run_sql(database, "alter table jdp_tb_trade drop column jdp_response")
    assert "1054" in refused(client_of(reader), SchemaChanged).what


def test_a_missing_database_is_a_changed_schema(database: PushDatabase) -> None:
    elsewhere = dataclasses.replace(database, name="elsewhere_x")
    error = refused(client_of(elsewhere), SchemaChanged)
    assert "extra.database" in error.next_step


def test_a_server_that_is_not_there_is_unavailable(database: PushDatabase) -> None:
    sleeper = Sleeper()
    with pytest.raises(SourceUnavailable, match="2003"):
        read(client_of(database, port=1, sleep=sleeper))
    assert len(sleeper.waits) == 4


@pytest.mark.parametrize(
    ("number", "error"),
    [
        *[(n, SourceUnavailable) for n in (1040, 1053, 1203, 1205, 1213, 1226, 1317, 1927, 1969)],
        *[(n, SourceUnavailable) for n in (2002, 2003, 2006, 2013, 2055, 3024)],
        *[(n, AuthenticationFailed) for n in (1044, 1045, 1130, 1142, 1143, 1698, 1862, 2026)],
        *[(n, AuthenticationFailed) for n in (3118, 4151)],
        *[(n, SchemaChanged) for n in (1049, 1054, 1146)],
        *[(n, SourceError) for n in (1064, 1206, 1290)],
    ],
)
def test_each_error_of_the_server_has_its_reaction(
    monkeypatch: pytest.MonkeyPatch, number: int, error: type[RegularsError]
) -> None:
    def fail(**_: Any) -> None:
        raise pymysql.err.OperationalError(number, "text of the server about the-password")

    monkeypatch.setattr(pymysql, "connect", fail)
    refused(client_of(PushDatabase("anything"), password="the-password"), error)


def test_a_cut_packet_is_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> None:
        raise pymysql.err.InternalError("Packet sequence number wrong - got 72 expected 0")

    monkeypatch.setattr(pymysql, "connect", fail)
    refused(client_of(PushDatabase("anything")), SourceUnavailable)


def test_the_certificates_reach_the_driver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given_to: dict[str, Any] = {}

    def fail(**arguments: Any) -> None:
        given_to.update(arguments)
        raise pymysql.err.OperationalError(2026, "SSL connection error")

    made: list[str] = []
    monkeypatch.setattr(pymysql, "connect", fail)
    monkeypatch.setattr("ssl.create_default_context", lambda cafile: made.append(cafile) or "tls")
    client = RdsClient(access_to(PushDatabase("anything"), ca_file="/ca.pem"))
    with pytest.raises(AuthenticationFailed):
        read(client)
    assert (made, given_to["ssl"]) == (["/ca.pem"], "tls")
