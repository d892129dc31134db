"""Orders and after-sales cases of the order book as Pinduoduo writes them.

Pinduoduo knows no signing apart from the buyer's confirmation, so an order is received (3) when
the book's trade ends. A trade that nobody paid is an order that was never dealt, cancelled in the
end. Amounts are yuan, as texts or numbers: the platform's own models disagree.
"""

import base64
import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regulars.sandbox import disguise
from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import unix_seconds
from regulars.sandbox.money import yuan
from regulars.sandbox.timeline import NEVER, Outcome, RefundStatus
from regulars.sandbox.wire import reason_of, refund_status, wall_texts

Int64s = NDArray[np.int64]
Record = dict[str, Any]

# Prime to 10^15: distinct baskets get distinct digits, and the digits give the basket back.
_SN_STRIDE, _SN_SHIFT, _SN_SIZE = 22_801_763, 355_530_178_612_389, 10**15
_SN_INVERSE = pow(_SN_STRIDE, -1, _SN_SIZE)
_GOODS_BASE, _SKU_BASE, _CASE_BASE = 363_000_000_000, 1_318_000_000_000, 5_000_000_000_000

_IN_PROCESS = (
    RefundStatus.WAIT_SELLER_AGREE,
    RefundStatus.WAIT_BUYER_RETURN_GOODS,
    RefundStatus.SELLER_REFUSE_BUYER,
)
_PAY_TYPES = ("WEIXIN", "ALIPAY", "QQ", "LIANLIANPAY")


def order_sn(basket: int, created: int) -> str:
    """Number of an order: its day and fifteen digits."""
    day = wall_texts(np.array([created]))[0][2:10].replace("-", "")
    return f"{day}-{(basket * _SN_STRIDE + _SN_SHIFT) % _SN_SIZE:015d}"


def basket_of(sn: str) -> int | None:
    """Basket of an order number; None for a text of another form."""
    day, _, digits = sn.partition("-")
    if len(day) != 6 or len(digits) != 15 or not (day + digits).isdecimal():
        return None
    return (int(digits) - _SN_SHIFT) * _SN_INVERSE % _SN_SIZE


def case_id(oid: int) -> int:
    """Number of the after-sales case of a line; above 2^53."""
    return oid + _CASE_BASE


def ciphertext(text: str, sn: str) -> str:
    """What the platform sends for a contact; nothing can be read out of it."""
    digest = hashlib.sha512(f"pdd {sn} {text}".encode()).digest()
    return f"~AgAAAA{base64.b64encode(digest).decode()}~1~"


class Writer:
    """Writes records of one book as of a wall second.

    Args:
        has_numbers: amounts as JSON numbers instead of texts.
        has_unix_times: times of after-sales cases in unix seconds instead of wall clock.
    """

    def __init__(
        self,
        book: OrderBook,
        clock: int,
        *,
        has_numbers: bool = False,
        has_unix_times: bool = False,
    ) -> None:
        self.book, self.clock = book, clock
        self._has_numbers = has_numbers
        self._has_unix_times = has_unix_times

    def amount(self, fen: int) -> Any:
        """An amount in yuan."""
        return fen / 100 if self._has_numbers else yuan(fen)

    def time(self, instant: int) -> str | None:
        """An instant as text, None when it has not come yet."""
        return wall_texts(np.array([instant]))[0] if instant <= self.clock else None

    def cases(self, trade: int) -> list[int]:
        """Rows of the refunds that were asked for by now, the newest last."""
        book = self.book
        rows = book.refund_of_line[book.line_start[trade] : book.line_start[trade + 1]]
        asked = [
            row for row in rows[rows >= 0].tolist() if book.refund_requested[row] <= self.clock
        ]
        return sorted(asked, key=lambda row: (int(book.refund_requested[row]), row))

    def statuses(self, trade: int) -> Record:
        """The states that tell together how an order stands."""
        book, cases = self.book, self.cases(trade)
        states = refund_status(book, np.array(cases, dtype=np.int64), self.clock).tolist()
        is_over = book.ended[trade] <= self.clock
        is_shipped = book.shipped[trade] <= self.clock
        is_dealt = book.paid[trade] <= self.clock
        is_cancelled = is_over and book.outcome[trade] == Outcome.UNPAID
        refund = 1
        if any(state in _IN_PROCESS for state in states):
            refund = 2
        elif RefundStatus.SUCCESS in states:
            refund = 4
        return {
            "order_status": 3 if is_shipped and is_over else 2 if is_shipped else 1,
            "confirm_status": 2 if is_cancelled else 1 if is_dealt else 0,
            "group_status": 2 if is_cancelled else 1 if is_dealt else 0,
            "refund_status": refund,
            "after_sales_status": self._case_status(cases[-1]) if cases else 0,
            "risk_control_status": int(self._is_under_review(trade) and not is_shipped),
            "trade_type": 0,
        }

    def orders(self, trades: Iterable[int], modified: Iterable[int], kind: str) -> list[Record]:
        """Orders as a ``list``, a ``basic`` list without consumer data, or in full ``detail``."""
        pairs = zip(trades, modified, strict=True)
        return [self._order(trade, moment, kind) for trade, moment in pairs]

    def _order(self, trade: int, modified: int, kind: str) -> Record:
        book = self.book
        sn = order_sn(int(book.basket[trade]), int(book.created[trade]))
        state = self.statuses(trade)
        is_received = state["order_status"] == 3
        record = {
            "order_sn": sn,
            **state,
            "created_time": self.time(int(book.created[trade])),
            "pay_time": self.time(int(book.paid[trade])),
            "confirm_time": self.time(int(book.paid[trade])),
            "shipping_time": self.time(int(book.shipped[trade])),
            "receive_time": self.time(int(book.ended[trade])) if is_received else None,
            "updated_at": wall_texts(np.array([modified]))[0],
            "last_ship_time": None,
            "pre_sale_time": None,
            **self._money(trade),
            "pay_no": f"XP{sn}" if state["confirm_status"] == 1 else "",
            "pay_type": _PAY_TYPES[int(book.basket[trade]) % len(_PAY_TYPES)],
            "item_list": self._items(trade),
            "logistics_id": 85 if state["order_status"] > 1 else 0,
            "tracking_number": f"YT{int(book.basket[trade])}" if state["order_status"] > 1 else "",
            "cat_id_1": 1,
            "buyer_memo": "",
            "remark": "",
            "remark_tag": None,
            "is_lucky_flag": 1,
            "is_pre_sale": 0,
            "is_stock_out": 0,
            "stock_out_handle_status": -1,
            "invoice_status": 0,
            "mkt_biz_type": 0,
            "step_order_info": None,
            "order_depot_info": None,
            "gift_list": None,
            "card_info_list": None,
            "order_tag_list": [{"name": "no_trace_delivery", "value": "0"}],
        }
        if kind != "basic":
            record.update(self._consumer(trade, sn, state))
        if kind == "detail":
            record.update(self._masked(trade), group_order_id=trade + 1, group_role=1)
        return record

    def _money(self, trade: int) -> Record:
        book = self.book
        goods, paid = int(book.trade_goods[trade]), int(book.trade_paid[trade])
        lines = slice(int(book.line_start[trade]), int(book.line_start[trade + 1]))
        by_seller = int(book.line_item_discount[lines].sum())
        return {
            "goods_amount": self.amount(goods),
            "discount_amount": self.amount(goods - paid),
            "pay_amount": self.amount(paid),
            "postage": self.amount(0),
            "platform_discount": self.amount(goods - paid - by_seller),
            "seller_discount": self.amount(by_seller),
            "capital_free_discount": self.amount(0),
            "order_change_amount": self.amount(0),
        }

    def _items(self, trade: int) -> list[Record]:
        low, high = self.book.line_start[trade : trade + 2].tolist()
        return [
            {
                "goods_id": _GOODS_BASE + product,
                "sku_id": _SKU_BASE + product,
                "outer_id": str(product),
                "outer_goods_id": str(product),
                "goods_name": title,
                "goods_spec": "默认",
                "goods_price": self.amount(price),
                "goods_count": count,
                "goods_img": "",
            }
            for product, title, price, count in map(self._item, range(low, high))
        ]

    def _item(self, line: int) -> tuple[int, str, int, int]:
        """Product, title, price in fen and count of a line; price times count is its goods."""
        book = self.book
        article = int(book.line_article[line])
        goods, count = int(book.line_goods[line]), int(book.line_quantity[line])
        # Weighed goods have no price of a unit in whole fen: what was weighed is sold as one.
        if count < 1 or goods % count:
            count = 1
        return int(book.article[article]), str(book.article_title[article]), goods // count, count

    def _consumer(self, trade: int, sn: str, state: Record) -> Record:
        household = int(self.book.household[trade])
        province, city, town, _ = disguise.place(household)
        # Ciphertext only while the order is to be shipped and not under review.
        is_shown = state["order_status"] == 1 and not state["risk_control_status"]
        secret = ciphertext(str(household), sn) if is_shown else ""
        return {
            "country": "中国",
            "province": province,
            "city": city,
            "town": town,
            "address": secret,
            "receiver_address": secret[::-1],
            "receiver_name": secret[:40],
            "receiver_phone": secret[:30],
        }

    def _masked(self, trade: int) -> Record:
        name, mobile, address = disguise.masked_receiver(int(self.book.household[trade]))
        return {
            "receiver_name_mask": name,
            "receiver_phone_mask": mobile,
            "address_mask": address,
            "receiver_address_mask": address,
        }

    def _is_under_review(self, trade: int) -> bool:
        return bool(disguise.shares(self.book.basket[trade : trade + 1], "pdd risk")[0] < 0.02)

    # --- after-sales cases ------------------------------------------------------------------

    def _case_status(self, row: int) -> int:
        state = int(refund_status(self.book, np.array([row]), self.clock)[0])
        asked = 3 if self.book.refund_is_return[row] else 2
        return {
            RefundStatus.WAIT_SELLER_AGREE: asked,
            RefundStatus.WAIT_BUYER_RETURN_GOODS: 7,
            RefundStatus.SELLER_REFUSE_BUYER: 6,
            RefundStatus.SUCCESS: 10,
            RefundStatus.CLOSED: 12,
        }[RefundStatus(state)]

    def case_statuses(self, rows: Int64s) -> Int64s:
        """after_sales_status of each case."""
        return np.array([self._case_status(row) for row in rows.tolist()], dtype=np.int64)

    def refunds(self, rows: Iterable[int], modified: Iterable[int]) -> list[Record]:
        """After-sales cases, each with its last change."""
        pairs = zip(rows, modified, strict=True)
        return [self._refund(row, moment) for row, moment in pairs]

    def _refund(self, row: int, modified: int) -> Record:
        book = self.book
        trade, line = int(book.refund_trade[row]), int(book.refund_line[row])
        product, title, price, count = self._item(line)
        return {
            "id": case_id(int(book.refund_oid[row])),
            "order_sn": order_sn(int(book.basket[trade]), int(book.created[trade])),
            "after_sales_status": self._case_status(row),
            "after_sales_type": 3 if book.refund_is_return[row] else 2,
            "after_sale_reason": reason_of(int(book.refund_id[row])),
            "refund_amount": yuan(int(book.refund_fee[row])),
            "order_amount": yuan(int(book.trade_paid[trade])),
            "discount_amount": yuan(int(book.trade_goods[trade] - book.trade_paid[trade])),
            "goods_id": _GOODS_BASE + product,
            "sku_id": str(_SKU_BASE + product),
            "goods_name": title,
            "goods_price": yuan(price),
            "goods_number": str(count),
            "good_image": "",
            "outer_id": str(product),
            "outer_goods_id": str(product),
            "confirm_time": self._case_time(int(book.paid[trade])),
            "created_time": self._case_time(int(book.refund_requested[row])),
            "updated_time": self._case_time(modified),
            "tracking_number": "",
            "shipping_name": "",
            "speed_refund_flag": 0,
            "speed_refund_status": "",
            "user_shipping_status": "0",
            "dispute_refund_status": 0,
        }

    def _case_time(self, instant: int) -> str:
        if instant == NEVER:
            return ""
        if self._has_unix_times:
            return str(unix_seconds(instant))
        return wall_texts(np.array([instant]))[0]
