"""The shop's list of orders: search, sorting, cursors, depth."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from regulars.sandbox import disguise
from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import ShopClock, unix_seconds
from regulars.sandbox.platforms.shopify.orders import Trade, basket_of, order_id
from regulars.sandbox.platforms.shopify.search import Search
from regulars.sandbox.timeline import DAY

Int64s = NDArray[np.int64]
_GMT8 = 8 * 3600


@dataclass(frozen=True)
class Row:
    """One order on a list: index of its trade, its number, and wall seconds of two instants."""

    trade: int
    modified: int
    order: int
    created: int

    def key(self, sort_key: str) -> tuple[int, int]:
        """What it is sorted by."""
        if sort_key == "ID":
            return self.order, self.order
        return self.modified if sort_key == "UPDATED_AT" else self.created, self.order


class OrderList:
    """Orders as of the clock, with modifications that tests make.

    Args:
        book: all orders that the shop will ever have.
        clock: the present.
        depth_days: how old an order may be by its creation; None for any age.
    """

    def __init__(self, book: OrderBook, clock: ShopClock, depth_days: int | None) -> None:
        self.book, self.clock, self._depth_days = book, clock, depth_days
        self.touched: dict[int, int] = {}
        self._by_basket = np.argsort(book.basket)
        self._touch_count = 0

    def touch(self, trade: int) -> None:
        """Modify an order at the clock's present, as an added note would."""
        self.touched[trade] = self.clock.seconds

    def touch_some(self, rows: list[Row], count: int) -> None:
        """Touch ``count`` of the rows at random, but reproducibly."""
        for _ in range(min(count, len(rows))):
            self._touch_count += 1
            draw = disguise.spread(np.array([self._touch_count]), "shopify touch", 0, len(rows))
            self.touch(rows[int(draw[0])].trade)

    def find(self, number: int) -> Trade | None:
        """The order with this number, if it exists and may be seen."""
        basket = basket_of(number)
        place = int(np.searchsorted(self.book.basket, basket, sorter=self._by_basket))
        if place >= self.book.trade_count:
            return None
        trade = int(self._by_basket[place])
        if int(self.book.basket[trade]) != basket or not self._is_visible(trade):
            return None
        return self.trade(trade, self._modified(trade))

    def trade(self, index: int, modified: int) -> Trade:
        """An order as of now."""
        return Trade(self.book, index, self.clock.seconds, modified)

    def rows(self, search: Search, sort_key: str) -> list[Row]:
        """The orders that a search finds, sorted."""
        now, bounds = self.clock.seconds, search.updated_at
        low = max(bounds.low + _GMT8, 0)
        high = min(bounds.high + _GMT8 - 1, now)
        trades, times = self.book.trade_events.modified_between(low, high, now)
        found = dict(zip(trades.tolist(), times.tolist(), strict=True))
        for trade, moment in self._touches():
            found.pop(trade, None)
            if low <= moment <= high:
                found[trade] = moment
        rows = [
            Row(
                trade, moment, order_id(int(self.book.basket[trade])), int(self.book.created[trade])
            )
            for trade, moment in found.items()
            if self._is_visible(trade)
        ]
        rows = [one for one in rows if self._fits(one, search)]
        rows.sort(key=lambda one: one.key(sort_key))
        return rows

    def _fits(self, row: Row, search: Search) -> bool:
        return row.order in search.id and unix_seconds(row.created) in search.created_at

    def _touches(self) -> list[tuple[int, int]]:
        return [
            (trade, moment)
            for trade, moment in self.touched.items()
            if moment <= self.clock.seconds and moment > self._own(trade)
        ]

    def _own(self, trade: int) -> int:
        return int(self.book.trade_events.modified_at(np.array([trade]), self.clock.seconds)[0])

    def _modified(self, trade: int) -> int:
        touched = self.touched.get(trade, 0)
        return max(self._own(trade), touched if touched <= self.clock.seconds else 0)

    def _is_visible(self, trade: int) -> bool:
        created = int(self.book.created[trade])
        oldest = 0 if self._depth_days is None else self.clock.seconds - self._depth_days * DAY
        return oldest <= created <= self.clock.seconds


def cursor(index: int, key: tuple[int, int] | None) -> str:
    """An opaque cursor that holds both a position and what its record was sorted by."""
    return base64.urlsafe_b64encode(orjson.dumps([index, *(key or (0, 0))])).decode()


def place_after(text: str, rows: list[Row] | None, sort_key: str) -> int:
    """Index behind the cursor's record; ``rows`` is None where cursors are positions.

    Raises:
        ValueError: it is no cursor.
    """
    index, *key = orjson.loads(base64.urlsafe_b64decode(text))
    if rows is None:
        return int(index) + 1
    return sum(one.key(sort_key) <= tuple(key) for one in rows)


def connection(
    items: Any,
    start: int,
    stop: int,
    make: Callable[[Any], Any] = lambda item: item,
    key: Callable[[Any], tuple[int, int] | None] = lambda item: None,
) -> dict[str, Any]:
    """The part of a list between two places as a connection.

    ``make`` makes its nodes, ``key`` tells what an item is sorted by.
    """
    part = items[start:stop]
    nodes = [make(item) for item in part]
    cursors = [cursor(place, key(item)) for place, item in enumerate(part, start)]
    return {
        "nodes": nodes,
        "edges": [{"cursor": one, "node": node} for one, node in zip(cursors, nodes, strict=True)],
        "pageInfo": {
            "hasNextPage": stop < len(items),
            "hasPreviousPage": start > 0,
            "startCursor": cursors[0] if cursors else None,
            "endCursor": cursors[-1] if cursors else None,
        },
    }
