import threading
from datetime import UTC, date, datetime, timedelta

import duckdb
import pytest

from regulars.errors import StateError
from regulars.state import (
    STREAMS,
    TOMBSTONES,
    ConsentRecord,
    IdentityDecision,
    StateStore,
    ThresholdVersion,
)
from tests.state.rows import DAY, PLANNED, grant, held_out, member, proposal, redemption
from tests.state.test_value_models import record_value_model

AT = datetime(2017, 10, 1, 18, tzinfo=UTC)


def consent(number: int) -> ConsentRecord:
    return ConsentRecord("demo", f"hash_{number}", None, "sms", "refusal", AT, "receipt")


def fill(state: StateStore) -> None:
    run_id = state.nights.open(DAY).run_id
    state.commit_decisions(run_id, "gift", [proposal(1), held_out(2)], occurred_at=AT)
    state.consent.record(
        [consent(1), ConsentRecord("demo", None, member(2), "all", "consent", AT, "form")]
    )
    state.thresholds.record(
        [ThresholdVersion(1, "recency", 1.5, 2.5, 3.5, 4.5, date(2017, 1, 1), 100, "demo")]
    )
    state.grants.record([grant(1)])
    state.redemptions.redeem(
        redemption(1), customer_keys=[member(1)], available=60, stock=None, since=PLANNED
    )
    state.identity.record(
        IdentityDecision("demo", member(1), member(2), "merge", PLANNED, "ann", "ticket")
    )


def test_numbers_have_no_gap_and_heads_are_the_last(state: StateStore) -> None:
    assert state.stream_heads() == dict.fromkeys((*STREAMS, TOMBSTONES), 0)
    fill(state)
    record_value_model(state)
    heads = state.stream_heads()
    # Tombstones never enter a model: they keep records out before there is one.
    assert heads.pop(TOMBSTONES) == 0
    assert set(heads) == set(STREAMS)
    for name, head in heads.items():
        rows = list(state.iter_stream(name, 0, head))
        assert [row["seq"] for row in rows] == list(range(1, head + 1))
        assert head > 0


def test_a_reader_gets_what_lies_between(state: StateStore) -> None:
    state.consent.record([consent(number) for number in range(5)])
    rows = state.iter_stream("state__refusals", 1, 3)
    assert [row["seq"] for row in rows] == [2, 3]
    assert list(state.iter_stream("state__refusals", 5, 5)) == []


def test_columns_fit_their_duckdb_types(state: StateStore) -> None:
    fill(state)
    with duckdb.connect() as connection:
        for name, stream in STREAMS.items():
            columns = ", ".join(f"{column} {kind}" for column, kind in stream.columns.items())
            connection.execute(f"create table {name} ({columns})")
            for row in state.iter_stream(name, 0, 99):
                assert list(row) == list(stream.columns)
                marks = ", ".join("?" for _ in row)
                connection.execute(f"insert into {name} values ({marks})", list(row.values()))
        event = connection.execute("select occurred_at from state__message_events").fetchone()
        assert event == (AT.replace(tzinfo=None),)
        cut = connection.execute("select q80, customer_count from state__threshold_versions")
        assert cut.fetchone() == (4.5, 100)


def test_an_unknown_stream_is_named(state: StateStore) -> None:
    with pytest.raises(StateError, match="no stream 'state__nothing'"):
        list(state.iter_stream("state__nothing", 0, 1))


def test_a_reader_of_concurrent_writers_misses_nothing(state: StateStore) -> None:
    """Whoever has read up to a head never finds a new row below it."""
    start = threading.Barrier(4)

    def write(writer: int) -> None:
        start.wait()
        for number in range(8):
            at = AT + timedelta(seconds=number)
            state.consent.record(
                [ConsentRecord("demo", f"{writer}", None, "sms", "refusal", at, f"{number}")]
            )

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(3)]
    for thread in writers:
        thread.start()
    start.wait()
    seen: list[int] = []
    while len(seen) < 24:
        writing = any(thread.is_alive() for thread in writers)
        head = state.stream_heads()["state__refusals"]
        seen += [row["seq"] for row in state.iter_stream("state__refusals", len(seen), head)]
        assert seen == list(range(1, head + 1))
        assert writing or len(seen) == 24
    for thread in writers:
        thread.join()
