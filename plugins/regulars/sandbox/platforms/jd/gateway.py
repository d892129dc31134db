"""One shop on JD: a book, a clock, a token and faults; answers calls.

What stands behind the refusals is in docs/reference/platforms/jd.md. Numbers of business failures
are the sandbox's own, since the platform documents none.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import orjson
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from regulars.sandbox import disguise
from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import ShopClock
from regulars.sandbox.faults import take
from regulars.sandbox.platforms.jd.faults import Faults, edit_order, edit_service
from regulars.sandbox.platforms.jd.orders import (
    OTHER_STATES,
    STATE_ALIASES,
    STATES,
    OrderPage,
    locked_at,
    order_events,
    order_ids,
    state_codes,
)
from regulars.sandbox.platforms.jd.protocol import (
    Failure,
    Refusal,
    business_parameters,
    envelope_name,
    months_before,
    number_text,
    verify_call,
    wall_time,
    whole_number,
)
from regulars.sandbox.platforms.jd.services import Services
from regulars.sandbox.platforms.jd.tokens import Tokens
from regulars.sandbox.protocol import DAY_SECONDS, Access
from regulars.sandbox.shop import Answer

Int64s = NDArray[np.int64]
Business = dict[str, Any]

LARGEST_ORDER_PAGE, LARGEST_SERVICE_PAGE = 100, 50
UPDATE_DEPTH_MONTHS, CREATION_DEPTH_MONTHS = 3, 24
APPLY_DAYS, APPROVE_DAYS = 7, 10
_FAR = 1_000_000
_SEARCH = {"jingdong.pop.order.search": False, "jingdong.pop.order.enSearch": True}
_GET = {"jingdong.pop.order.get": False, "jingdong.pop.order.enGet": True}
_SERVICES = "jingdong.asc.serviceAndRefund.view"
_REFUND = "jingdong.b2c.shop.aftersales.refund.get"
METHODS = frozenset((*_SEARCH, *_GET, _SERVICES, _REFUND))


class Gateway:
    """One shop. Not for use by several threads at once, except for reading the clock.

    Args:
        book: all orders it will ever have.
        access: app key, app secret and the seller's first token (``session``).
        clock: the sandbox's present.
        tokens: the seller's token; by default one that never expires.
        daily_quota: calls per day of the shop (500 for an app in test state); None for any.
        machine_seconds: the machine's clock, against which timestamps and the token's expiry are
            checked; None to accept any timestamp.
    """

    def __init__(
        self,
        book: OrderBook,
        access: Access,
        clock: ShopClock,
        *,
        tokens: Tokens | None = None,
        daily_quota: int | None = None,
        machine_seconds: Callable[[], float] | None = time.time,
    ) -> None:
        self.book, self.access, self.clock = book, access, clock
        self.tokens = tokens or Tokens(access)
        self.daily_quota = daily_quota
        self.faults = Faults()
        self.call_count = 0
        self._machine_seconds = machine_seconds
        self._events = order_events(book)
        self._locked = locked_at(book)
        self._services = Services(book)
        self._touched: dict[int, int] = {}
        self._touch_count = 0
        self._quota_day, self._quota_used = -1, 0

    def routes(self) -> list[BaseRoute]:
        """Routes at the platform's native paths."""
        return [
            Route("/routerjson", self._router, methods=["GET", "POST"]),
            Route("/oauth2/refresh_token", self._renewal, methods=["GET", "POST"]),
        ]

    def expire_token_in(self, seconds: float) -> datetime:
        """Let the seller's token expire so long from the machine's present; when that is (UTC)."""
        self.tokens.expires_at = self._now() + seconds
        return datetime.fromtimestamp(self.tokens.expires_at, UTC)

    def _now(self) -> float:
        return self._machine_seconds() if self._machine_seconds else time.time()

    def replace_faults(self, faults: Faults) -> None:
        """Set all faults anew; orders that an edit touches are modified at the clock's present."""
        self.faults = faults
        for edit in faults.edits:
            order = self.find_order(edit.order_id) if edit.touch and edit.order_id else None
            if order is not None:
                self.touch(order)

    def touch(self, order: int) -> None:
        """Modify an order at the clock's present, as a new waybill would."""
        self._touched[order] = self.clock.seconds

    def find_order(self, order_id: str) -> int | None:
        """Index of the order with this number, whatever the clock."""
        if not (order_id.isascii() and order_id.isdigit()):
            return None
        found = np.flatnonzero(order_ids(self.book.basket) == int(order_id))
        return int(found[0]) if len(found) else None

    def answer(self, parameters: dict[str, str]) -> Answer:
        """Answer one call; ``parameters`` are those of query and body merged."""
        self.call_count += 1
        error = self.faults.http_error
        if error is not None and take(error):
            wait = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
            return Answer(error.status, b"", "text/plain", 0.0, wait)
        if self.faults.take("html"):
            page = "<html><body>系统维护中</body></html>".encode()
            return Answer(200, page, "text/html;charset=UTF-8")
        try:
            content = orjson.dumps(self._called(parameters))
        except Refusal as refusal:
            content = orjson.dumps(refusal.envelope(is_bare=self.faults.is_bare))
        if self.faults.take("truncate"):
            content = content[: len(content) // 2]
        elif self.faults.take("cut"):
            # More is promised than comes: the connection ends in the middle.
            return Answer(200, content[:-1], headers={"Content-Length": str(len(content))})
        return Answer(200, content)

    def _called(self, parameters: dict[str, str]) -> dict[str, Any]:
        now = self._machine_seconds() if self._machine_seconds else None
        method = verify_call(parameters, self.access.app_key, self.access.app_secret, METHODS, now)
        if self.faults.take("token_expired"):
            raise Refusal(19, "Invalid Access Token")
        self.tokens.verify(parameters.get("access_token", ""), now or time.time())
        self._count_against_quota()
        if self.faults.take("system_busy"):
            raise Refusal(65, "System Busy")
        return {envelope_name(method): {"code": "0", **self._result(method, parameters)}}

    def _count_against_quota(self) -> None:
        day = self.clock.seconds // DAY_SECONDS
        if day != self._quota_day:
            self._quota_day, self._quota_used = day, 0
        if self.daily_quota is not None and self._quota_used >= self.daily_quota:
            raise Refusal(2, "App Call Limited")
        self._quota_used += 1

    def _result(self, method: str, parameters: dict[str, str]) -> dict[str, Any]:
        try:
            business = business_parameters(parameters)
            if self.faults.take("failed"):
                raise Failure(1999, "the service is not available")
            if method in _SEARCH:
                result = self._search(business, is_encrypted=_SEARCH[method])
                return {"searchorderinfo_result": {"apiResult": _api_result(), **result}}
            if method in _GET:
                result = self._order(business, is_encrypted=_GET[method])
                return {"orderDetailInfo": {"apiResult": _api_result(), **result}}
            if method == _SERVICES:
                result = self._service_list(business)
                return {"pageResult": {"success": True, "code": "00000", **result}}
            detail = self._refund(business)
            return {"result": {"success": True, "errorCode": "200", "data": detail}}
        except Failure as failure:
            return _failed(method, failure)

    # --- orders -----------------------------------------------------------------------------

    def _search(self, business: Business, *, is_encrypted: bool) -> dict[str, Any]:
        wanted = _optional_fields(business)
        _source(business)
        by_creation = business.get("dateType") == 1
        start, end = self._window(business, by_creation=by_creation)
        number = number_text(business, "page", _FAR)
        size = number_text(business, "page_size", LARGEST_ORDER_PAGE)
        orders, times = self._created(start, end) if by_creation else self._modified(start, end)
        states = state_codes(self.book, orders, self._locked, self.clock.seconds)
        keep = _wanted_states(business, states)
        orders, times = orders[keep], times[keep]
        if business.get("sortType") == 1:
            orders, times = orders[::-1], times[::-1]
        first, total = (number - 1) * size, len(orders)
        if first >= total and number > 1 and self.faults.beyond_end != "total":
            if self.faults.beyond_end == "failure":
                raise Failure(1010, "no order on this page")
            return {"orderTotal": 0, "orderInfoList": []}
        records = self._records(orders[first : first + size], wanted, is_encrypted=is_encrypted)
        if records and self.faults.take("repeat_row"):
            records = [*records, records[-1]]
        self._touch_some(orders)
        self.clock.tick(self.faults.tick_seconds)
        return {"orderTotal": total, "orderInfoList": records}

    def _order(self, business: Business, *, is_encrypted: bool) -> dict[str, Any]:
        wanted = _optional_fields(business)
        order = self.find_order(str(business.get("order_id", "")))
        if order is None or self.book.created[order] > self.clock.seconds:
            raise Failure(1011, "no such order")
        records = self._records(np.array([order]), wanted, is_encrypted=is_encrypted)
        return {"orderInfo": records[0]}

    def _window(self, business: Business, *, by_creation: bool) -> tuple[int, int]:
        start, end = wall_time(business, "start_date"), wall_time(business, "end_date")
        if end < start:
            raise Failure(1005, "end_date lies before start_date")
        if months_before(end, 1) > start:
            raise Failure(1006, "at most one month between start_date and end_date")
        depth = CREATION_DEPTH_MONTHS if by_creation else UPDATE_DEPTH_MONTHS
        if start < months_before(self.clock.seconds, depth):
            raise Failure(1007, f"start_date lies more than {depth} months ago")
        return start, end

    def _created(self, start: int, end: int) -> tuple[Int64s, Int64s]:
        low, high = np.searchsorted(self.book.created, [start, min(end, self.clock.seconds) + 1])
        orders = np.arange(low, max(low, high), dtype=np.int64)
        return orders, self.book.created[orders]

    def _modified(self, start: int, end: int) -> tuple[Int64s, Int64s]:
        clock = self.clock.seconds
        orders, times = self._events.modified_between(start, end, clock)
        touched = {order: at for order in self._touched if (at := self._touched_at(order))}
        if not touched:
            return orders, times
        stay = ~np.isin(orders, list(touched))
        inside = {order: at for order, at in touched.items() if start <= at <= min(end, clock)}
        orders = np.concatenate((orders[stay], np.array(list(inside), dtype=np.int64)))
        times = np.concatenate((times[stay], np.array(list(inside.values()), dtype=np.int64)))
        order = np.lexsort((self.book.tid[orders], times))
        return orders[order], times[order]

    def _touched_at(self, order: int) -> int:
        """When an order was touched as of the clock; 0 when never, or modified since."""
        at, clock = self._touched[order], self.clock.seconds
        if at > clock or self.book.created[order] > clock:
            return 0
        return at if at > int(self._events.modified_at(np.array([order]), clock)[0]) else 0

    def _records(
        self, orders: Int64s, wanted: frozenset[str], *, is_encrypted: bool
    ) -> list[dict[str, Any]]:
        clock = self.clock.seconds
        modified = self._events.modified_at(orders, clock)
        for place, order in enumerate(orders.tolist()):
            if order in self._touched:
                modified[place] = max(int(modified[place]), self._touched_at(order))
        states = state_codes(self.book, orders, self._locked, clock)
        page = OrderPage(self.book, orders, modified, states, clock, is_encrypted=is_encrypted)
        records = page.records(wanted | {"orderId"})
        for record in records:
            edit_order(record, self.faults.edits)
            if "orderId" not in wanted:
                del record["orderId"]
        return records

    def _touch_some(self, orders: Int64s) -> None:
        for _ in range(min(self.faults.touch_after_page, len(orders))):
            self._touch_count += 1
            draw = disguise.spread(np.array([self._touch_count]), "jd touch", 0, len(orders))
            self.touch(int(orders[int(draw[0])]))

    # --- after-sales ------------------------------------------------------------------------

    def _service_list(self, business: Business) -> dict[str, Any]:
        number = whole_number(business, "pageNumber", 1, _FAR)
        size = whole_number(business, "pageSize", 10, LARGEST_SERVICE_PAGE)
        services, clock = self._services, self.clock.seconds
        keep = services.applied <= clock
        is_bounded = False
        for name, days, times in (
            ("applyTime", APPLY_DAYS, services.applied),
            ("approveTime", APPROVE_DAYS, services.approved),
        ):
            if f"{name}Begin" not in business and f"{name}End" not in business:
                continue
            start, end = wall_time(business, f"{name}Begin"), wall_time(business, f"{name}End")
            if not start < end <= start + days * DAY_SECONDS:
                raise Failure(1006, f"{name}: at most {days} days")
            keep &= (times >= start) & (times <= min(end, clock))
            is_bounded = True
        if "orderId" in business:
            trade = self.find_order(str(business["orderId"]))
            keep &= self.book.refund_trade[services.rows] == (-1 if trade is None else trade)
            is_bounded = True
        if not is_bounded:
            raise Failure(1008, "an order or a span of time is needed")
        places = np.flatnonzero(keep)
        chosen = places[(number - 1) * size : number * size].tolist()
        has_epoch_dates = self.faults.has_epoch_dates
        records = [
            services.record(place, clock, has_epoch_dates=has_epoch_dates) for place in chosen
        ]
        for record in records:
            edit_service(record, self.faults.edits)
        self.clock.tick(self.faults.tick_seconds)
        page = {"totalCount": len(places), "pageNumber": number, "pageSize": size}
        return {**page, "data": records}

    def _refund(self, business: Business) -> dict[str, Any]:
        service = business.get("afsServiceId")
        if isinstance(service, bool) or not isinstance(service, int):
            raise Failure(1003, "afsServiceId must be a number")
        place = self._services.place.get(service)
        if place is None or self._services.applied[place] > self.clock.seconds:
            raise Failure(1012, "no such service")
        if self._services.approved[place] > self.clock.seconds:
            raise Failure(1013, "no refund yet")
        return self._services.detail(place, self.clock.seconds)

    # --- HTTP -------------------------------------------------------------------------------

    async def _router(self, request: Request) -> Response:
        answer = self.answer(await _parameters(request))
        headers = {**answer.headers, "Content-Type": answer.content_type}
        return Response(answer.body, status_code=answer.status, headers=headers)

    async def _renewal(self, request: Request) -> Response:
        body = self.tokens.renew(await _parameters(request), self._now())
        return Response(orjson.dumps(body), headers={"Content-Type": "application/json"})


async def _parameters(request: Request) -> dict[str, str]:
    parameters = dict(parse_qsl(request.url.query, keep_blank_values=True))
    body = (await request.body()).decode("utf-8", errors="replace")
    parameters.update(parse_qsl(body, keep_blank_values=True))
    return parameters


def _optional_fields(business: Business) -> frozenset[str]:
    text = business.get("optional_fields")
    names = frozenset(text.split(",")) - {""} if isinstance(text, str) else frozenset()
    if not names:
        raise Failure(1009, "optional_fields is empty")
    return names


def _source(business: Business) -> None:
    if not isinstance(business.get("source_id", "JOS"), str):
        raise Failure(1003, "source_id must be a string")


def _wanted_states(business: Business, states: Int64s) -> NDArray[np.bool_]:
    text = business.get("order_state")
    if not isinstance(text, str) or not text:
        raise Failure(1009, "order_state is missing")
    if text == "ALL":
        return np.ones(len(states), dtype=np.bool_)
    names = [STATE_ALIASES.get(name, name) for name in text.split(",")]
    if unknown := set(names) - {*STATES, *OTHER_STATES}:
        raise Failure(1004, f"order_state: {len(unknown)} unknown")
    return np.isin(states, [code for code, name in enumerate(STATES) if name in names])


def _api_result(failure: Failure | None = None) -> dict[str, Any]:
    return {
        "success": failure is None,
        "numberCode": "0" if failure is None else str(failure.number),
        "chineseErrCode": "" if failure is None else failure.text,
        "englishErrCode": "" if failure is None else failure.text,
    }


def _failed(method: str, failure: Failure) -> dict[str, Any]:
    if method in _SEARCH:
        result = {"apiResult": _api_result(failure), "orderTotal": 0, "orderInfoList": []}
        return {"searchorderinfo_result": result}
    if method in _GET:
        return {"orderDetailInfo": {"apiResult": _api_result(failure)}}
    if method == _SERVICES:
        return {"pageResult": {"success": False, "code": str(failure.number), "data": []}}
    return {"result": {"success": False, "errorCode": str(failure.number)}}
