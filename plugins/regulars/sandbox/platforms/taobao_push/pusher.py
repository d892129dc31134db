"""Which row is pushed when: a pure function of the book, so that it does not matter how often.

Every modification of a trade or refund is pushed some seconds later, a few of them hours later; a
push carries the record as it stands at that moment and overwrites the row. When pushing is
switched on, the trades created in the days before come as they stand, with their old ``modified``.
What had changed before and is older does not come at all, until it changes again.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regulars.sandbox import disguise
from regulars.sandbox.book import EventIndex, OrderBook
from regulars.sandbox.clockwork import ShopClock, wall_seconds
from regulars.sandbox.platforms.taobao_push.database import (
    REFUND_COLUMNS,
    TRADE_COLUMNS,
    PushDatabase,
    upsert,
)
from regulars.sandbox.platforms.taobao_push.rows import refund_rows, trade_rows
from regulars.sandbox.timeline import DAY, HOUR, MINUTE

Int64s = NDArray[np.int64]
Rows = Callable[[OrderBook, Int64s, Int64s, Int64s, Int64s], Iterator[tuple[Any, ...]]]

PUSH_AFTER = (1, MINUTE)
LATE_PUSH_AFTER = (10 * MINUTE, 3 * HOUR)
LATE_SHARE = 0.01
LOAD_TAKES = (1, 10 * MINUTE)
_PART = 2_000
_TIME_BITS = 34


@dataclass(frozen=True, slots=True)
class Pushed:
    """How many rows one call wrote."""

    trades: int
    refunds: int


class Pusher:
    """Pushes one shop's trades and refunds as the clock passes.

    Args:
        book: all trades of the shop.
        clock: the sandbox's present.
        database: where to; its tables exist.
        switched_on: when the seller was added (aware); nothing older is pushed but the history.
        history_days: days (0 to 90) before that moment whose trades are loaded once.
        late_share: share (0 to 1) of pushes that come late.
    """

    def __init__(
        self,
        book: OrderBook,
        clock: ShopClock,
        database: PushDatabase,
        *,
        switched_on: datetime,
        history_days: int = 0,
        late_share: float = LATE_SHARE,
    ) -> None:
        self.book, self.clock, self.database = book, clock, database
        self._since = wall_seconds(switched_on)
        self._history = self._since - history_days * DAY
        self._late_share = late_share
        self._pushed_until = 0
        self._trades = _Stream(
            book,
            self._plan(book.trade_events, book.tid, book.created),
            book.trade_events,
            "jdp_tb_trade",
            TRADE_COLUMNS,
            trade_rows,
        )
        self._refunds = _Stream(
            book,
            self._plan(book.refund_events, book.refund_id, book.refund_requested),
            book.refund_events,
            "jdp_tb_refund",
            REFUND_COLUMNS,
            refund_rows,
        )

    def push(self) -> Pushed:
        """Write every row that was pushed since the last call, by the clock's present.

        Raises:
            ConfigError: the database does not answer.
        """
        since, until = self._pushed_until + 1, self.clock.seconds
        with closing(self.database.connect()) as connection:
            pushed = Pushed(
                self._trades.push(connection, since, until),
                self._refunds.push(connection, since, until),
            )
        self._pushed_until = until
        return pushed

    def pushed_between(self, start: int, end: int) -> tuple[Int64s, Int64s]:
        """Trades whose row bears a ``jdp_modified`` within [start, end], oldest first.

        As of the clock: indices into the book, and each one's moment in wall seconds.
        """
        return self._trades.plan.modified_between(start, end, self.clock.seconds)

    def reload_history(self, days: int) -> int:
        """Push every trade created within the last ``days`` days anew, unchanged; how many."""
        now = self.clock.seconds
        low, high = np.searchsorted(self.book.created, [now - days * DAY, now + 1])
        trades = np.arange(low, high, dtype=np.int64)
        with closing(self.database.connect()) as connection:
            return self._trades.write(connection, trades, np.full(len(trades), now))

    def _plan(self, events: EventIndex, ids: Int64s, created: Int64s) -> EventIndex:
        """All pushes there will ever be."""
        known = events.time >= self._since
        subject, time = events.subject[known], events.time[known]
        # One draw per modification: the id and the second together.
        draw = ids[subject] + time
        late = disguise.shares(draw, "late push") < self._late_share
        after = np.where(
            late,
            disguise.spread(draw, "push late", *LATE_PUSH_AFTER),
            disguise.spread(draw, "push", *PUSH_AFTER),
        )
        loaded = np.flatnonzero((created >= self._history) & (created < self._since))
        load = self._since + disguise.spread(ids[loaded], "load", *LOAD_TAKES)
        return EventIndex.of(
            np.concatenate((subject, loaded)), np.concatenate((time + after, load)), ids
        )


@dataclass(frozen=True)
class _Stream:
    book: OrderBook
    plan: EventIndex
    events: EventIndex
    table: str
    columns: tuple[str, ...]
    rows: Rows

    def push(self, connection: Any, since: int, until: int) -> int:
        subjects, pushed = self.plan.modified_between(since, until, until)
        return self.write(connection, subjects, pushed)

    def write(self, connection: Any, subjects: Int64s, pushed: Int64s) -> int:
        count = 0
        for start in range(0, len(subjects), _PART):
            part, at = subjects[start : start + _PART], pushed[start : start + _PART]
            modified, first = self._newest(part, at), self._first_push(part, at)
            rows = self.rows(self.book, part, modified, first, at)
            count += upsert(connection, self.table, self.columns, rows)
        return count

    def _first_push(self, subjects: Int64s, pushed: Int64s) -> Int64s:
        places = self.plan.first[subjects]
        is_planned = self.plan.first[subjects + 1] > places
        known = self.plan.times_by_subject[np.where(is_planned, places, 0)]
        return np.where(is_planned, np.minimum(known, pushed), pushed)

    @cached_property
    def _places(self) -> Int64s:
        """Subject and time of each modification as one number, ascending."""
        counts = np.diff(self.events.first)
        owner = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
        places: Int64s = (owner << _TIME_BITS) + self.events.times_by_subject
        return places

    def _newest(self, subjects: Int64s, clocks: Int64s) -> Int64s:
        """Newest modification of each subject by its own clock."""
        wanted = (subjects << _TIME_BITS) + clocks
        found = np.searchsorted(self._places, wanted, side="right") - 1
        newest: Int64s = self.events.times_by_subject[found]
        return newest
