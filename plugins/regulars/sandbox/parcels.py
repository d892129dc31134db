"""Parcels of the sandbox shop and their ways, between the trade's shipping and its signing.

Five steps: accepted, left, arrived in the addressee's city, out for delivery, signed for. When is a
pure function of the trade; the texts name the city only, which the platform shows as well.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regulars.sandbox import disguise
from regulars.sandbox.book import OrderBook
from regulars.sandbox.timeline import HOUR, NEVER
from regulars.sandbox.wire import SELLER_NICK, wall_texts

Int64s = NDArray[np.int64]

COMPANY = "演示快递"
IN_CITY_BEFORE = (4 * HOUR, 12 * HOUR)
DELIVERED_AFTER = HOUR
_STEPS = (
    ("ACCEPT", "【演示】已揽收"),
    ("DEPART", "【演示】已离开揽收网点"),
    ("ARRIVE", "【演示】已到达{city}"),
    ("DELIVER", "【演示】{city}派送中"),
    ("SIGN", "【演示】已签收"),
)
_STATUS = {"way": "物流公司揽收成功", "signed": "对方已签收"}


def waybill(tid: int) -> str:
    """The parcel's number at its carrier."""
    return f"DEMO{disguise.mixed(np.array([tid]), 'waybill')[0] % np.uint64(10**12):012d}"


def step_times(book: OrderBook, trade: int) -> list[int]:
    """Wall seconds of a shipped trade's five steps, ascending."""
    shipped, signed = int(book.shipped[trade]), int(book.signed[trade])
    before = int(disguise.spread(book.tid[[trade]], "in city", *IN_CITY_BEFORE)[0])
    in_city = signed - before
    return [
        shipped + HOUR,
        shipped + 2 * HOUR,
        in_city,
        in_city + DELIVERED_AFTER,
        signed,
    ]


def shipped_trades(book: OrderBook, start: int, end: int, clock: int) -> Int64s:
    """Trades shipped within [start, end] by the clock, the newest first."""
    shipped = np.where(book.shipped == NEVER, -1, book.shipped)
    trades = np.flatnonzero((shipped >= start) & (shipped <= min(end, clock)))
    order = np.lexsort((book.tid[trades], shipped[trades]))[::-1]
    found: Int64s = trades[order].astype(np.int64)
    return found


def shippings(
    book: OrderBook, trades: Int64s, clock: int, fields: frozenset[str]
) -> list[dict[str, Any]]:
    """Parcels as ``taobao.logistics.orders.get`` lists them."""
    records = []
    for trade in trades.tolist():
        tid, signed = int(book.tid[trade]), int(book.signed[trade])
        moved = max((at for at in step_times(book, trade) if at <= clock), default=0)
        sent = int(book.shipped[trade])
        whole = {
            "tid": tid,
            "order_code": str(tid),
            "seller_nick": SELLER_NICK,
            "buyer_nick": disguise.buyer_nick(int(book.household[trade])),
            "out_sid": waybill(tid),
            "company_name": COMPANY,
            "status": "ACCEPTED_BY_RECEIVER" if signed <= clock else "ACCEPTED",
            "type": "express",
            "freight_payer": "seller",
            "seller_confirm": "yes",
            "is_split": 0,
            "created": _text(sent),
            "modified": _text(max(moved, sent)),
            "delivery_start": _text(sent),
        }
        if signed <= clock:
            whole["delivery_end"] = _text(signed)
        records.append({name: whole[name] for name in whole if name in fields})
    return records


def trace(book: OrderBook, trade: int, clock: int) -> dict[str, Any]:
    """A parcel's way so far, as ``taobao.logistics.trace.get`` tells it."""
    tid = int(book.tid[trade])
    city = disguise.place(int(book.household[trade]))[1]
    steps = [
        {"status_time": _text(at), "status_desc": text.format(city=city), "action": action}
        for at, (action, text) in zip(step_times(book, trade), _STEPS, strict=True)
        if at <= clock
    ]
    whole: dict[str, Any] = {
        "tid": tid,
        "out_sid": waybill(tid),
        "company_name": COMPANY,
        "status": _STATUS["signed" if int(book.signed[trade]) <= clock else "way"],
    }
    if steps:
        whole["trace_list"] = {"transit_step_info": steps}
    return whole


def _text(wall: int) -> str:
    return wall_texts(np.array([wall], dtype=np.int64))[0]
