"""One shop on Pinduoduo: answers calls at the platform's path over the sandbox's order book."""

import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from regulars.sandbox import disguise
from regulars.sandbox.book import EventIndex, OrderBook
from regulars.sandbox.clockwork import ShopClock
from regulars.sandbox.faults import take
from regulars.sandbox.platforms.pdd.faults import CallCounter, PddFaults, PddLimits
from regulars.sandbox.platforms.pdd.protocol import (
    DAY,
    HALF_HOUR,
    LARGEST_PAGE_SIZE,
    Parameters,
    Refusal,
    flag,
    read_parameters,
    three_months_before,
    verify_call,
    whole_number,
    window,
)
from regulars.sandbox.platforms.pdd.wire import Record, Writer, basket_of
from regulars.sandbox.protocol import Access
from regulars.sandbox.shop import Answer

Int64s = NDArray[np.int64]

FIRST_REFRESH_TOKEN = "sandbox-refresh-1"  # noqa: S105  # of throwaway gateways
_REFRESH = "pdd.pop.auth.token.refresh"
_CASE_STATUSES = (0, *range(2, 19), 21, 22, 24, 25, 27, 31, 32, 33)
_WALL = 8 * 3600


class PddGateway:
    """One seller's shop. Not for use by several threads at once.

    Args:
        book: all trades it will ever have.
        access: app key and secret, and as session the first access token.
        clock: the sandbox's present.
        limits: how much an app may call; without, as much as it likes.
        refresh_token: what the first access token is renewed with.
        has_all_refunds: whether after_sales_status 1 still means all.
        has_numbers, has_unix_times: how amounts and times are written, see :class:`Writer`.
        machine_seconds: the machine's present, against which timestamps are checked; None to
            accept any timestamp.
        elapsed: seconds of a clock that only runs forward, for limits.
    """

    def __init__(
        self,
        book: OrderBook,
        access: Access,
        clock: ShopClock,
        limits: PddLimits | None = None,
        *,
        refresh_token: str = FIRST_REFRESH_TOKEN,
        has_all_refunds: bool = False,
        has_numbers: bool = False,
        has_unix_times: bool = False,
        machine_seconds: Callable[[], float] | None = time.time,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self.book, self.access, self.clock = book, access, clock
        self.faults = PddFaults()
        self.call_count = 0
        self.access_token, self.refresh_token = access.session, refresh_token
        self.touched: dict[int, int] = {}
        self._expired: set[str] = set()
        self._renewals = 0
        self._touch_count = 0
        self._style = {"has_numbers": has_numbers, "has_unix_times": has_unix_times}
        self._case_statuses = (1, *_CASE_STATUSES) if has_all_refunds else _CASE_STATUSES
        self._machine_seconds = machine_seconds
        self._elapsed = elapsed
        self._counter = CallCounter(limits or PddLimits(), elapsed)
        # Each API with the key of its answer, which does not follow from its name.
        self._methods: dict[str, tuple[str, Callable[[Parameters], Record]]] = {
            "pdd.order.number.list.increment.get": (
                "order_sn_increment_get_response",
                self._list_updated,
            ),
            "pdd.order.list.get": (
                "order_list_get_response",
                lambda parameters: self._list_dealt(parameters, "list"),
            ),
            "pdd.order.basic.list.get": (
                "order_basic_list_get_response",
                lambda parameters: self._list_dealt(parameters, "basic"),
            ),
            "pdd.order.information.get": ("order_info_get_response", self._show_order),
            "pdd.refund.list.increment.get": ("refund_increment_get_response", self._list_refunds),
            _REFRESH: ("pop_auth_token_refresh_response", self._refresh),
        }

    def routes(self) -> list[BaseRoute]:
        """The platform's one path."""
        return [Route("/api/router", self._route, methods=["GET", "POST", "PUT"])]

    def replace_limits(self, limits: PddLimits) -> None:
        """Set all limits anew; what was called so far is forgotten."""
        self._counter = CallCounter(limits, self._elapsed)

    def replace_faults(self, faults: PddFaults) -> None:
        """Set all faults anew; orders that an edit touches are modified at the clock's present."""
        self.faults = faults
        for edit in faults.edits:
            trade = self.find(edit.order_sn) if edit.touch and edit.order_sn else None
            if trade is not None:
                self.touch(trade)

    def touch(self, trade: int) -> None:
        """Modify an order at the clock's present, as a flag of the seller would."""
        self.touched[trade] = self.clock.seconds

    def find(self, sn: str) -> int | None:
        """Index of the trade with this order number, whatever the clock."""
        basket = basket_of(sn)
        return None if basket is None else self._by_basket.get(basket)

    @cached_property
    def _by_basket(self) -> dict[int, int]:
        return {basket: trade for trade, basket in enumerate(self.book.basket.tolist())}

    async def _route(self, request: Request) -> Response:
        content_type = request.headers.get("Content-Type", "")
        answer = self.answer(request.url.query, await request.body(), content_type, request.method)
        headers = {**answer.headers, "Content-Type": answer.content_type}
        return Response(answer.body, answer.status, headers)

    def answer(
        self,
        query: str,
        body: bytes,
        content_type: str = "application/x-www-form-urlencoded",
        verb: str = "POST",
    ) -> Answer:
        """Answer one call."""
        self.call_count += 1
        request_id = f"{15440104776643887 + self.call_count}"
        if self.faults.http_error is not None and take(self.faults.http_error):
            error = self.faults.http_error
            wait = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
            return Answer(error.status, b"", "text/plain", headers=wait)
        if self.faults.take("html"):
            page = "<html><body>系统维护中</body></html>".encode()
            return Answer(200, page, "text/html;charset=UTF-8")
        try:
            if verb != "POST":
                raise Refusal(10002, "请求方法错误，仅支持POST")
            given = self._called(read_parameters(query, body, content_type), request_id)
        except Refusal as refusal:
            given = refusal.envelope(request_id)
        content = orjson.dumps(given)
        if self.faults.take("truncate"):
            content = content[: len(content) // 2]
        if self.faults.take("cut"):
            whole = {"Content-Length": str(len(content))}
            return Answer(200, content[: len(content) // 2], headers=whole)
        return Answer(200, content)

    def _called(self, parameters: Parameters, request_id: str) -> Record:
        machine_seconds = self._machine_seconds() if self._machine_seconds else None
        method = verify_call(parameters, self.access, frozenset(self._methods), machine_seconds)
        if method != _REFRESH:
            self._verify_token(parameters.get("access_token", ""))
        for fault, code, text in (
            ("too_often", 70031, "调用过于频繁，请调整调用频率"),
            ("busy", 52101, "当前接口被限流，请稍后重试"),
            ("closed", 52103, "服务暂时不可用，请稍后重试"),
        ):
            if self.faults.take(fault):
                raise Refusal(code, text)
        self._counter.admit(method, self.clock.seconds)
        key, respond = self._methods[method]
        return {key: {**respond(parameters), "request_id": request_id}}

    def _verify_token(self, token: str) -> None:
        if not token:
            raise Refusal(10001, "公共参数错误:access_token")
        if token == self.access_token and self.faults.take("token_expired"):
            self._expired.add(token)
        if token in self._expired:
            raise Refusal(10019, "access_token已过期")
        if token != self.access_token:
            raise Refusal(20032, "access_token或client_id错误")

    def _refresh(self, parameters: Parameters) -> Record:
        if parameters.get("refresh_token") != self.refresh_token:
            # Which code the platform gives is not documented.
            raise Refusal(10000, "参数错误")
        self._renewals += 1
        self._expired.add(self.access_token)
        self.access_token = f"{self.access.session}-{self._renewals + 1}"
        self.refresh_token = f"{self.refresh_token.rpartition('-')[0]}-{self._renewals + 1}"
        expires_at = self.clock.seconds - _WALL + DAY
        return {
            "access_token": self.access_token,
            "refresh_token": self.refresh_token,
            "expires_in": DAY,
            "expires_at": expires_at,
            "owner_id": "1",
            "owner_name": "pdd_sandbox",
            "scope": sorted(self._methods),
        }

    # --- lists ------------------------------------------------------------------------------

    @property
    def _shown(self) -> int:
        """Wall second as of which lists show the shop."""
        return self.clock.seconds - self.faults.lag_seconds

    def _writer(self, clock: int) -> Writer:
        return Writer(self.book, clock, **self._style)

    def _list_updated(self, parameters: Parameters) -> Record:
        start, end = window(parameters, "start_updated_at", "end_updated_at", HALF_HOUR)
        clock = self._shown
        trades, modified = self._updated(start + _WALL, end + _WALL, clock)
        # Three months by the time of the deal, whenever the order was updated.
        depth = three_months_before(self.clock.seconds)
        dealt = np.where(
            self.book.paid[trades] <= clock, self.book.paid[trades], self.book.created[trades]
        )
        deep = dealt >= depth
        return self._order_list(parameters, trades[deep], modified[deep], "list", "order_sn_list")

    def _list_dealt(self, parameters: Parameters, kind: str) -> Record:
        start, end = window(parameters, "start_confirm_at", "end_confirm_at", DAY)
        clock, paid = self._shown, self.book.paid
        low = max(start + _WALL, three_months_before(self.clock.seconds))
        trades = np.flatnonzero((paid >= low) & (paid <= min(end + _WALL, clock)))
        trades = trades[np.lexsort((self.book.tid[trades], paid[trades]))]
        return self._order_list(
            parameters, trades, self._modified_at(trades, clock), kind, "order_list"
        )

    def _show_order(self, parameters: Parameters) -> Record:
        trade = self.find(parameters.get("order_sn", ""))
        clock = self.clock.seconds
        if trade is None or self.book.created[trade] > clock:
            raise Refusal(21001, "请求参数错误:order_sn")
        trades = np.array([trade])
        modified = self._modified_at(trades, clock)
        records = self._writer(clock).orders([trade], modified.tolist(), "detail")
        self._edit(records)
        return {"order_info": records[0]}

    def _list_refunds(self, parameters: Parameters) -> Record:
        status = whole_number(parameters, "after_sales_status", self._case_statuses)
        kind = whole_number(parameters, "after_sales_type", range(1, 7))
        start, end = window(parameters, "start_updated_at", "end_updated_at", HALF_HOUR)
        clock, events = self._shown, self.book.refund_events
        sn = parameters.get("order_sn", "")
        if sn:
            rows = np.array(self._cases_of(sn, clock), dtype=np.int64)
            modified = events.modified_at(rows, clock)
        else:
            rows, modified = events.modified_between(start + _WALL, end + _WALL, clock)
        writer = self._writer(clock)
        if not sn:
            keep = np.ones(len(rows), dtype=np.bool_)
            if kind != 1:
                keep &= np.where(self.book.refund_is_return[rows], 3, 2) == kind
            if status != 1:
                keep &= writer.case_statuses(rows) == status
            rows, modified = rows[keep], modified[keep]
        rows, modified = rows[::-1], modified[::-1]
        chosen, answer = self._page(parameters, len(rows))
        records = writer.refunds(rows[chosen].tolist(), modified[chosen].tolist())
        self._edit(records)
        self.clock.tick(self.faults.tick_seconds)
        return {**answer, "refund_list": self._repeated(records)}

    def _cases_of(self, sn: str, clock: int) -> list[int]:
        trade = self.find(sn)
        return [] if trade is None else self._writer(clock).cases(trade)

    def _updated(self, start: int, end: int, clock: int) -> tuple[Int64s, Int64s]:
        events: EventIndex = self.book.trade_events
        trades, modified = events.modified_between(start, end, clock)
        if not self.touched:
            return trades, modified
        times = {
            trade: moment
            for trade in self.touched
            if self.book.created[trade] <= clock and (moment := self._touch_time(trade, clock))
        }
        stay = ~np.isin(trades, list(times))
        inside = {trade: moment for trade, moment in times.items() if start <= moment <= end}
        trades = np.concatenate((trades[stay], np.array(list(inside), dtype=np.int64)))
        modified = np.concatenate((modified[stay], np.array(list(inside.values()), dtype=np.int64)))
        order = np.lexsort((self.book.tid[trades], modified))
        return trades[order], modified[order]

    def _touch_time(self, trade: int, clock: int) -> int:
        """When an order was last touched as of the clock; 0 when never, or modified since."""
        moment = self.touched.get(trade, 0)
        if moment > clock:
            return 0
        own = int(self.book.trade_events.modified_at(np.array([trade]), clock)[0])
        return moment if moment > own else 0

    def _modified_at(self, trades: Int64s, clock: int) -> Int64s:
        own = self.book.trade_events.modified_at(trades, clock)
        touches = [self._touch_time(trade, clock) for trade in trades.tolist()]
        return np.maximum(own, np.array(touches, dtype=np.int64))

    def _order_list(
        self, parameters: Parameters, trades: Int64s, modified: Int64s, kind: str, name: str
    ) -> Record:
        wanted = {
            "order_status": whole_number(parameters, "order_status", (1, 2, 3, 5)),
            "refund_status": whole_number(parameters, "refund_status", (1, 2, 3, 4, 5)),
        }
        lucky = whole_number(parameters, "is_lucky_flag", (0, 1, 2))
        deposit = whole_number(parameters, "trade_type", (0, 1), default=0)
        writer = self._writer(self._shown)
        if set(wanted.values()) != {5}:
            states = [writer.statuses(trade) for trade in trades.tolist()]
            keep = [all(v in (5, s[n]) for n, v in wanted.items()) for s in states]
            trades, modified = trades[keep], modified[keep]
        if lucky == 2 or deposit == 1:  # there are no such orders here
            trades, modified = trades[:0], modified[:0]
        trades, modified = trades[::-1], modified[::-1]
        chosen, answer = self._page(parameters, len(trades))
        records = writer.orders(trades[chosen].tolist(), modified[chosen].tolist(), kind)
        self._edit(records)
        self._touch_some(trades)
        self.clock.tick(self.faults.tick_seconds)
        return {**answer, name: self._repeated(records)}

    def _page(self, parameters: Parameters, total: int) -> tuple[slice, dict[str, Any]]:
        sizes = range(1, LARGEST_PAGE_SIZE + 1)
        size = whole_number(parameters, "page_size", sizes, default=LARGEST_PAGE_SIZE)
        number = whole_number(parameters, "page", range(1, 1_000_001), default=1)
        first = (number - 1) * size
        if flag(parameters, "use_has_next"):
            return slice(first, first + size), {"has_next": first + size < total}
        return slice(first, first + size), {"total_count": total}

    # --- faults -----------------------------------------------------------------------------

    def _repeated(self, records: list[Record]) -> list[Record]:
        if records and self.faults.take("repeat_row"):
            return [*records, records[-1]]
        return records

    def _edit(self, records: list[Record]) -> None:
        for record in records if self.faults.edits else ():
            for edit in self.faults.edits:
                if edit.concerns(record):
                    edit.apply(record)

    def _touch_some(self, trades: Int64s) -> None:
        for _ in range(min(self.faults.touch_after_page, len(trades))):
            self._touch_count += 1
            draw = disguise.spread(np.array([self._touch_count]), "pdd touch", 0, len(trades))
            self.touch(int(trades[int(draw[0])]))
