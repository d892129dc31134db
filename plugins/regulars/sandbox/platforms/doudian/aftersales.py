"""After-sales requests as ``afterSale.List`` and ``afterSale.Detail`` write them.

The list tells what was asked for: the whole line. What really went back, half of it now and then,
stands in the detail only.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import unix_seconds
from regulars.sandbox.platforms.doudian import disguises
from regulars.sandbox.platforms.doudian.orders import (
    AFTERSALE_STATUS,
    ORDER_STATUS,
    aftersale_type,
)
from regulars.sandbox.timeline import DAY, RefundStatus
from regulars.sandbox.wire import refund_status, trade_status

Int64s = NDArray[np.int64]
Record = dict[str, Any]

_TYPE_TEXT = {0: "退货退款", 1: "已发货仅退款", 2: "未发货仅退款"}
_STATUS_TEXT = {6: "待商家同意", 7: "待买家退货", 12: "售后成功", 27: "商家拒绝", 28: "售后关闭"}
_REASONS = ("不想要了", "商品破损", "少件漏发", "质量问题", "拍错了")


class AftersalePage:
    """Some after-sales requests of a book as of a clock.

    Args:
        book: all orders.
        rows: the book's refunds, in the order of the answer; all asked for by ``clock``.
        modified: wall seconds of each one's newest modification.
        clock: wall seconds.
    """

    def __init__(self, book: OrderBook, rows: Int64s, modified: Int64s, clock: int) -> None:
        self.book, self.rows, self.modified = book, rows, modified
        self.trades, self.lines = book.refund_trade[rows], book.refund_line[rows]
        self.numbers = aftersale_numbers(book)[rows].tolist()
        self.line_numbers = line_numbers(book)[rows].tolist()
        states = refund_status(book, rows, clock).tolist()
        self.states = [AFTERSALE_STATUS[RefundStatus(state)] for state in states]
        of_orders = trade_status(book, self.trades, clock).tolist()
        self.order_states = [ORDER_STATUS[state] for state in of_orders]

    def items(self) -> list[Record]:
        """The records of the list."""
        return [self._item(place) for place in range(len(self.rows))]

    def details(self) -> list[Record]:
        """The data of each one's detail."""
        return [self._detail(place) for place in range(len(self.rows))]

    def _item(self, place: int) -> Record:
        book, row, line = self.book, int(self.rows[place]), int(self.lines[place])
        kind, (status, money) = aftersale_type(book, row), self.states[place]
        asked = unix_seconds(int(book.refund_requested[row]))
        order_id = str(_order_number(book, int(self.trades[place])))
        line_id = str(self.line_numbers[place])
        paid, quantity = int(book.line_paid[line]), int(book.line_quantity[line])
        article = int(book.article[book.line_article[line]])
        return {
            "aftersale_info": {
                "aftersale_id": str(self.numbers[place]),
                "aftersale_order_type": 1,
                "aftersale_type": kind,
                "aftersale_sub_type": 0,
                "aftersale_status": status,
                "related_id": line_id,
                "apply_time": asked,
                "create_time": asked,
                "update_time": unix_seconds(int(self.modified[place])),
                "status_deadline": asked + 2 * DAY,
                "refund_amount": paid,
                "refund_post_amount": 0,
                "refund_tax_amount": 0,
                "return_promotion_amount": 0,
                "aftersale_num": quantity,
                "part_type": int(book.refund_fee[row] != paid),
                "aftersale_refund_type": 0,
                "refund_type": 0,
                "arbitrate_status": 0,
                "arbitrate_blame": 0,
                "refund_status": money,
                "got_pkg": int(kind == 0),
                "return_logistics_code": "",
                "return_logistics_company_name": "",
                "remark": "",
            },
            "order_info": {
                "shop_order_id": order_id,
                "order_flag": 0,
                "related_order_info": [
                    {
                        "sku_order_id": line_id,
                        "order_status": self.order_states[place],
                        "pay_amount": paid,
                        "post_amount": 0,
                        "tax_amount": 0,
                        "item_num": quantity,
                        "create_time": unix_seconds(int(book.created[self.trades[place]])),
                        "product_name": str(book.article_title[book.line_article[line]]),
                        "product_id": disguises.product_id(article),
                        "shop_sku_code": str(article),
                        "aftersale_pay_amount": paid,
                        "aftersale_post_amount": 0,
                        "aftersale_item_num": quantity,
                        "price": paid,
                        "tags": [],
                        "sku_spec": [],
                        "given_sku_order_ids": [],
                    }
                ],
            },
            "text_part": {
                "aftersale_status_text": _STATUS_TEXT[status],
                "aftersale_type_text": _TYPE_TEXT[kind],
                "reason_text": _reason(line),
            },
            "seller_logs": [],
        }

    def _detail(self, place: int) -> Record:
        book, row = self.book, int(self.rows[place])
        item = self._item(place)
        info = item["aftersale_info"]
        went_back = info["refund_status"] == 3
        return {
            "process_info": {
                "after_sale_info": {
                    "after_sale_id": self.numbers[place],
                    "after_sale_status": info["aftersale_status"],
                    "after_sale_status_desc": item["text_part"]["aftersale_status_text"],
                    "after_sale_type": info["aftersale_type"],
                    "refund_status": info["refund_status"],
                    "refund_total_amount": info["refund_amount"],
                    "refund_post_amount": 0,
                    "real_refund_amount": int(book.refund_fee[row]) if went_back else 0,
                    "apply_time": info["apply_time"],
                    "update_time": info["update_time"],
                    "reason": item["text_part"]["reason_text"],
                    "part_type": info["part_type"],
                    "post_receiver": "",
                    "encrypt_post_receiver": "",
                },
                "record_logs_list": [],
            },
            "order_info": {"shop_order_id": int(item["order_info"]["shop_order_id"])},
        }


def line_numbers(book: OrderBook) -> Int64s:
    """Number of each refund's line."""
    start = book.line_start[book.refund_trade]
    return disguises.line_ids(
        disguises.order_ids(book.tid[book.refund_trade]),
        book.refund_line - start + 1,
        book.line_start[book.refund_trade + 1] - start,
    )


def aftersale_numbers(book: OrderBook) -> Int64s:
    """Number of each refund."""
    return disguises.aftersale_ids(line_numbers(book))


def _order_number(book: OrderBook, trade: int) -> int:
    return int(disguises.order_ids(book.tid[[trade]])[0])


def _reason(line: int) -> str:
    return _REASONS[line % len(_REASONS)]
