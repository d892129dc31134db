"""Trades and refunds as the Taobao open platform writes them, a page at a time.

Columns are computed for all lines of a page at once and only for the fields asked for; a field
without a value is absent. What only ``taobao.trade.fullinfo.get`` returns (``sign_time`` and the
text forms of ids among others) is absent from lists.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regulars.sandbox import disguise
from regulars.sandbox.book import OrderBook
from regulars.sandbox.money import yuan, yuan_list
from regulars.sandbox.timeline import NEVER, Outcome, RefundStatus

Int64s = NDArray[np.int64]
Column = list[Any]
Record = dict[str, Any]

SHOP_TITLE = "Demo Grocer"
SELLER_NICK = "demo_grocer"

TRADE_STATUS = (
    "WAIT_BUYER_PAY",
    "WAIT_SELLER_SEND_GOODS",
    "WAIT_BUYER_CONFIRM_GOODS",
    "TRADE_FINISHED",
    "TRADE_CLOSED",
    "TRADE_CLOSED_BY_TAOBAO",
)
REFUND_STATUS = tuple(status.name for status in RefundStatus)
_FINISHED, _CLOSED, _CLOSED_UNPAID = 3, 4, 5

# The addressee's opaque id comes only to those who ask for all of these.
_OAID_NEEDS = frozenset(
    ("receiver_name", "receiver_address", "created", "receiver_mobile", "receiver_phone")
)
_REASONS = ("不想要了", "商品破损", "少件漏发", "质量问题", "拍错了")


@dataclass(frozen=True)
class FieldSelection:
    """The ``fields`` parameter: record fields, and the sub-order fields when orders are wanted.

    ``order_fields`` is None for all of them, empty for none.
    """

    fields: frozenset[str]
    order_fields: frozenset[str] | None

    @classmethod
    @lru_cache(maxsize=64)
    def parse(cls, text: str) -> "FieldSelection":
        """Read a comma list such as ``tid,payment,orders.oid``; ``orders`` means all of it."""
        names = frozenset(name.strip() for name in text.split(",") if name.strip())
        nested = frozenset(
            name.removeprefix("orders.") for name in names if name.startswith("orders.")
        )
        return cls(names, None if "orders" in names else nested)

    def wants_orders(self) -> bool:
        """Whether sub-orders are to be returned at all."""
        return self.order_fields is None or bool(self.order_fields)


class TradePage:
    """Some trades of a book as of a clock.

    Args:
        trades: indices into the book, in the order of the answer; all created by ``clock``.
        modified: wall seconds of each one's newest modification.
        clock: wall seconds; one for all, or one for each trade.
        is_full: whether fields that only the single-trade method returns are included.
    """

    def __init__(
        self,
        book: OrderBook,
        trades: Int64s,
        modified: Int64s,
        clock: int | Int64s,
        is_full: bool,
    ) -> None:
        self.book, self.trades, self.modified = book, trades, modified
        self.clock, self.is_full = clock, is_full
        start = book.line_start[trades]
        self.counts = book.line_start[trades + 1] - start
        self.first_line = np.concatenate(([0], np.cumsum(self.counts)))
        self.position = np.arange(1, self.first_line[-1] + 1) - self.repeat(self.first_line[:-1])
        self.lines = self.repeat(start) + self.position - 1

    def repeat(self, per_trade: NDArray[Any]) -> NDArray[Any]:
        """Values per trade as values per line."""
        return np.repeat(per_trade, self.counts)

    @cached_property
    def line_clock(self) -> int | Int64s:
        """The clock of each line's trade."""
        return self.clock if isinstance(self.clock, int) else self.repeat(self.clock)

    @cached_property
    def status(self) -> Int64s:
        """Index into TRADE_STATUS per trade."""
        return trade_status(self.book, self.trades, self.clock)

    @cached_property
    def refund(self) -> Int64s:
        """Row of each line's refund that was asked for by now, else -1."""
        if not len(self.book.refund_line):
            return np.full(len(self.lines), -1, dtype=np.int64)
        rows = self.book.refund_of_line[self.lines].astype(np.int64)
        asked = (rows >= 0) & (self.book.refund_requested[rows] <= self.line_clock)
        return np.where(asked, rows, -1)

    @cached_property
    def refund_state(self) -> Int64s:
        """RefundStatus per line, -1 without refund."""
        if not len(self.book.refund_line):
            return self.refund
        status = refund_status(self.book, self.refund, self.line_clock)
        return np.where(self.refund >= 0, status, -1)

    @cached_property
    def refunded(self) -> Int64s:
        """Fen refunded so far per line."""
        if not len(self.book.refund_line):
            return np.zeros(len(self.lines), dtype=np.int64)
        done = self.refund_state == RefundStatus.SUCCESS
        return np.where(done, self.book.refund_fee[self.refund], 0)

    @cached_property
    def product_texts(self) -> list[str]:
        """Product id of each line as text."""
        return list(map(str, _products(self)))

    def time(self, instants: Int64s) -> Column:
        """Instants as text, None where they have not come yet."""
        return [
            text if reached else None
            for text, reached in zip(
                wall_texts(instants), (instants <= self.clock).tolist(), strict=True
            )
        ]

    def line_time(self, instants: Int64s) -> Column:
        """Instants of the trades as text for each of their lines."""
        texts = self.time(instants)
        counts = self.counts.tolist()
        return [text for text, count in zip(texts, counts, strict=True) for _ in range(count)]

    def households(self) -> list[int]:
        """Household of each trade."""
        households: list[int] = self.book.household[self.trades].tolist()
        return households

    def records(self, selection: FieldSelection, *, wrap: bool = True) -> list[Record]:
        """The answer's records.

        With ``wrap`` lists stand inside wrapper objects, as on the platform without ``simplify``.
        """
        wanted = selection.fields
        if "buyer_nick" in wanted:  # documented: asking for the nick brings the opaque id
            wanted = wanted | {"buyer_open_uid"}
        if not wanted >= _OAID_NEEDS:
            wanted = wanted - {"oaid"}
        columns = {
            name: build(self)
            for name, build in _TRADE_FIELDS.items()
            if name in wanted and (self.is_full or name not in _FULL_ONLY)
        }
        records = _rows(columns, len(self.trades))
        if selection.wants_orders():
            orders = self._orders(selection.order_fields)
            bounds = self.first_line.tolist()
            for record, low, high in zip(records, bounds[:-1], bounds[1:], strict=True):
                own = orders[low:high]
                record["orders"] = {"order": own} if wrap else own
        return records

    def _orders(self, wanted: frozenset[str] | None) -> list[Record]:
        columns = {
            name: build(self)
            for name, build in _ORDER_FIELDS.items()
            if (wanted is None or name in wanted) and (self.is_full or name not in _FULL_ONLY)
        }
        return _rows(columns, len(self.lines))


class RefundPage:
    """Some refunds of a book as of a clock; arguments as for :class:`TradePage`."""

    def __init__(
        self, book: OrderBook, rows: Int64s, modified: Int64s, clock: int | Int64s
    ) -> None:
        self.book, self.rows, self.modified, self.clock = book, rows, modified, clock
        self.trades = book.refund_trade[rows]
        self.lines = book.refund_line[rows]
        self.status = refund_status(book, rows, clock)

    def records(self, selection: FieldSelection) -> list[Record]:
        """The answer's records."""
        columns = {
            name: build(self) for name, build in _REFUND_FIELDS.items() if name in selection.fields
        }
        return _rows(columns, len(self.rows))


def trade_status(book: OrderBook, trades: Int64s, clock: int | Int64s) -> Int64s:
    """Index into TRADE_STATUS of each trade as of ``clock``."""
    outcome = book.outcome[trades]
    ended = np.select(
        [outcome == Outcome.UNPAID, outcome == Outcome.CLOSED], [_CLOSED_UNPAID, _CLOSED], _FINISHED
    )
    return np.select(
        [
            book.ended[trades] <= clock,
            book.shipped[trades] <= clock,
            book.paid[trades] <= clock,
        ],
        [ended, 2, 1],
        0,
    )


def refund_status(book: OrderBook, rows: Int64s, clock: int | Int64s) -> Int64s:
    """RefundStatus of each refund as of ``clock``."""
    return np.select(
        [book.refund_ended[rows] <= clock, book.refund_decided[rows] <= clock],
        [
            book.refund_ended_status[rows].astype(np.int64),
            book.refund_decided_status[rows].astype(np.int64),
        ],
        int(RefundStatus.WAIT_SELLER_AGREE),
    )


def wall_texts(instants: Int64s) -> list[str]:
    """Wall seconds as ``YYYY-MM-DD HH:MM:SS``; NEVER comes out as the start of 1970."""
    known = np.where(instants == NEVER, 0, instants)
    texts: list[str] = np.datetime_as_string(known.astype("datetime64[s]")).tolist()
    return [text.replace("T", " ") for text in texts]


def _rows(columns: dict[str, Column], count: int) -> list[Record]:
    """Columns as records; None means absent."""
    dense = {name: column for name, column in columns.items() if None not in column}
    if dense:
        names = tuple(dense)
        records = [dict(zip(names, row, strict=True)) for row in zip(*dense.values(), strict=True)]
    else:
        records = [{} for _ in range(count)]
    for name in columns.keys() - dense.keys():
        for record, value in zip(records, columns[name], strict=True):
            if value is not None:
                record[name] = value
    return records


def _constant(value: object) -> Callable[[TradePage], Column]:
    return lambda page: [value] * len(page.trades)


def _line_constant(value: object) -> Callable[[TradePage], Column]:
    return lambda page: [value] * len(page.lines)


def _buyer(describe: Callable[[int], str]) -> Callable[[TradePage], Column]:
    cached = lru_cache(maxsize=None)(describe)
    return lambda page: [cached(household) for household in page.households()]


def _received_payment(page: TradePage) -> Column:
    refunds = np.add.reduceat(page.refunded, page.first_line[:-1])
    kept = page.book.trade_paid[page.trades] - refunds
    return yuan_list(np.where(page.status == _FINISHED, kept, 0))


def _of_single_line(
    per_line: Callable[[TradePage], Column], otherwise: object = None
) -> Callable[[TradePage], Column]:
    """Single-line trades carry the item's fields themselves."""

    def build(page: TradePage) -> Column:
        values = per_line(page)
        firsts, counts = page.first_line[:-1].tolist(), page.counts.tolist()
        return [
            values[first] if count == 1 else otherwise
            for first, count in zip(firsts, counts, strict=True)
        ]

    return build


def _unit_prices(page: TradePage) -> Column:
    # Weighed goods and fuel come in small units: rounded to the fen, price times quantity is then
    # near the line's total_fee and not equal to it. Coupon-only lines have quantity 0.
    goods = page.book.line_goods[page.lines]
    quantity = np.maximum(page.book.line_quantity[page.lines], 1)
    return yuan_list((2 * goods + quantity) // (2 * quantity))


def _titles(page: "TradePage | RefundPage") -> Column:
    titles: list[str] = page.book.article_title[page.book.line_article[page.lines]].tolist()
    return titles


def _coupon_share(page: TradePage) -> Int64s:
    book, lines = page.book, page.lines
    share: Int64s = book.line_goods[lines] - book.line_item_discount[lines] - book.line_paid[lines]
    return share


def _is_single(page: TradePage) -> NDArray[np.bool_]:
    single: NDArray[np.bool_] = page.repeat(page.counts == 1)
    return single


def _order_discount(page: TradePage) -> Column:
    discount = page.book.line_item_discount[page.lines]
    return yuan_list(np.where(_is_single(page), discount + _coupon_share(page), discount))


def _order_payment(page: TradePage) -> Column:
    paid = page.book.line_paid[page.lines]
    return yuan_list(np.where(_is_single(page), paid, paid + _coupon_share(page)))


def _promotion_share(page: TradePage) -> Column:
    share = np.where(_is_single(page), 0, _coupon_share(page)).tolist()
    return [yuan(fen) if fen else None for fen in share]


def _order_status(page: TradePage) -> Column:
    whole_line_back = (page.refunded > 0) & (page.refunded == page.book.line_paid[page.lines])
    of_trade = page.repeat(page.status)
    # After the trade has finished a return changes the refund record alone.
    closed = whole_line_back & (of_trade != _FINISHED)
    return [TRADE_STATUS[code] for code in np.where(closed, _CLOSED, of_trade).tolist()]


def _order_refund_status(page: TradePage) -> Column:
    return [
        REFUND_STATUS[state] if state >= 0 else "NO_REFUND" for state in page.refund_state.tolist()
    ]


def _order_refund_id(page: TradePage) -> Column:
    if not len(page.book.refund_line):
        return [None] * len(page.lines)
    ids = page.book.refund_id[page.refund].tolist()
    return [
        str(number) if row >= 0 else None
        for number, row in zip(ids, page.refund.tolist(), strict=True)
    ]


def _oids(page: TradePage) -> Int64s:
    tids = page.repeat(page.book.tid[page.trades])
    return disguise.line_ids(tids, page.position, page.repeat(page.counts))


def _products(page: "TradePage | RefundPage") -> list[int]:
    products: list[int] = page.book.article[page.book.line_article[page.lines]].tolist()
    return products


def _quantities(page: TradePage) -> Column:
    quantities: list[int] = page.book.line_quantity[page.lines].tolist()
    return quantities


_TRADE_FIELDS: dict[str, Callable[[TradePage], Column]] = {
    "tid": lambda page: page.book.tid[page.trades].tolist(),
    "tid_str": lambda page: [str(tid) for tid in page.book.tid[page.trades].tolist()],
    "status": lambda page: [TRADE_STATUS[code] for code in page.status.tolist()],
    "type": _constant("fixed"),
    "title": _constant(SHOP_TITLE),
    "seller_nick": _constant(SELLER_NICK),
    "created": lambda page: wall_texts(page.book.created[page.trades]),
    "modified": lambda page: wall_texts(page.modified),
    "pay_time": lambda page: page.time(page.book.paid[page.trades]),
    "consign_time": lambda page: page.time(page.book.shipped[page.trades]),
    "sign_time": lambda page: page.time(page.book.signed[page.trades]),
    "end_time": lambda page: page.time(page.book.ended[page.trades]),
    "buyer_open_uid": _buyer(disguise.buyer_open_uid),
    "buyer_nick": _buyer(disguise.buyer_nick),
    "payment": lambda page: yuan_list(page.book.trade_paid[page.trades]),
    "total_fee": lambda page: yuan_list(page.book.trade_goods[page.trades]),
    "discount_fee": lambda page: yuan_list(
        page.book.trade_goods[page.trades] - page.book.trade_paid[page.trades]
    ),
    "adjust_fee": _constant("0.00"),
    "post_fee": _constant("0.00"),
    "received_payment": _received_payment,
    "shipping_type": _constant("express"),
    "trade_from": _constant("TAOBAO"),
    "num": _of_single_line(_quantities, 0),
    "num_iid": _of_single_line(_products),
    "price": _of_single_line(_unit_prices),
    "receiver_name": _buyer(lambda household: disguise.masked_receiver(household)[0]),
    "receiver_mobile": _buyer(lambda household: disguise.masked_receiver(household)[1]),
    "receiver_address": _buyer(lambda household: disguise.masked_receiver(household)[2]),
    "receiver_state": _buyer(lambda household: disguise.place(household)[0]),
    "receiver_city": _buyer(lambda household: disguise.place(household)[1]),
    "receiver_district": _buyer(lambda household: disguise.place(household)[2]),
    "oaid": lambda page: [disguise.oaid(tid) for tid in page.book.tid[page.trades].tolist()],
}

_ORDER_FIELDS: dict[str, Callable[[TradePage], Column]] = {
    "oid": lambda page: _oids(page).tolist(),
    "oid_str": lambda page: [str(oid) for oid in _oids(page).tolist()],
    "num_iid": _products,
    "sku_id": lambda page: page.product_texts,
    "outer_iid": lambda page: page.product_texts,
    "title": _titles,
    "price": _unit_prices,
    "num": _quantities,
    "total_fee": lambda page: yuan_list(page.book.line_goods[page.lines]),
    "discount_fee": _order_discount,
    "adjust_fee": _line_constant("0.00"),
    "payment": _order_payment,
    "divide_order_fee": lambda page: yuan_list(page.book.line_paid[page.lines]),
    "part_mjz_discount": _promotion_share,
    "status": _order_status,
    "refund_status": _order_refund_status,
    "refund_id": _order_refund_id,
    "consign_time": lambda page: page.line_time(page.book.shipped[page.trades]),
    "end_time": lambda page: page.line_time(page.book.ended[page.trades]),
}

_FULL_ONLY = frozenset(("tid_str", "oid_str", "sign_time", "trade_from"))


def _refund_total(page: RefundPage) -> Int64s:
    paid: Int64s = page.book.line_paid[page.lines]
    return paid


_REFUND_FIELDS: dict[str, Callable[[RefundPage], Column]] = {
    "refund_id": lambda page: [str(number) for number in page.book.refund_id[page.rows].tolist()],
    "tid": lambda page: page.book.tid[page.trades].tolist(),
    "oid": lambda page: page.book.refund_oid[page.rows].tolist(),
    "title": _titles,
    "num": lambda page: page.book.line_quantity[page.lines].tolist(),
    "num_iid": _products,
    "buyer_open_uid": lambda page: [
        disguise.buyer_open_uid(household)
        for household in page.book.household[page.trades].tolist()
    ],
    "buyer_nick": lambda page: [
        disguise.buyer_nick(household) for household in page.book.household[page.trades].tolist()
    ],
    "seller_nick": lambda page: [SELLER_NICK] * len(page.rows),
    "total_fee": lambda page: yuan_list(_refund_total(page)),
    "refund_fee": lambda page: yuan_list(page.book.refund_fee[page.rows]),
    "payment": lambda page: yuan_list(_refund_total(page) - page.book.refund_fee[page.rows]),
    "status": lambda page: [REFUND_STATUS[code] for code in page.status.tolist()],
    "created": lambda page: wall_texts(page.book.refund_requested[page.rows]),
    "modified": lambda page: wall_texts(page.modified),
    "good_status": lambda page: _good_status(page),
    "has_good_return": lambda page: page.book.refund_is_return[page.rows].tolist(),
    "order_status": lambda page: [
        TRADE_STATUS[code] for code in trade_status(page.book, page.trades, page.clock).tolist()
    ],
    "refund_phase": lambda page: [
        "aftersale" if late else "onsale" for late in page.book.refund_is_return[page.rows].tolist()
    ],
    "dispute_type": lambda page: [
        "REFUND_AND_RETURN" if goods else "REFUND"
        for goods in page.book.refund_is_return[page.rows].tolist()
    ],
    "refund_version": lambda page: (page.modified * 1000).tolist(),
    "reason": lambda page: [
        reason_of(number) for number in page.book.refund_id[page.rows].tolist()
    ],
}


EVERY_TRADE_FIELD = FieldSelection(frozenset(_TRADE_FIELDS), None)
EVERY_REFUND_FIELD = FieldSelection(frozenset(_REFUND_FIELDS), frozenset())
"""What the single-record methods answer to those who ask for all."""


def reason_of(refund_id: int) -> str:
    """The reason that the buyer of a refund gave."""
    return _REASONS[refund_id % len(_REASONS)]


def _good_status(page: RefundPage) -> Column:
    returned = (page.status == RefundStatus.SUCCESS) & page.book.refund_is_return[page.rows]
    received = page.book.signed[page.trades] <= page.clock
    codes = np.select([returned, received], [2, 1], 0).tolist()
    names = ("BUYER_NOT_RECEIVED", "BUYER_RECEIVED", "BUYER_RETURNED_GOODS")
    return [names[code] for code in codes]
