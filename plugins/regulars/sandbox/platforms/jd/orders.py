"""Orders as JD writes them, a page at a time: all values are strings.

The money of an order::

    orderTotalPrice  = sum of jdPrice * itemTotal
    orderSellerPrice = orderTotalPrice - sellerDiscount (the sum of coupons of type 30)
    orderPayment     = orderSellerPrice - other coupons - balanceUsed (+ freight, tax, service: 0)

Some buyers pay with their balance or a gift card (a coupon of type 52); what they paid in all is
the book's amount.
"""

import base64
import hashlib
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regulars.sandbox import disguise
from regulars.sandbox.book import EventIndex, OrderBook
from regulars.sandbox.money import yuan, yuan_list
from regulars.sandbox.timeline import NEVER, Outcome
from regulars.sandbox.wire import TradePage, wall_texts

Int64s = NDArray[np.int64]
Column = list[Any]
Record = dict[str, Any]

NOT_SET, NEVER_PAID = "0001-01-01 00:00:00", "1970-01-01 00:00:00"
STATES = (
    "NOT_PAY",
    "WAIT_SELLER_STOCK_OUT",
    "WAIT_GOODS_RECEIVE_CONFIRM",
    "FINISHED_L",
    "TRADE_CANCELED",
    "LOCKED",
)
STATE_ALIASES = {
    "DengDaiChuKu": "WAIT_SELLER_STOCK_OUT",
    "DengDaiFaHuo": "WAIT_SELLER_DELIVERY",
    "DengDaiQueRenShouHuo": "WAIT_GOODS_RECEIVE_CONFIRM",
    "WanCheng": "FINISHED_L",
    "ZanTing": "PAUSE",
    "POP": "POP_ORDER_PAUSE",
    "PeiSongTuiHuo": "DELIVERY_RETURN",
}
OTHER_STATES = (
    "WAIT_SELLER_DELIVERY",
    "PAUSE",
    "POP_ORDER_PAUSE",
    "DELIVERY_RETURN",
    "WAIT_SEND_CODE",
)
_REMARKS = ("等待付款", "等待出库", "等待确认收货", "完成", "取消", "锁定")

_ORDER_BASE, _ORDER_SPAN = 200_000_000_000, 100_000_000_000
# The stride is prime to the span: distinct baskets get distinct numbers of twelve digits.
_STRIDE, _SHIFT = 61_803_399, 27_182_818_284
_SKU_BASE, _WARE_BASE = 10_020_000_000_000, 10_010_000_000
_BALANCE_SHARE, _GIFT_CARD_SHARE = 0.05, 0.03
_VENDER = "11223344"


def order_ids(baskets: Int64s) -> Int64s:
    """Order numbers: twelve digits, unique."""
    return _ORDER_BASE + (baskets % _ORDER_SPAN * _STRIDE + _SHIFT) % _ORDER_SPAN


def sku_ids(articles: Int64s) -> Int64s:
    """Stock keeping units of the shop's articles."""
    return _SKU_BASE + articles


@cache
def open_id_buyer(household: int) -> str:
    """The platform's opaque, stable id of a buyer for one app."""
    digest = hashlib.sha256(f"regulars sandbox jd buyer {household}".encode()).digest()
    return "oJd" + base64.urlsafe_b64encode(digest[:18]).decode()


@cache
def xid_buyer(household: int) -> str:
    """The platform's opaque, stable id of a buyer for one merchant."""
    digest = hashlib.sha256(f"regulars sandbox jd xid {household}".encode()).digest()
    return "o*" + base64.urlsafe_b64encode(digest[:27]).decode()


def locked_at(book: OrderBook) -> Int64s:
    """When the buyer of each order asked to cancel it before shipment, else NEVER."""
    locked = np.full(book.trade_count, NEVER, dtype=np.int64)
    cancelled = book.outcome[book.refund_trade] == Outcome.CLOSED
    locked[book.refund_trade[cancelled]] = book.refund_requested[cancelled]
    return locked


def order_events(book: OrderBook) -> EventIndex:
    """Modifications of orders: changes of their state. Returned parcels change none."""
    times = (book.created, book.paid, locked_at(book), book.shipped, book.ended)
    orders = np.arange(book.trade_count, dtype=np.int64)
    return EventIndex.of(np.concatenate([orders] * len(times)), np.concatenate(times), book.tid)


def state_codes(book: OrderBook, orders: Int64s, locked: Int64s, clock: int) -> Int64s:
    """Index into STATES of each order as of ``clock``."""
    is_cancelled = np.isin(book.outcome[orders], (Outcome.UNPAID, Outcome.CLOSED))
    return np.select(
        [
            book.ended[orders] <= clock,
            book.shipped[orders] <= clock,
            locked[orders] <= clock,
            book.paid[orders] <= clock,
        ],
        [np.where(is_cancelled, 4, 3), 2, 5, 1],
        0,
    )


def balance_used(book: OrderBook, orders: Int64s) -> Int64s:
    """Fen that each buyer paid from the balance of the account."""
    uses = disguise.shares(book.basket[orders], "jd balance") < _BALANCE_SHARE
    return np.where(uses, book.trade_paid[orders] * 3 // 10, 0)


def gift_card_used(book: OrderBook, orders: Int64s) -> Int64s:
    """Fen that each buyer paid with a gift card."""
    uses = disguise.shares(book.basket[orders], "jd gift card") < _GIFT_CARD_SHARE
    return np.where(uses, book.trade_paid[orders] // 4, 0)


class OrderPage:
    """Some orders of a book as of a clock.

    Args:
        orders: indices into the book, all created by ``clock``.
        modified: wall seconds of each one's newest modification.
        states: index into STATES of each.
        is_encrypted: whether the consignee comes with ciphertext, too.
    """

    def __init__(
        self,
        book: OrderBook,
        orders: Int64s,
        modified: Int64s,
        states: Int64s,
        clock: int,
        *,
        is_encrypted: bool = False,
    ) -> None:
        self.book, self.orders, self.modified = book, orders, modified
        self.states, self.clock, self.is_encrypted = states, clock, is_encrypted
        self.page = TradePage(book, orders, modified, clock, is_full=False)
        self.ids = [str(number) for number in order_ids(book.basket[orders]).tolist()]

    def total(self, per_line: Int64s) -> Int64s:
        """Sum of a line's amount per order."""
        if not len(self.orders):
            return np.zeros(0, dtype=np.int64)
        sums: Int64s = np.add.reduceat(per_line[self.page.lines], self.page.first_line[:-1])
        return sums

    def per_order(self, lines: Column) -> list[Column]:
        """Values per line as lists per order."""
        bounds = self.page.first_line.tolist()
        return [lines[low:high] for low, high in pairwise(bounds)]

    def time(self, instants: Int64s, otherwise: str) -> Column:
        """Instants as text, ``otherwise`` where they have not come yet."""
        return [text or otherwise for text in self.page.time(instants[self.orders])]

    def records(self, wanted: frozenset[str]) -> list[Record]:
        """The answer's records, with the wanted members only."""
        columns = {name: build(self) for name, build in _MEMBERS.items() if name in wanted}
        return [
            {name: column[place] for name, column in columns.items()}
            for place in range(len(self.orders))
        ]


def _constant(value: object) -> Callable[[OrderPage], Column]:
    return lambda page: [value] * len(page.orders)


def _goods(page: OrderPage) -> Int64s:
    return page.total(page.book.line_goods)


def _seller_discount(page: OrderPage) -> Int64s:
    return page.total(page.book.line_item_discount)


def _payment(page: OrderPage) -> Column:
    book, orders = page.book, page.orders
    used = balance_used(book, orders) + gift_card_used(book, orders)
    return yuan_list(book.trade_paid[orders] - used)


def _items(page: OrderPage) -> Column:
    book, lines = page.book, page.page.lines
    articles = book.article[book.line_article[lines]]
    quantity = np.maximum(book.line_quantity[lines], 1)
    # Goods sold by weight have no whole number of fen per unit: they are one piece.
    quantity = np.where(book.line_goods[lines] % quantity == 0, quantity, 1)
    columns = zip(
        sku_ids(articles).tolist(),
        articles.tolist(),
        book.article_title[book.line_article[lines]].tolist(),
        yuan_list(book.line_goods[lines] // quantity),
        quantity.tolist(),
        strict=True,
    )
    items = [
        {
            "skuId": str(sku),
            "outerSkuId": str(article),
            "skuName": title,
            "jdPrice": price,
            "giftPoint": "0",
            "wareId": str(_WARE_BASE + article),
            "itemTotal": str(count),
            "productNo": "",
            "serviceName": "",
            "newStoreId": "0",
        }
        for sku, article, title, price, count in columns
    ]
    return page.per_order(items)


def _coupons(page: OrderPage) -> Column:
    book, lines = page.book, page.page.lines
    skus = sku_ids(book.article[book.line_article[lines]]).tolist()
    discounts = page.per_order(
        list(zip(skus, book.line_item_discount[lines].tolist(), strict=True))
    )
    shared = _goods(page) - _seller_discount(page) - book.trade_paid[page.orders]
    cards = gift_card_used(book, page.orders)
    rows = zip(page.ids, discounts, shared.tolist(), cards.tolist(), strict=True)
    result: Column = []
    for order, own, coupon, card in rows:
        found = [("30-单品促销优惠", str(sku), fen) for sku, fen in own if fen]
        found += [("41-京东券优惠", "", coupon)] if coupon else []
        found += [("52-礼品卡优惠", "", card)] if card else []
        result.append(
            [
                {"orderId": order, "skuId": sku, "couponType": kind, "couponPrice": yuan(fen)}
                for kind, sku, fen in found
            ]
        )
    return result


def _consignee(page: OrderPage) -> Column:
    people = []
    for household in page.page.households():
        name, mobile, address = disguise.masked_receiver(household)
        province, city, county, _ = disguise.place(household)
        person = {
            "fullname": name,
            "telephone": mobile,
            "mobile": mobile,
            "fullAddress": f"{province}{city}{county}{address}",
            "province": province,
            "city": city,
            "county": county,
            "town": "",
        }
        if page.is_encrypted:
            for member in ("fullname", "mobile", "telephone", "fullAddress"):
                digest = hashlib.sha512(f"jd {member} {household}".encode()).digest()
                person[f"encrypt_{member}"] = base64.b64encode(digest).decode()
        people.append(person)
    return people


_MEMBERS: dict[str, Callable[[OrderPage], Column]] = {
    "orderId": lambda page: page.ids,
    "venderId": _constant(_VENDER),
    "parentOrderId": _constant("0"),
    "orderType": _constant("22"),
    "orderState": lambda page: [STATES[code] for code in page.states.tolist()],
    "orderStateRemark": lambda page: [_REMARKS[code] for code in page.states.tolist()],
    "payType": _constant("4-在线支付"),
    "orderTotalPrice": lambda page: yuan_list(_goods(page)),
    "orderSellerPrice": lambda page: yuan_list(_goods(page) - _seller_discount(page)),
    "sellerDiscount": lambda page: yuan_list(_seller_discount(page)),
    "freightPrice": _constant("0.00"),
    "serviceFee": _constant("0.00"),
    "taxFee": _constant("0.00"),
    "balanceUsed": lambda page: yuan_list(balance_used(page.book, page.orders)),
    "orderPayment": _payment,
    "orderStartTime": lambda page: page.time(page.book.created, NOT_SET),
    "orderEndTime": lambda page: page.time(page.book.ended, NOT_SET),
    "modified": lambda page: wall_texts(page.modified),
    "paymentConfirmTime": lambda page: page.time(page.book.paid, NEVER_PAID),
    "itemInfoList": _items,
    "couponDetailList": _coupons,
    "consigneeInfo": _consignee,
    "open_id_buyer": lambda page: [open_id_buyer(one) for one in page.page.households()],
    "xid_buyer": lambda page: [xid_buyer(one) for one in page.page.households()],
    "orderSource": _constant("移动端订单"),
    "storeOrder": _constant(""),
    "storeId": _constant("0"),
    "returnOrder": _constant("0"),
    "idSopShipmenttype": _constant("70"),
}
