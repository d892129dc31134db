"""One shop on Douyin: the order book as of the clock, spoken in the platform's protocol.

Lists hold the present version of each record only, ordered by the time asked for; pages count
from 0. Refused are, as on the platform: a wrong signature or stale timestamp, a token that is
missing, unknown or expired, more than 100 a page, page * size beyond 50,000, and windows that begin
before the last 90 days.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from regulars.sandbox import disguise
from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import ShopClock, unix_seconds
from regulars.sandbox.faults import take
from regulars.sandbox.limits import QUOTA_USED_UP, AccessControl, Limits
from regulars.sandbox.platforms.doudian import disguises
from regulars.sandbox.platforms.doudian.aftersales import AftersalePage, aftersale_numbers
from regulars.sandbox.platforms.doudian.faults import Faults, edit_aftersale, edit_order
from regulars.sandbox.platforms.doudian.orders import ORDER_STATUS, OrderPage
from regulars.sandbox.platforms.doudian.protocol import (
    DEEPEST_RECORD,
    DEPTH_DAYS,
    LARGEST_PAGE_SIZE,
    Parameters,
    Query,
    Refusal,
    envelope,
    parsed,
    refusal_envelope,
    seconds_of,
    text_of,
    verify_call,
    whole_number,
)
from regulars.sandbox.platforms.doudian.tokens import TokenOffice
from regulars.sandbox.protocol import DAY_SECONDS, Access
from regulars.sandbox.protocol import Refusal as TopRefusal
from regulars.sandbox.wire import trade_status

Int64s = NDArray[np.int64]

_GMT8 = 8 * 3600
_FAR_FUTURE = 2**40
_TOKEN_METHODS = ("token.create", "token.refresh")
_QUOTA_GONE = "isv.daily-quota-exceeded"


class Gateway:
    """One shop on Douyin.

    Args:
        book: the shop's orders.
        access: what the gateway accepts; its session is the first access token.
        clock: the sandbox's present.
        limits: how much an app may call.
        machine_seconds: the machine's present (unix), against which timestamps and tokens are
            checked; None to accept any.
        elapsed: seconds of a clock that only runs forward, for bans.
        deepest: page * size may not pass it; lower in tests.
    """

    def __init__(
        self,
        book: OrderBook,
        access: Access,
        clock: ShopClock,
        *,
        limits: Limits | None = None,
        machine_seconds: Callable[[], float] | None = time.time,
        elapsed: Callable[[], float] = time.monotonic,
        deepest: int = DEEPEST_RECORD,
    ) -> None:
        self.book, self.access, self.clock = book, access, clock
        self.faults = Faults()
        self.call_count = 0
        self.tokens = TokenOffice(access, disguises.SHOP_ID, disguises.SHOP_NAME, machine_seconds)
        self._machine_seconds, self._elapsed = machine_seconds, elapsed
        self._control = AccessControl(limits or Limits(), elapsed)
        self._deepest = deepest
        self._touched: dict[int, int] = {}
        self._touch_count = 0
        self._aftersale_numbers: Int64s | None = None
        self._methods: dict[str, Callable[[Parameters], Any]] = {
            "token.create": self.tokens.create,
            "token.refresh": self.tokens.refresh,
            "order.searchList": self._search_orders,
            "order.orderDetail": self._show_order,
            "afterSale.List": self._list_aftersales,
            "afterSale.Detail": self._show_aftersale,
        }

    def routes(self) -> list[BaseRoute]:
        """Routes at the platform's native paths."""
        return [
            Route(f"/{group}/{{name}}", self._respond, methods=["POST"])
            for group in ("token", "order", "afterSale")
        ]

    def replace_limits(self, limits: Limits) -> None:
        """Set all limits anew; bans and the quota used so far are forgotten."""
        self._control = AccessControl(limits, self._elapsed)

    def replace_faults(self, faults: Faults) -> None:
        """Set all faults anew; orders that an edit touches are modified at the clock's present."""
        self.faults = faults
        for edit in faults.edits:
            trade = self._find_trade(edit.order_id) if edit.touch and edit.order_id else None
            if trade is not None:
                self.touch(trade)

    def touch(self, trade: int) -> None:
        """Modify an order at the clock's present, as an added memo would."""
        self._touched[trade] = self.clock.seconds

    async def _respond(self, request: Request) -> Response:
        body = (await request.body()).decode("utf-8", errors="replace")
        query = dict(request.query_params)
        old = request.headers.get("x-open-no-old-err-code") != "1"
        status, content, headers = self.answer(request.url.path, query, body, with_old_names=old)
        return Response(content, status_code=status, headers=headers)

    def answer(
        self, path: str, query: Query, body: str, *, with_old_names: bool = True
    ) -> tuple[int, bytes, dict[str, str]]:
        """Answer one call: HTTP status, content, headers.

        Args:
            path: such as ``/order/searchList``.
            query: the decoded query.
            body: the body as received; some clients put it into the query as ``param_json``.
            with_old_names: whether the answer also carries err_no and message.
        """
        self.call_count += 1
        faults = self.faults
        if faults.http_error is not None and take(faults.http_error):
            wait = faults.http_error.retry_after
            headers = {} if wait is None else {"Retry-After": str(wait)}
            return faults.http_error.status, b"", headers
        if faults.take("html"):
            page = "<html><body>系统维护中</body></html>".encode()
            return 200, page, {"Content-Type": "text/html;charset=UTF-8"}
        log_id = f"2017{self.call_count:028x}"
        try:
            data = self._called(path, query, body or query.get("param_json", ""))
            value = envelope(data, log_id, with_old_names=with_old_names)
        except Refusal as refusal:
            value = refusal_envelope(refusal, log_id, with_old_names=with_old_names)
        content = orjson.dumps(value)
        if faults.take("truncate"):
            content = content[: len(content) // 2]
        return 200, content, {"Content-Type": "application/json;charset=UTF-8"}

    def _called(self, path: str, query: Query, body: str) -> Any:
        machine_seconds = self._machine_seconds() if self._machine_seconds else None
        method = verify_call(path, query, body, self.access, machine_seconds)
        answer = self._methods.get(method)
        if answer is None:
            raise Refusal(70000, "", "no such API")
        if method not in _TOKEN_METHODS:
            self.tokens.verify(query.get("access_token", ""))
            if self.faults.take("token_expired"):
                raise Refusal(40003, "isv.access-token-expired")
        self._refuse_by_fault()
        self._admit(method)
        return answer(parsed(body))

    def _refuse_by_fault(self) -> None:
        if self.faults.take("rate_limited"):
            raise Refusal(60000)
        if self.faults.take("daily_quota"):
            raise Refusal(60000, _QUOTA_GONE)
        if self.faults.take("service_error"):
            raise Refusal(20000, "dop.service-error")
        if self.faults.take("partly_failed"):
            raise Refusal(10001)

    def _admit(self, method: str) -> None:
        try:
            self._control.admit(method, self.clock.seconds)
        except TopRefusal as refusal:
            is_quota = refusal.sub_code == QUOTA_USED_UP
            raise Refusal(60000, _QUOTA_GONE if is_quota else "") from None

    # --- orders -----------------------------------------------------------------------------

    def _search_orders(self, parameters: Parameters) -> dict[str, Any]:
        page, size, chosen = self._page(parameters)
        created = self._window(parameters, "create_time_start", "create_time_end")
        updated = self._window(parameters, "update_time_start", "update_time_end")
        by_update = _one_of(parameters, "order_by", ("create_time", "update_time")) == "update_time"
        if "update_time_start" in parameters or "update_time_end" in parameters:
            trades, modified = self._modified(*updated)
            times = self.book.created[trades]
            keep = (times >= created[0]) & (times <= created[1])
            trades, modified = trades[keep], modified[keep]
        else:
            low, high = np.searchsorted(self.book.created, [created[0], created[1] + 1])
            trades = np.arange(low, max(low, high), dtype=np.int64)
            modified = self._modified_at(trades)
        keep = self._of_status(parameters, trades)
        trades, modified = trades[keep], modified[keep]
        tids = self.book.tid[trades]
        order = np.lexsort((tids, modified if by_update else self.book.created[trades]))
        if parameters.get("order_asc") is not True:
            order = order[::-1]
        trades, modified = trades[order], modified[order]
        records = self._orders(trades[chosen], modified[chosen])
        answer = {"page": page, "total": len(trades), "size": size}
        self._move_on(trades)
        return {**answer, "shop_order_list": self._repeated(records)}

    def _show_order(self, parameters: Parameters) -> dict[str, Any]:
        trade = self._find_trade(text_of(parameters, "shop_order_id"))
        if trade is None or self.book.created[trade] > self.clock.seconds:
            raise Refusal(50002, "", "no such order")
        trades = np.array([trade])
        return {"shop_order_detail": self._orders(trades, self._modified_at(trades))[0]}

    def _orders(self, trades: Int64s, modified: Int64s) -> list[dict[str, Any]]:
        records = OrderPage(self.book, trades, modified, self.clock.seconds).records()
        for record in records:
            edit_order(record, self.faults.edits)
        return records

    def _of_status(self, parameters: Parameters, trades: Int64s) -> NDArray[np.bool_]:
        wanted = parameters.get("combine_status")
        if wanted is None:
            return np.ones(len(trades), dtype=np.bool_)
        try:
            (only,) = wanted
            numbers = {int(one) for one in only["order_status"].split(",")}
        except (TypeError, ValueError, KeyError, AttributeError):
            raise Refusal(40003, "isv.parameter-format-invalid", "combine_status") from None
        codes = [code for code, number in enumerate(ORDER_STATUS) if number in numbers]
        return np.isin(trade_status(self.book, trades, self.clock.seconds), codes)

    def _find_trade(self, order_id: str) -> int | None:
        tid = disguises.tid_of(order_id)
        return None if tid is None else self.book.find_trade(tid)

    def _modified_at(self, trades: Int64s) -> Int64s:
        modified = self.book.trade_events.modified_at(trades, self.clock.seconds)
        if not self._touched:
            return modified
        touched = [self._touch_time(trade) for trade in trades.tolist()]
        return np.maximum(modified, np.array(touched, dtype=np.int64))

    def _touch_time(self, trade: int) -> int:
        """When an order was last touched as of the clock; 0 when never, or modified since."""
        touched = self._touched.get(trade, 0)
        if not touched or touched > self.clock.seconds:
            return 0
        own = self.book.trade_events.modified_at(np.array([trade]), self.clock.seconds)[0]
        return touched if touched > own else 0

    def _modified(self, start: int, end: int) -> tuple[Int64s, Int64s]:
        """Orders last modified within wall seconds, both counted in."""
        trades, modified = self.book.trade_events.modified_between(start, end, self.clock.seconds)
        times = {
            trade: moment
            for trade in self._touched
            if self.book.created[trade] <= self.clock.seconds
            and (moment := self._touch_time(trade))
        }
        stay = ~np.isin(trades, list(times))
        inside = {trade: moment for trade, moment in times.items() if start <= moment <= end}
        return (
            np.concatenate((trades[stay], np.array(list(inside), dtype=np.int64))),
            np.concatenate((modified[stay], np.array(list(inside.values()), dtype=np.int64))),
        )

    # --- after-sales ------------------------------------------------------------------------

    def _list_aftersales(self, parameters: Parameters) -> dict[str, Any]:
        page, size, chosen = self._page(parameters)
        applied = self._window(parameters, "start_time", "end_time")
        updated = self._window(parameters, "update_start_time", "update_end_time")
        rows, modified = self.book.refund_events.modified_between(*updated, self.clock.seconds)
        asked = self.book.refund_requested[rows]
        keep = (asked >= applied[0]) & (asked <= applied[1])
        rows, modified, asked = rows[keep], modified[keep], asked[keep]
        key, direction = self._order_of_list(parameters)
        order = np.lexsort((rows, modified if key == "update_time" else asked))
        if direction == "desc":
            order = order[::-1]
        rows, modified = rows[order], modified[order]
        items = AftersalePage(self.book, rows, modified, self.clock.seconds).items()
        items = [one for one in items if _is_wanted(one, parameters)]
        records = items[chosen]
        for record in records:
            edit_aftersale(record, self.faults.edits)
        answer = {"page": page, "size": len(records), "total": len(items)}
        self._move_on(np.array([], dtype=np.int64))
        has_more = (page + 1) * size < len(items)
        return {**answer, "has_more": has_more, "items": self._repeated(records)}

    def _show_aftersale(self, parameters: Parameters) -> dict[str, Any]:
        number = str(parameters.get("after_sale_id", ""))
        if self._aftersale_numbers is None:
            self._aftersale_numbers = aftersale_numbers(self.book)
        known = number.isascii() and number.isdigit() and len(number) == 19
        found = np.flatnonzero(self._aftersale_numbers == int(number)) if known else np.array([])
        if not len(found) or self.book.refund_requested[found[0]] > self.clock.seconds:
            raise Refusal(50002, "", "no such after-sales request")
        modified = self.book.refund_events.modified_at(found, self.clock.seconds)
        return AftersalePage(self.book, found, modified, self.clock.seconds).details()[0]

    def _order_of_list(self, parameters: Parameters) -> tuple[str, str]:
        given = parameters.get("order_by") or ["apply_time desc"]
        known = [
            f"{key} {direction}"
            for key in ("apply_time", "update_time")
            for direction in ("asc", "desc")
        ]
        if not isinstance(given, list) or given[0] not in known:
            raise Refusal(40003, "isv.parameter-invalid", "order_by")
        key, _, direction = given[0].partition(" ")
        return key, direction

    # --- what both lists have in common -----------------------------------------------------

    def _page(self, parameters: Parameters) -> tuple[int, int, slice]:
        size = whole_number(parameters, "size", 10, 1, LARGEST_PAGE_SIZE)
        page = whole_number(parameters, "page", 0, 0, _FAR_FUTURE)
        if page * size > self._deepest:
            raise Refusal(40004, "isv.parameter-invalid", f"page * size beyond {self._deepest}")
        return page, size, slice(page * size, (page + 1) * size)

    def _window(self, parameters: Parameters, start_name: str, end_name: str) -> tuple[int, int]:
        """A window's ends in wall seconds, both counted in, at most 90 days deep."""
        depth = self.clock.seconds - DEPTH_DAYS * DAY_SECONDS
        start, end = seconds_of(parameters, start_name), seconds_of(parameters, end_name)
        if start is not None and start < unix_seconds(depth):
            raise Refusal(40004, "isv.parameter-invalid", f"{start_name} beyond 90 days")
        if start is not None and end is not None and end < start:
            raise Refusal(40004, "isv.parameter-invalid", f"{end_name} before {start_name}")
        low = depth if start is None else start + _GMT8
        high = _FAR_FUTURE if end is None else end + _GMT8
        return low, min(high, self.clock.seconds)

    def _repeated(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if records and self.faults.take("repeat_row"):
            return [*records, records[-1]]
        return records

    def _move_on(self, trades: Int64s) -> None:
        """What happens at the shop after a page was read."""
        for _ in range(min(self.faults.touch_after_page, len(trades))):
            self._touch_count += 1
            draw = disguise.spread(np.array([self._touch_count]), "touch", 0, len(trades))
            self.touch(int(trades[int(draw[0])]))
        self.clock.tick(self.faults.tick_seconds)


def _one_of(parameters: Parameters, name: str, known: tuple[str, ...]) -> str:
    value = text_of(parameters, name) or known[0]
    if value not in known:
        raise Refusal(40003, "isv.parameter-invalid", name)
    return value


def _is_wanted(item: dict[str, Any], parameters: Parameters) -> bool:
    info = item["aftersale_info"]
    wanted = {
        "order_id": item["order_info"]["shop_order_id"],
        "aftersale_id": info["aftersale_id"],
        "aftersale_type": info["aftersale_type"],
    }
    if any(parameters.get(name) not in (None, "", value) for name, value in wanted.items()):
        return False
    states = parameters.get("standard_aftersale_status")
    return not states or info["aftersale_status"] in states
