"""After-sales services and their refunds as JD writes them.

Orders that were cancelled before shipment have none: the platform lists their refunds nowhere.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regulars.sandbox.book import OrderBook
from regulars.sandbox.money import yuan
from regulars.sandbox.platforms.jd.orders import order_ids, sku_ids
from regulars.sandbox.platforms.jd.protocol import wall_milliseconds
from regulars.sandbox.timeline import NEVER, Outcome, RefundStatus
from regulars.sandbox.wire import reason_of, wall_texts

Int64s = NDArray[np.int64]
Record = dict[str, Any]

SUCCEEDED, FAILED, UNDER_WAY = 13, 14, 10
_SCALE = 100_000
_REFUND_OFFSET, _APPLY_OFFSET = 1_000_000_000_000, 2_000_000_000_000


@dataclass(frozen=True)
class Services:
    """The after-sales services of a book."""

    book: OrderBook

    @cached_property
    def rows(self) -> Int64s:
        """Refunds of the book that went through a service, by time of application."""
        book = self.book
        rows = np.flatnonzero(book.outcome[book.refund_trade] != Outcome.CLOSED)
        order = np.lexsort((book.refund_line[rows], book.refund_requested[rows]))
        return rows[order].astype(np.int64)

    @cached_property
    def applied(self) -> Int64s:
        """When each service was applied for."""
        return self.book.refund_requested[self.rows]

    @cached_property
    def approved(self) -> Int64s:
        """When the seller decided on each; complaints are decided and refunded in one step."""
        decided, ended = self.book.refund_decided[self.rows], self.book.refund_ended[self.rows]
        return np.where(decided == NEVER, ended, decided)

    @cached_property
    def ids(self) -> Int64s:
        """Number of each service."""
        book, rows = self.book, self.rows
        orders = book.refund_trade[rows]
        position = book.refund_line[rows] - book.line_start[orders] + 1
        return order_ids(book.basket[orders]) * _SCALE + position

    @cached_property
    def place(self) -> dict[int, int]:
        """Place of each service among ``rows``, by its number."""
        return {number: place for place, number in enumerate(self.ids.tolist())}

    def status(self, place: int, clock: int) -> int:
        """Status of a refund as of ``clock``."""
        row = self.rows[place]
        if self.book.refund_ended[row] > clock:
            return UNDER_WAY
        succeeded = self.book.refund_ended_status[row] == RefundStatus.SUCCESS
        return SUCCEEDED if succeeded else FAILED

    def record(self, place: int, clock: int, *, has_epoch_dates: bool) -> Record:
        """One entry of the list."""
        book, row = self.book, int(self.rows[place])
        number, line = int(self.ids[place]), int(book.refund_line[row])
        article = int(book.line_article[line])
        status = self.status(place, clock)

        def time(wall: int) -> str | int:
            text: str = wall_texts(np.array([wall]))[0]
            return wall_milliseconds(wall) if has_epoch_dates else text

        bill: Record = {
            "serviceId": number,
            "afsApplyId": number - _APPLY_OFFSET,
            "orderId": int(order_ids(book.basket[book.refund_trade[row : row + 1]])[0]),
            "wareId": int(sku_ids(book.article[article : article + 1])[0]),
            "wareName": str(book.article_title[article]),
            "afsApplyTime": time(int(self.applied[place])),
            "applyReason": reason_of(int(book.refund_id[row])),
        }
        record: Record = {"sameOrderServiceBill": bill, "status": status}
        if self.approved[place] <= clock:
            bill["approveDate"] = time(int(self.approved[place]))
            record["afsRefundId"] = number - _REFUND_OFFSET
        if status == SUCCEEDED:
            record["completeTime"] = time(int(book.refund_ended[row]))
            record["refoundAmount"] = yuan(int(book.refund_fee[row]))
        return record

    def detail(self, place: int, clock: int) -> Record:
        """The refund's amounts: what went back, or what may go back at most."""
        book, row = self.book, int(self.rows[place])
        order = int(order_ids(book.basket[book.refund_trade[row : row + 1]])[0])
        if self.status(place, clock) == SUCCEEDED:
            fee = yuan(int(book.refund_fee[row]))
            return {"orderId": order, "afsActualRefundDetail": {"actualRefundAmount": fee}}
        most = yuan(int(book.line_paid[book.refund_line[row]]))
        return {"orderId": order, "afsEstimateRefundDetail": {"maxRefundAmount": most}}
