"""The sandbox shop itself: a book, a clock, access control and faults; answers calls.

Nothing here knows HTTP, so that rules can be tested by calling :meth:`SandboxShop.answer`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from regulars.sandbox import disguise, parcels
from regulars.sandbox.book import EventIndex, OrderBook
from regulars.sandbox.clockwork import ShopClock
from regulars.sandbox.faults import Faults, edited, take
from regulars.sandbox.limits import AccessControl, Limits, ban
from regulars.sandbox.protocol import (
    DAY_SECONDS,
    DEFAULT_PAGE_SIZE,
    LARGEST_PAGE_SIZE,
    PLATFORM_ZONE,
    Access,
    Parameters,
    Refusal,
    envelope_name,
    flag,
    invalid,
    required,
    verify_call,
    wall_time,
    whole_number,
)
from regulars.sandbox.reviews import Reviews
from regulars.sandbox.wire import (
    REFUND_STATUS,
    TRADE_STATUS,
    FieldSelection,
    RefundPage,
    TradePage,
    refund_status,
    trade_status,
)

Int64s = NDArray[np.int64]

DEFAULT_NOW = datetime(2017, 10, 1, tzinfo=PLATFORM_ZONE)
_DEPTH_MONTHS = 3
_FAR_FUTURE = 2**40
_REVIEW_DAYS, _MOST_REVIEWS = 180, 1_500
_LARGEST_REVIEW_PAGE, _REVIEW_PAGES = 150, 200
_STATUS_GROUPS = {
    "ALL_WAIT_PAY": ("WAIT_BUYER_PAY",),
    "ALL_CLOSED": ("TRADE_CLOSED", "TRADE_CLOSED_BY_TAOBAO"),
}
# Every trade here is of type `fixed`, which the query alias `guarantee_trade` covers.
_OUR_TYPES = frozenset(("fixed", "guarantee_trade"))


@dataclass(frozen=True)
class Answer:
    """What goes back over HTTP."""

    status: int
    body: bytes
    content_type: str = "application/json;charset=UTF-8"
    delay_seconds: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)


class SandboxShop:
    """One shop. Not for use by several threads at once, except for reading the clock.

    Args:
        book: all trades it will ever have.
        access: app key, secret and session it accepts.
        now: the shop's clock (aware); ignored when ``clock`` is given.
        clock: the clock to live by, where several shops share one.
        limits: access control; no limits by default.
        machine_seconds: the machine's clock, against which timestamps are checked; None to
            accept any timestamp.
        elapsed: seconds of a clock that only runs forward, for bans.
    """

    def __init__(
        self,
        book: OrderBook,
        access: Access,
        *,
        now: datetime = DEFAULT_NOW,
        clock: ShopClock | None = None,
        limits: Limits | None = None,
        machine_seconds: Callable[[], float] | None = time.time,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self.book, self.access = book, access
        self.clock = clock or ShopClock(now)
        self.faults = Faults()
        self.call_count = 0
        self._machine_seconds = machine_seconds
        self._elapsed = elapsed
        self._control = AccessControl(limits or Limits(), elapsed)
        self._touched: dict[int, int] = {}
        self._touch_count = 0
        self._methods = {
            "taobao.trades.sold.increment.get": self._list_modified_trades,
            "taobao.trades.sold.get": self._list_created_trades,
            "taobao.trade.fullinfo.get": self._show_trade,
            "taobao.refunds.receive.get": self._list_refunds,
            "taobao.refund.get": self._show_refund,
            "taobao.traderates.get": self._list_reviews,
            "taobao.logistics.orders.get": self._list_parcels,
            "taobao.logistics.trace.get": self._show_way,
            "taobao.logistics.trace.search": self._search_way,
        }

    @property
    def now(self) -> datetime:
        """The shop's present (aware, GMT+8)."""
        return self.clock.now

    @now.setter
    def now(self, instant: datetime) -> None:
        self.clock.now = instant

    @property
    def _clock(self) -> int:
        return self.clock.seconds

    @property
    def limits(self) -> Limits:
        """How much an app may call."""
        return self._control.limits

    def replace_limits(self, limits: Limits) -> None:
        """Set all limits anew; bans and the quota used so far are forgotten."""
        self._control = AccessControl(limits, self._elapsed)

    def replace_faults(self, faults: Faults) -> None:
        """Set all faults anew; trades that an edit touches are modified at the clock's present."""
        self.faults = faults
        for edit in faults.edits:
            trade = self.book.find_trade(edit.tid) if edit.touch and edit.tid else None
            if trade is not None:
                self.touch(trade)

    def touch(self, trade: int) -> None:
        """Modify a trade at the clock's present, as an added memo would."""
        self._touched[trade] = self._clock

    def answer(self, parameters: Parameters) -> Answer:
        """Answer one call; ``parameters`` are those of query and body merged."""
        self.call_count += 1
        request_id = f"{self.call_count:08x}sandbox"
        delay = self.faults.slow.seconds if self.faults.slow and take(self.faults.slow) else 0.0
        if self.faults.http_error is not None and take(self.faults.http_error):
            error = self.faults.http_error
            wait = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
            return Answer(error.status, b"", "text/plain", delay, wait)
        if self.faults.take("html"):
            page = "<html><body>系统维护中</body></html>".encode()
            return Answer(200, page, "text/html;charset=UTF-8", delay)
        try:
            body = self._called(parameters, request_id)
        except Refusal as refusal:
            body = refusal.envelope(request_id)
        content = orjson.dumps(body)
        if self.faults.take("truncate"):
            content = content[: len(content) // 2]
        return Answer(200, content, delay_seconds=delay)

    def _called(self, parameters: Parameters, request_id: str) -> dict[str, Any]:
        machine_seconds = self._machine_seconds() if self._machine_seconds else None
        method = verify_call(parameters, self.access, frozenset(self._methods), machine_seconds)
        if self.faults.take("session_expired"):
            raise Refusal(27, "Invalid Session", "session-expired", "the session has expired")
        if self.faults.throttle is not None and take(self.faults.throttle):
            raise ban(self.faults.throttle.seconds, self.faults.throttle.sub_code)
        self._control.admit(method, self._clock)
        if self.faults.take("system_busy"):
            raise Refusal(15, "Remote Service Error", "isp.remote-service-error", "busy")
        content = self._methods[method](parameters)
        if flag(parameters, "simplify"):
            return {**content, "request_id": request_id}
        return {envelope_name(method): {**content, "request_id": request_id}}

    # --- methods ----------------------------------------------------------------------------

    def _list_modified_trades(self, parameters: Parameters) -> dict[str, Any]:
        required(parameters, "fields")
        required(parameters, "start_modified")
        required(parameters, "end_modified")
        start, end = self._window(parameters, "start_modified", "end_modified")
        if end - start > DAY_SECONDS:
            raise invalid("end_modified", "at most one day after start_modified")
        trades, modified = self._modified(self.book.trade_events, start, end)
        trades, modified = self._with_touched(trades, modified, start, end)
        return self._trade_list(parameters, trades, modified)

    def _list_created_trades(self, parameters: Parameters) -> dict[str, Any]:
        required(parameters, "fields")
        start, end = self._window(parameters, "start_created", "end_created", clip=True)
        low, high = np.searchsorted(self.book.created, [start, min(end, self._clock) + 1])
        trades = np.arange(low, max(low, high), dtype=np.int64)
        return self._trade_list(parameters, trades, None)

    def _show_trade(self, parameters: Parameters) -> dict[str, Any]:
        selection = FieldSelection.parse(required(parameters, "fields"))
        tid = required(parameters, "tid")
        trade = self.book.find_trade(int(tid)) if tid.isascii() and tid.isdigit() else None
        if trade is None or self.book.created[trade] > self._clock:
            raise Refusal(15, "Remote Service Error", "isv.trade-not-exist", "no such trade")
        records = self._trade_records(parameters, np.array([trade]), None, selection, is_full=True)
        return {"trade": records[0]}

    def _list_refunds(self, parameters: Parameters) -> dict[str, Any]:
        selection = FieldSelection.parse(required(parameters, "fields"))
        start, end = self._window(parameters, "start_modified", "end_modified")
        rows, modified = self._modified(self.book.refund_events, start, end)
        rows, modified = rows[::-1], modified[::-1]
        keep = np.ones(len(rows), dtype=np.bool_)
        if status := parameters.get("status"):
            codes = [code for code, name in enumerate(REFUND_STATUS) if name == status]
            keep &= np.isin(refund_status(self.book, rows, self._clock), codes)
        keep &= self._of_buyer(parameters, self.book.refund_trade[rows])
        rows, modified = rows[keep], modified[keep]
        chosen, answer = self._page(parameters, len(rows))
        records = RefundPage(self.book, rows[chosen], modified[chosen], self._clock).records(
            selection
        )
        self._edit(records, "refund_id")
        self.clock.tick(self.faults.tick_seconds)
        return self._wrapped(parameters, answer, records, "refund")

    def _show_refund(self, parameters: Parameters) -> dict[str, Any]:
        selection = FieldSelection.parse(required(parameters, "fields"))
        number = required(parameters, "refund_id")
        row = self.book.find_refund(int(number)) if number.isascii() and number.isdigit() else None
        if row is None or self.book.refund_requested[row] > self._clock:
            raise Refusal(15, "Remote Service Error", "isv.refund-not-exist", "no such refund")
        rows = np.array([row])
        modified = self.book.refund_events.modified_at(rows, self._clock)
        records = RefundPage(self.book, rows, modified, self._clock).records(selection)
        self._edit(records, "refund_id")
        return {"refund": records[0]}

    def _list_reviews(self, parameters: Parameters) -> dict[str, Any]:
        fields = FieldSelection.parse(required(parameters, "fields")).fields
        kind = (required(parameters, "rate_type"), required(parameters, "role"))
        for name, value, known in zip(
            ("rate_type", "role"), kind, (("get", "give"), ("seller", "buyer")), strict=True
        ):
            if value not in known:
                raise invalid(name, " or ".join(known))
        start = wall_time(parameters, "start_date") or 0
        end = wall_time(parameters, "end_date") or _FAR_FUTURE
        if end <= start:
            raise invalid("end_date", "a time after start_date")
        start = max(start, self._clock - _REVIEW_DAYS * DAY_SECONDS)
        chosen = self._reviews.between(start, min(end, self._clock))[::-1]
        if kind != ("get", "buyer"):  # this seller reviews nobody
            chosen = chosen[:0]
        chosen = self._reviews.only(self.book, chosen, parameters)[:_MOST_REVIEWS]
        page, answer = self._page(
            parameters, len(chosen), largest=_LARGEST_REVIEW_PAGE, pages=_REVIEW_PAGES
        )
        records = self._reviews.records(self.book, chosen[page], fields)
        self.clock.tick(self.faults.tick_seconds)
        return self._wrapped(parameters, answer, records, "trade_rate")

    def _list_parcels(self, parameters: Parameters) -> dict[str, Any]:
        fields = FieldSelection.parse(required(parameters, "fields")).fields
        if parameters.get("tid"):
            trade = self._shipped_trade(parameters)
            trades = np.array([] if trade is None else [trade], dtype=np.int64)
        else:
            start, end = self._window(parameters, "start_created", "end_created", clip=True)
            trades = parcels.shipped_trades(self.book, start, end, self._clock)
        page, answer = self._page(parameters, len(trades))
        records = parcels.shippings(self.book, trades[page], self._clock, fields)
        self.clock.tick(self.faults.tick_seconds)
        return self._wrapped(parameters, answer, records, "shipping")

    def _show_way(self, parameters: Parameters) -> dict[str, Any]:
        trade = self._shipped_trade(parameters)
        if trade is None:
            return {"result": {}}
        way = parcels.trace(self.book, trade, self._clock)
        return {"result": {"transit_step_result": [way]}}

    def _search_way(self, parameters: Parameters) -> dict[str, Any]:
        trade = self._shipped_trade(parameters)
        return {} if trade is None else parcels.trace(self.book, trade, self._clock)

    def _shipped_trade(self, parameters: Parameters) -> int | None:
        """The trade asked for; None when it has not been shipped yet."""
        tid = required(parameters, "tid")
        trade = self.book.find_trade(int(tid)) if tid.isascii() and tid.isdigit() else None
        if trade is None or self.book.created[trade] > self._clock:
            raise Refusal(15, "Remote Service Error", "isv.trade-not-exist", "no such trade")
        return trade if self.book.shipped[trade] <= self._clock else None

    @cached_property
    def _reviews(self) -> Reviews:
        return Reviews.of(self.book)

    # --- lists ------------------------------------------------------------------------------

    def _window(
        self, parameters: Parameters, start_name: str, end_name: str, *, clip: bool = False
    ) -> tuple[int, int]:
        """The window's ends, both inclusive; at most three months deep."""
        depth = _months_before(self._clock, _DEPTH_MONTHS)
        start = wall_time(parameters, start_name)
        end = wall_time(parameters, end_name)
        if start is not None and start < depth and not clip:
            raise invalid(start_name, "a time within the last three months")
        if start is not None and end is not None and end <= start:
            raise invalid(end_name, f"a time after {start_name}")
        return max(depth, start or 0), _FAR_FUTURE if end is None else end

    def _modified(self, events: EventIndex, start: int, end: int) -> tuple[Int64s, Int64s]:
        return events.modified_between(start, end, self._clock)

    def _touch_time(self, trade: int) -> int:
        """When a trade was last touched as of the clock; 0 when never, or modified since."""
        touched = self._touched.get(trade, 0)
        if touched > self._clock:
            return 0
        own = self.book.trade_events.modified_at(np.array([trade]), self._clock)[0]
        return touched if touched > own else 0

    def _with_touched(
        self, trades: Int64s, modified: Int64s, start: int, end: int
    ) -> tuple[Int64s, Int64s]:
        if not self._touched:
            return trades, modified
        times = {
            trade: moment
            for trade in self._touched
            if self.book.created[trade] <= self._clock and (moment := self._touch_time(trade))
        }
        stay = ~np.isin(trades, list(times))
        inside = {trade: moment for trade, moment in times.items() if start <= moment <= end}
        trades = np.concatenate((trades[stay], np.array(list(inside), dtype=np.int64)))
        modified = np.concatenate((modified[stay], np.array(list(inside.values()), dtype=np.int64)))
        order = np.lexsort((self.book.tid[trades], modified))
        return trades[order], modified[order]

    def _trade_list(
        self, parameters: Parameters, trades: Int64s, modified: Int64s | None
    ) -> dict[str, Any]:
        selection = FieldSelection.parse(required(parameters, "fields"))
        trades = trades[::-1]  # newest first
        keep = self._of_buyer(parameters, trades)
        if status := parameters.get("status"):
            names = _STATUS_GROUPS.get(status, (status,))
            codes = [code for code, name in enumerate(TRADE_STATUS) if name in names]
            keep &= np.isin(trade_status(self.book, trades, self._clock), codes)
        if types := parameters.get("type"):
            keep &= bool(_OUR_TYPES & set(types.split(",")))
        trades = trades[keep]
        if modified is not None:
            modified = modified[::-1][keep]
        chosen, answer = self._page(parameters, len(trades))
        records = self._trade_records(
            parameters,
            trades[chosen],
            None if modified is None else modified[chosen],
            selection,
            is_full=False,
        )
        self._touch_some(trades)
        self.clock.tick(self.faults.tick_seconds)
        return self._wrapped(parameters, answer, records, "trade")

    def _trade_records(
        self,
        parameters: Parameters,
        trades: Int64s,
        modified: Int64s | None,
        selection: FieldSelection,
        *,
        is_full: bool,
    ) -> list[dict[str, Any]]:
        if modified is None:
            modified = self.book.trade_events.modified_at(trades, self._clock)
            touches = [self._touch_time(trade) for trade in trades.tolist() if self._touched]
            modified = np.maximum(modified, touches) if touches else modified
        page = TradePage(self.book, trades, modified, self._clock, is_full)
        records = page.records(selection, wrap=not flag(parameters, "simplify"))
        self._edit(records, "tid")
        return records

    def _of_buyer(self, parameters: Parameters, trades: Int64s) -> NDArray[np.bool_]:
        wanted = parameters.get("buyer_open_uid")
        if not wanted:
            return np.ones(len(trades), dtype=np.bool_)
        households = self.book.household[trades]
        known = [
            household
            for household in np.unique(households).tolist()
            if disguise.buyer_open_uid(household) == wanted
        ]
        return np.isin(households, known)

    def _page(
        self,
        parameters: Parameters,
        total: int,
        *,
        largest: int = LARGEST_PAGE_SIZE,
        pages: int = 1_000_000,
    ) -> tuple[slice, dict[str, Any]]:
        size = whole_number(parameters, "page_size", DEFAULT_PAGE_SIZE, 1, largest)
        number = whole_number(parameters, "page_no", 1, 1, pages)
        first = (number - 1) * size
        if flag(parameters, "use_has_next"):
            return slice(first, first + size), {"has_next": first + size < total}
        return slice(first, first + size), {"total_results": total}

    def _wrapped(
        self,
        parameters: Parameters,
        answer: dict[str, Any],
        records: list[dict[str, Any]],
        item: str,
    ) -> dict[str, Any]:
        if records and self.faults.take("repeat_row"):
            records = [*records, records[-1]]
        name = item + "s"
        if not records:
            empty: dict[str, Any] = {"absent": {}, "object": {name: {}}, "list": {name: {item: []}}}
            return {**answer, **empty[self.faults.empty_list]}
        return {**answer, name: records if flag(parameters, "simplify") else {item: records}}

    # --- faults -----------------------------------------------------------------------------

    def _edit(self, records: list[dict[str, Any]], key: str) -> None:
        if not self.faults.edits:
            return
        for record in records:
            concerned = [
                edit
                for edit in self.faults.edits
                if (
                    edit.refund_id == record.get("refund_id")
                    if key == "refund_id"
                    else edit.refund_id is None and edit.tid in (None, record.get("tid"))
                )
            ]
            edited(record, concerned)

    def _touch_some(self, trades: Int64s) -> None:
        for _ in range(min(self.faults.touch_after_page, len(trades))):
            self._touch_count += 1
            draw = disguise.spread(np.array([self._touch_count]), "touch", 0, len(trades))
            self.touch(int(trades[int(draw[0])]))


def _months_before(clock: int, months: int) -> int:
    moment = datetime.fromtimestamp(clock, UTC)
    year, month = divmod(moment.year * 12 + moment.month - 1 - months, 12)
    last_day = (datetime(year + (month + 1) // 12, (month + 1) % 12 + 1, 1, tzinfo=UTC)) - (
        timedelta(days=1)
    )
    return int(
        moment.replace(year=year, month=month + 1, day=min(moment.day, last_day.day)).timestamp()
    )
