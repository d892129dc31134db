"""The shop's order book: every trade the shop will ever have, readable as of any clock.

The book never changes. What a trade looks like at an instant follows from the instant alone; a
sorted index of transitions tells in microseconds which trades were last modified in a window.
Columns are numpy arrays (about 150 MB for 155,848 trades and 1.47 million lines, mapped from a
prepared copy on disk, so that several processes share them).
"""

import dataclasses
import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regulars.sandbox import disguise, journey, money, timeline
from regulars.sandbox.journey import Purchases
from regulars.sandbox.timeline import DAY, NEVER, Refunds, Transitions
from regulars.settings import PROJECT_ROOT

Int64s = NDArray[np.int64]

DEFAULT_CACHE = PROJECT_ROOT / "data" / "sandbox"


@dataclass(frozen=True)
class OrderBook:
    """All trades, ordered by (created, tid), with their lines and refunds.

    Times are wall seconds of the shop (``timeline.NEVER`` when it does not happen); money is fen.

    Attributes:
        line_start: index of each trade's first line, and the number of lines at the end.
        article, article_title: product ids that are ever sold, ascending, and their titles.
        line_article: place of each line's product in ``article``; orders the lines of a trade.
        line_goods: list price times quantity, before any discount.
        line_item_discount: the shop's own discounts on the line.
        line_paid: what the customer paid after all discounts, the coupons' share included.
        clamped: fen by which coupons exceeded the whole basket (not given back), per trade.
    """

    article: Int64s
    article_title: NDArray[np.str_]
    basket: Int64s
    household: Int64s
    store: Int64s
    tid: Int64s
    created: Int64s
    paid: Int64s
    shipped: Int64s
    signed: Int64s
    ended: Int64s
    outcome: NDArray[np.uint8]
    clamped: Int64s
    line_start: Int64s
    line_article: Int64s
    line_quantity: Int64s
    line_goods: Int64s
    line_item_discount: Int64s
    line_paid: Int64s
    refund_line: Int64s
    refund_trade: Int64s
    refund_fee: Int64s
    refund_requested: Int64s
    refund_decided: Int64s
    refund_ended: Int64s
    refund_decided_status: NDArray[np.uint8]
    refund_ended_status: NDArray[np.uint8]
    refund_is_return: NDArray[np.bool_]

    @classmethod
    def build(cls, purchases: Purchases, titles: Mapping[int, str] | None = None) -> "OrderBook":
        """The book of any purchases; for all of the package's, use :meth:`load`.

        ``titles`` names products by id; the others become ``Item <id>``.
        """
        article = np.unique(purchases.product)
        named = [(titles or {}).get(number) or f"Item {number}" for number in article.tolist()]
        new_basket = np.ones(len(purchases.basket), dtype=np.bool_)
        new_basket[1:] = purchases.basket[1:] != purchases.basket[:-1]
        starts = np.flatnonzero(new_basket).astype(np.int64)
        line_start = np.append(starts, np.int64(len(purchases.basket)))
        basket, household = purchases.basket[starts], purchases.household[starts]
        item_discount = purchases.retail_discount + purchases.match_discount
        line_paid, clamped = money.paid_per_line(
            purchases.sales, purchases.coupon_discount, line_start
        )
        created = purchases.created[starts]
        outcome = timeline.outcomes(
            basket,
            np.add.reduceat(line_paid, starts),
            np.add.reduceat(purchases.coupon_discount, starts),
        )
        moves = timeline.plan_transitions(basket, created, outcome)
        refunds = timeline.plan_refunds(basket, moves, line_start, line_paid)
        return cls(
            article=article,
            article_title=np.array(named, dtype=np.str_),
            basket=basket,
            household=household,
            store=purchases.store[starts],
            tid=disguise.trade_ids(basket, household),
            created=created,
            clamped=clamped,
            line_start=line_start,
            line_article=np.searchsorted(article, purchases.product),
            line_quantity=purchases.quantity,
            line_goods=purchases.sales + item_discount,
            line_item_discount=item_discount,
            line_paid=line_paid,
            **_columns(moves),
            **{f"refund_{name}": values for name, values in _columns(refunds).items()},
        )

    @classmethod
    def load(cls, cache_dir: Path | None = None) -> "OrderBook":
        """The book of the whole data, from its prepared copy; prepares it at the first time.

        Args:
            cache_dir: folder of prepared copies (default: data/sandbox of the project). One copy
                per version of the data and of this code; when it cannot be written the book is
                built in memory.

        Raises:
            ConfigError: the data package is missing or is not the expected one.
        """
        folder = (cache_dir or DEFAULT_CACHE) / f"book-{book_version()}"
        if not folder.is_dir():
            book = cls.build(
                journey.read_purchases(),
                {product.product_id: product.title for product in journey.read_products()},
            )
            if not _save(book, folder):
                return book
        return cls(
            **{
                field.name: np.load(folder / f"{field.name}.npy", mmap_mode="r")
                for field in dataclasses.fields(cls)
            }
        )

    @classmethod
    def sample(
        cls, households: int = 20, until: date | None = None, cache_dir: Path | None = None
    ) -> "OrderBook":
        """A cut of the real book for tests: the first ``households`` buyers by id.

        Trades created on or after the shop-local day ``until`` are left out.
        """
        return _whole_book(cache_dir).cut(households, until)

    def cut(self, households: int, until: date | None = None) -> "OrderBook":
        """The trades of the first ``households`` buyers by id, created before ``until``."""
        keep = np.isin(self.household, np.unique(self.household)[:households])
        if until is not None:
            keep &= self.created < day_start(until)
        return self._only(keep)

    def part(self, number: int, of: int) -> "OrderBook":
        """The trades of every ``of``-th buyer, beginning with the ``number``-th (from 0).

        The parts of one ``of`` have no trade in common and are the whole book together.
        """
        return self._only(self.household % of == number)

    def _only(self, keep: NDArray[np.bool_]) -> "OrderBook":
        lines = np.repeat(keep, np.diff(self.line_start))
        refunds = keep[self.refund_trade]
        new_trade = np.cumsum(keep) - 1
        new_line = np.cumsum(lines) - 1
        rows = {"line": lines, "refund": refunds}
        values: dict[str, Any] = {
            field.name: getattr(self, field.name)[rows.get(field.name.split("_")[0], keep)]
            for field in dataclasses.fields(self)
            if field.name not in ("article", "article_title", "line_start")
        }
        values |= {"article": self.article, "article_title": self.article_title}
        counts = np.diff(self.line_start)[keep]
        values["line_start"] = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        values["refund_trade"] = new_trade[values["refund_trade"]]
        values["refund_line"] = new_line[values["refund_line"]]
        return OrderBook(**values)

    def warm_up(self) -> None:
        """Compute the indexes now (0.3 s for the whole book) instead of at the first call."""
        for name in ("trade_events", "refund_events", "refund_of_line", "refund_id", "_by_tid"):
            getattr(self, name)
        _ = self.trade_goods, self.trade_paid

    @property
    def trade_count(self) -> int:
        """Number of trades, whatever the clock."""
        return len(self.tid)

    @cached_property
    def trade_goods(self) -> Int64s:
        """List price of each trade's lines, fen."""
        return self._per_trade(self.line_goods)

    @cached_property
    def trade_paid(self) -> Int64s:
        """What each trade's buyer paid (or has to pay), fen."""
        return self._per_trade(self.line_paid)

    @cached_property
    def refund_of_line(self) -> NDArray[np.int32]:
        """Row of each line's refund, -1 for lines without."""
        rows = np.full(len(self.line_paid), -1, dtype=np.int32)
        rows[self.refund_line] = np.arange(len(self.refund_line), dtype=np.int32)
        return rows

    @cached_property
    def trade_events(self) -> "EventIndex":
        """Modifications of trades; a refund's transitions modify its trade too."""
        own = (self.created, self.paid, self.shipped, self.signed, self.ended)
        of_refund = (self.refund_requested, self.refund_decided, self.refund_ended)
        trades = np.arange(self.trade_count, dtype=np.int64)
        return EventIndex.of(
            np.concatenate([trades] * len(own) + [self.refund_trade] * len(of_refund)),
            np.concatenate(own + of_refund),
            self.tid,
        )

    @cached_property
    def refund_events(self) -> "EventIndex":
        """Modifications of refunds."""
        instants = (self.refund_requested, self.refund_decided, self.refund_ended)
        rows = np.arange(len(self.refund_line), dtype=np.int64)
        return EventIndex.of(np.concatenate([rows] * 3), np.concatenate(instants), self.refund_line)

    @cached_property
    def _by_tid(self) -> Int64s:
        return np.argsort(self.tid)

    def find_trade(self, tid: int) -> int | None:
        """Index of the trade with this number, whatever the clock."""
        place = int(np.searchsorted(self.tid, tid, sorter=self._by_tid))
        if place < self.trade_count and int(self.tid[self._by_tid[place]]) == tid:
            return int(self._by_tid[place])
        return None

    @cached_property
    def refund_id(self) -> Int64s:
        """Number of each refund."""
        return disguise.refund_ids(self.refund_oid)

    @cached_property
    def refund_oid(self) -> Int64s:
        """Sub-order number of each refund's line."""
        start = self.line_start[self.refund_trade]
        counts = self.line_start[self.refund_trade + 1] - start
        return disguise.line_ids(self.tid[self.refund_trade], self.refund_line - start + 1, counts)

    def find_refund(self, refund_id: int) -> int | None:
        """Row of the refund with this number, whatever the clock."""
        rows = np.flatnonzero(self.refund_id == refund_id)
        return int(rows[0]) if len(rows) else None

    def _per_trade(self, per_line: Int64s) -> Int64s:
        return np.add.reduceat(per_line, self.line_start[:-1])


@dataclass(frozen=True)
class EventIndex:
    """Transitions of many subjects, findable by time.

    Attributes:
        subject, time: the transitions ordered by (time, tie).
        following: time of the same subject's next transition, NEVER after its last.
        times_by_subject, first: all times ordered by (subject, time), and each subject's first.
    """

    subject: Int64s
    time: Int64s
    following: Int64s
    times_by_subject: Int64s
    first: Int64s

    @classmethod
    def of(cls, subject: Int64s, time: Int64s, tie: Int64s) -> "EventIndex":
        """Index of ``(subject, time)`` pairs; pairs at NEVER and repeated pairs count for nothing.

        ``tie`` (one number per subject) orders transitions of the same second.
        """
        happens = time != NEVER
        subject, time = subject[happens], time[happens]
        order = np.lexsort((time, subject))
        subject, time = subject[order], time[order]
        new = np.ones(len(subject), dtype=np.bool_)
        new[1:] = (subject[1:] != subject[:-1]) | (time[1:] != time[:-1])
        subject, time = subject[new], time[new]
        following = np.full(len(time), NEVER, dtype=np.int64)
        same = subject[1:] == subject[:-1]
        following[:-1][same] = time[1:][same]
        by_time = np.lexsort((tie[subject], time))
        return cls(
            subject=subject[by_time],
            time=time[by_time],
            following=following[by_time],
            times_by_subject=time,
            first=np.searchsorted(subject, np.arange(len(tie) + 1)),
        )

    def modified_between(self, start: int, end: int, clock: int) -> tuple[Int64s, Int64s]:
        """Subjects whose newest transition as of ``clock`` lies in [start, end], and its times.

        Ordered by time, oldest first.
        """
        low, high = np.searchsorted(self.time, [start, min(end, clock) + 1])
        newest = self.following[low:high] > clock
        return self.subject[low:high][newest], self.time[low:high][newest]

    def modified_at(self, subjects: Int64s, clock: int) -> Int64s:
        """Newest transition as of ``clock`` of each subject (which has one by then)."""
        if len(subjects) < 1000:
            return np.array(
                [self._newest(subject, clock) for subject in subjects.tolist()], dtype=np.int64
            )
        reached = np.concatenate(([0], np.cumsum(self.times_by_subject <= clock)))
        counts = reached[self.first[subjects + 1]] - reached[self.first[subjects]]
        newest: Int64s = self.times_by_subject[self.first[subjects] + counts - 1]
        return newest

    def _newest(self, subject: int, clock: int) -> int:
        times = self.times_by_subject[self.first[subject] : self.first[subject + 1]]
        return int(times[np.searchsorted(times, clock, side="right") - 1])


def day_start(day: date) -> int:
    """Wall seconds at which a shop-local day begins."""
    return (day - date(1970, 1, 1)).days * DAY


@lru_cache(maxsize=1)
def book_version() -> str:
    """Version of the prepared copy: that of the data and of the modules that build the book."""
    digest = hashlib.sha256(f"numpy {np.__version__.split('.')[0]}".encode())
    for module in (disguise, journey, money, timeline):
        digest.update(Path(module.__file__ or "").read_bytes())
    digest.update(Path(__file__).read_bytes())
    return f"{journey.package_version()}-{digest.hexdigest()[:12]}"


@lru_cache(maxsize=2)
def _whole_book(cache_dir: Path | None) -> OrderBook:
    return OrderBook.load(cache_dir)


def _columns(record: Transitions | Refunds) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


def _save(book: OrderBook, folder: Path) -> bool:
    """Write the prepared copy; a half-written one is never seen. False when it cannot be."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".book-", dir=folder.parent))
    except OSError:
        return False
    try:
        for field in dataclasses.fields(book):
            np.save(scratch / f"{field.name}.npy", getattr(book, field.name))
        (scratch / "about.json").write_text(json.dumps({"trades": book.trade_count}))
        scratch.rename(folder)
    except OSError:
        shutil.rmtree(scratch, ignore_errors=True)
        # Another process may have prepared the same copy in the meantime.
        return folder.is_dir()
    for other in folder.parent.glob("book-*"):
        if other != folder:  # of older code or data; who still has it open keeps it
            shutil.rmtree(other, ignore_errors=True)
    return True
