"""Points first in, first out: the SQL against a ledger kept by hand, entry by entry."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import duckdb
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.dbt.nights import utc
from tests.dbt.project import Project

START = utc(2018, 1, 1)
MOVEMENTS = ("redeem", "reverse", "expire", "adjust")
COLUMNS = "member_key uuid, brand varchar, entry_key uuid, customer_key uuid, movement varchar, " \
    "point_count bigint, occurred_at timestamp, expires_at timestamp, order_key uuid, " \
    "rule varchar, expiry varchar, origin varchar, gift varchar"  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One entry: hours since the start, points, and when they lapse."""

    number: int
    movement: str
    points: int
    hour: int
    lapses: int | None = None
    order: int | None = None
    booked: bool = False
    member: int = 1

    @property
    def key(self) -> UUID:
        return UUID(int=1000 * (1 + self.member) + self.number)

    def row(self) -> list[Any]:
        return [
            UUID(int=self.member), "b", self.key, UUID(int=2), self.movement, self.points,
            at(self.hour),
            None if self.lapses is None else at(self.lapses),
            None if self.order is None else UUID(int=10 * self.member + self.order),
            "base", "booked" if self.booked else "computed", "delivered", None,
        ]  # fmt: skip


def at(hour: int) -> datetime:
    return START + timedelta(hours=hour)


@dataclass
class Lot:
    """What is left of one entry, and what became of the rest."""

    entry: Entry
    left: int
    gone: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*MOVEMENTS, "repaid"), 0))

    def take(self, what: str, points: int) -> int:
        taken = min(points, self.left)
        self.left -= taken
        self.gone[what] += taken
        return taken


def _order(entry: Entry) -> tuple[Any, ...]:
    """Points before debits; of those that come at one instant, the first to lapse first."""
    return (
        entry.hour, entry.points < 0, entry.lapses is None, entry.lapses or 0, entry.key,
    )  # fmt: skip


def kept_by_hand(entries: list[Entry]) -> tuple[dict[UUID, Lot], int]:
    """Every entry in its turn: points come, or are taken from what stands; then what is owed."""
    lots: list[Lot] = []
    owed = 0
    for entry in sorted(entries, key=_order):
        if entry.points > 0:
            lot = Lot(entry, entry.points)
            owed -= lot.take("repaid", owed)
            lots.append(lot)
            continue
        need = -entry.points
        for lot in sorted(lots, key=lambda lot, entry=entry: _turn(entry, lot)):
            ends = None if lot.entry.booked else lot.entry.lapses
            stands = ends is None or ends > entry.hour
            if stands or _is_own(entry, lot) or entry.movement == "expire":
                need -= lot.take(entry.movement, need)
        owed += need
    return {lot.entry.key: lot for lot in lots}, owed


def _is_own(entry: Entry, lot: Lot) -> bool:
    return (
        entry.movement == "reverse" and entry.order is not None and lot.entry.order == entry.order
    )


def _turn(entry: Entry, lot: Lot) -> tuple[Any, ...]:
    one = lot.entry
    return (not _is_own(entry, lot), one.lapses is None, one.lapses or 0, one.hour, one.key)


@pytest.fixture(scope="module")
def lots_of(project: Project, empty_warehouse: Path) -> Iterator[Any]:
    """Runs the model's SQL on the entries given, in the order given."""
    results = project.run(
        empty_warehouse, "compile", "--full-refresh", "--select", "fct_point_lots"
    )
    [sql] = [one.node.compiled_code for one in results if one.node.name == "fct_point_lots"]
    connection = duckdb.connect()
    connection.execute("attach ':memory:' as warehouse")
    connection.execute("create schema warehouse.intermediate")
    connection.execute(f"create table warehouse.intermediate.int_points__entries ({COLUMNS})")

    def run(entries: list[Entry]) -> list[tuple[Any, ...]]:
        table = "warehouse.intermediate.int_points__entries"
        connection.execute(f"delete from {table}")
        if entries:
            marks = ", ".join("?" * 13)
            connection.executemany(
                f"insert into {table} values ({marks})", [entry.row() for entry in entries]
            )
        return connection.execute(
            "select lot_key, point_count, redeemed_count, reversed_count, booked_expired_count, "
            "adjusted_count, repaid_count, remaining_count, debt_count, member_key "
            f"from ({sql}) order by all"
        ).fetchall()

    yield run
    connection.close()


@st.composite
def ledgers(draw: st.DrawFn) -> list[Entry]:
    entries = []
    booked = draw(st.booleans())
    for number in range(draw(st.integers(0, 14))):
        hour = draw(st.integers(0, 12))
        order = draw(st.none() | st.integers(0, 3))
        if draw(st.integers(0, 9)) < 5:
            lapses = draw(st.none() | st.integers(1, 12))
            ends = None if lapses is None else hour + lapses
            entries.append(
                Entry(number, "earn", draw(st.integers(1, 9)), hour, ends, order, booked)
            )
        else:
            movement = draw(st.sampled_from(MOVEMENTS))
            points = -draw(st.integers(1, 12))
            entries.append(Entry(number, movement, points, hour, None, order))
    return entries


@given(st.lists(ledgers(), min_size=10, max_size=40), st.randoms(use_true_random=False))
@settings(max_examples=4, deadline=None, phases=(Phase.generate,))
def test_every_lot_is_what_a_ledger_kept_by_hand_says(
    lots_of: Any, drawn: list[list[Entry]], random: Random
) -> None:
    books = {
        member: [replace(entry, member=member) for entry in ledger]
        for member, ledger in enumerate(drawn, start=1)
    }
    entries = [entry for ledger in books.values() for entry in ledger]
    found = lots_of(entries)
    assert lots_of(random.sample(entries, len(entries))) == found, "the order of rows means nothing"
    real = {row[0]: row for row in found}
    for member, ledger in books.items():
        lots, owed = kept_by_hand(ledger)
        for key, lot in lots.items():
            gone = [lot.gone[what] for what in (*MOVEMENTS, "repaid")]
            assert list(real[key][1:8]) == [lot.entry.points, *gone, lot.left], ledger
            assert sum(gone) + lot.left == lot.entry.points
        own = [row for row in found if row[9] == UUID(int=member)]
        assert len(own) == len(lots) + (owed > 0)
        assert sum(row[8] for row in own) == owed, ledger
        balance = sum(row[7] - row[8] for row in own)
        assert balance == sum(entry.points for entry in ledger), "sum of lots = sum of the ledger"


def test_a_debit_finds_only_what_stands_at_its_instant(lots_of: Any) -> None:
    """A short lot given later lapses first, but not for a debit that came before it."""
    year = Entry(1, "earn", 100, 0, 365 * 24)
    early = Entry(2, "redeem", -50, 10)
    short = Entry(3, "earn", 100, 20, 30)
    at_the_end = Entry(4, "redeem", -70, 30)
    found = {row[0]: row for row in lots_of([year, early, short, at_the_end])}
    assert found[short.key][2] == 0, "from its last instant on it gives nothing"
    assert (found[short.key][7], found[year.key][7], found[year.key][8]) == (100, 0, 0)
    beyond = [row for key, row in found.items() if key not in (year.key, short.key)]
    assert [row[8] for row in beyond] == [20]
    before = Entry(4, "redeem", -70, 29)
    found = {row[0]: row for row in lots_of([year, early, short, before])}
    assert (found[short.key][2], found[short.key][7], found[year.key][7]) == (70, 30, 50)


def test_a_refund_takes_from_its_own_order_first(lots_of: Any) -> None:
    first = Entry(1, "earn", 100, 0, 100, order=1)
    second = Entry(2, "earn", 100, 1, 200, order=2)
    refund = Entry(3, "reverse", -100, 2, order=2)
    found = {row[0]: row for row in lots_of([first, second, refund])}
    assert (found[first.key][7], found[second.key][3], found[second.key][7]) == (100, 100, 0)


def test_what_was_spent_before_it_came_back_is_owed_and_paid_by_the_next_points(
    lots_of: Any,
) -> None:
    earn = Entry(1, "earn", 100, 0, 900, order=1)
    spend = Entry(2, "redeem", -80, 1)
    refund = Entry(3, "reverse", -100, 2, order=1)
    rows = lots_of([earn, spend, refund])
    assert sorted((row[7], row[8]) for row in rows) == [(0, 0), (0, 80)]
    later = Entry(4, "earn", 100, 3, 900, order=2)
    rows = lots_of([earn, spend, refund, later])
    assert sum(row[8] for row in rows) == 0, "nothing is owed any more"
    assert {row[0]: (row[6], row[7]) for row in rows}[later.key] == (80, 20)
