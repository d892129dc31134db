"""Refunds: ``jingdong.asc.serviceAndRefund.view``, and the amount of each by a call of its own.

The platform lists after-sales services by the time of application (7 days at once) or of approval
(10 days at once), never by the time at which the money went back. So each window looks back over
the applications of five weeks and the approvals of ten days, and gives what ended within it and
what is still open. A refund that ends later than five weeks after its application and more than
ten days after its approval is missed.

Orders that were cancelled before shipment have no after-sales service: their refunds are in none
of the platform's lists, only the order's own state tells that it was cancelled.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from regulars.errors import SourceUnavailable
from regulars.records import RawRecord, Window
from regulars.sources.calling import Repeat
from regulars.sources.jd_jos.auth import PLATFORM_ZONE
from regulars.sources.jd_jos.client import JdClient
from regulars.sources.jd_jos.lists import (
    FAILURES_IN_A_ROW,
    PART_ATTEMPTS,
    ListReader,
    is_success,
    platform_time,
    shown,
    unexpected,
    whole,
)
from regulars.sources.paging import Item, Page, PageRead, UnreadablePage, walk_backwards

METHOD = "jingdong.asc.serviceAndRefund.view"
DETAIL = "jingdong.b2c.shop.aftersales.refund.get"
LONGEST_REFUNDS = timedelta(days=7)
LARGEST_PAGE = 50

_APPLY_SPAN = timedelta(days=7)
_APPLY_LOOK_BACK = timedelta(days=35)
_APPROVE_SPAN = timedelta(days=10)

_BILL = "sameOrderServiceBill"
_TIMES = ("afsApplyTime", "approveDate", "completeTime")
_LIST_SUCCESS, _DETAIL_SUCCESS = "00000", "200"
_SUCCEEDED, _FAILED = "13", "14"


@dataclass(frozen=True, slots=True)
class _Span:
    """A span of application (``applyTime``) or approval (``approveTime``)."""

    name: str
    start: datetime
    end: datetime


def look_back(window: Window) -> list[_Span]:
    """The spans that are asked for to learn what happened within ``window``, oldest first."""
    spans = [_Span("approveTime", window.end - _APPROVE_SPAN, window.end)]
    end, first = window.end, window.start - _APPLY_LOOK_BACK
    while end > first:
        start = max(first, end - _APPLY_SPAN)
        spans.append(_Span("applyTime", start, end))
        end = start
    spans.reverse()
    return spans


def read_refunds(client: JdClient, window: Window) -> Iterator[RawRecord]:
    """Every after-sales refund that ended within ``window`` or is still open.

    A place that stays unreadable is a record with a ``defect``; the others come all the same.

    Raises:
        SourceError: see :meth:`JdClient.call`.
    """
    seen: set[object] = set()
    details = _Details(client)
    for span in look_back(window):
        reader = _SpanReader(client, span)
        for item in walk_backwards(
            reader.count(), reader.read, identity, reader.where, largest=LARGEST_PAGE
        ):
            if item.defect is not None:
                yield RawRecord({}, f"{reader.where} {item.position}", item.defect)
                continue
            key = identity(item.record)
            if key in seen:
                continue
            seen.add(key)
            yield from _raw_records(details, item, window)


def _raw_records(details: "_Details", item: Item, window: Window) -> Iterator[RawRecord]:
    if not isinstance(item.record, dict):
        yield RawRecord({"value": item.record}, item.position, "not an object")
        return
    flat = flattened(item.record)
    if not _concerns(flat, window):
        return
    defect = None
    service, status = str(flat.get("serviceId") or ""), str(flat.get("status"))
    # Exchanges and repairs have no refund, and of a failed one no money went back.
    has_refund = flat.get("afsRefundId") is not None or status == _SUCCEEDED
    if service.isdecimal() and has_refund and status != _FAILED:
        is_needed = status == _SUCCEEDED and flat.get("refoundAmount") is None
        try:
            flat.update(details.amounts(service, is_needed=is_needed))
        except UnreadablePage as bad:
            # Lists cannot be asked again for one record: the whole window is.
            defect = bad.reason
    yield RawRecord(flat, item.position, defect, key=f"serviceId {service}" if defect else "")


def _concerns(record: dict[str, Any], window: Window) -> bool:
    """Whether the record ended in the window, or may have changed in it for all one can tell."""
    completed = _instant(record.get("completeTime"))
    return completed is None or window.start <= completed <= window.end


def _instant(value: object) -> datetime | None:
    try:
        moment = datetime.strptime(str(value), "%Y-%m-%d %H:%M:%S").replace(tzinfo=PLATFORM_ZONE)
    except ValueError:
        return None
    is_set = moment.year not in (1, 1970)
    return moment if is_set else None


class _Details:
    """Asks for amounts of refunds, and notices when the platform is gone altogether."""

    def __init__(self, client: JdClient) -> None:
        self._client = client
        self._failures = 0

    def amounts(self, service: str, *, is_needed: bool) -> dict[str, Any]:
        """The refund's actual amount, or the largest that the seller may refund.

        Args:
            service: number of the after-sales service.
            is_needed: whether nothing else tells what went back; otherwise a detail that the
                platform does not give is no amount.

        Raises:
            UnreadablePage: this one's detail fails although others can be read.
            SourceError: a dozen in a row failed, or see :meth:`JdClient.call`.
        """

        def check(body: dict[str, Any]) -> None:
            if is_needed and not _has_detail(body):
                number = shown(_part(body, "result").get("errorCode"))
                raise Repeat(f"the refund's detail was no success (errorCode {number})")

        attempts = PART_ATTEMPTS if self._failures else None
        try:
            body = self._client.call(
                DETAIL, {"afsServiceId": int(service)}, check, attempts=attempts
            )
        except SourceUnavailable as error:
            self._failures += 1
            if self._failures >= FAILURES_IN_A_ROW:
                raise
            raise UnreadablePage(f"its amount could not be read: {error.what}") from None
        self._failures = 0
        if not _has_detail(body):
            return {}
        data = _part(_part(body, "result"), "data")
        amounts = {}
        for part, name in (
            ("afsActualRefundDetail", "actualRefundAmount"),
            ("afsEstimateRefundDetail", "maxRefundAmount"),
        ):
            amount = _part(data, part).get(name)
            if amount is not None:
                amounts[name] = amount
        return amounts


def _has_detail(body: dict[str, Any]) -> bool:
    result = _part(body, "result")
    return is_success(result.get("success")) and str(result.get("errorCode")) == _DETAIL_SUCCESS


def _part(value: dict[str, Any], name: str) -> dict[str, Any]:
    part = value.get(name)
    return part if isinstance(part, dict) else {}


class _SpanReader(ListReader):
    """Reads pages of one span of services."""

    def __init__(self, client: JdClient, span: _Span) -> None:
        start = platform_time(span.start)
        super().__init__(client, f"{METHOD} {span.name} {start}")
        self._base = {f"{span.name}Begin": start, f"{span.name}End": platform_time(span.end)}

    def ask(self, page: Page, attempts: int | None, *, is_count: bool) -> PageRead:
        parameters = {**self._base, "pageNumber": page.number, "pageSize": page.size}

        def check(body: dict[str, Any]) -> None:
            result = _result(body)
            number = str(result.get("code") or "")
            is_beyond = page.number > 1 and not result.get("data")
            succeeded = is_success(result.get("success")) and number == _LIST_SUCCESS
            if not succeeded and not is_beyond:
                raise Repeat(f"the list was no success (code {shown(number)})")

        result = _result(self.client.call(METHOD, parameters, check, attempts=attempts))
        records = result.get("data") or []
        if not isinstance(records, list):
            raise unexpected("pageResult.data is not a list", METHOD)
        return PageRead(whole(result.get("totalCount"), "totalCount", METHOD), records)


def _result(body: dict[str, Any]) -> dict[str, Any]:
    result = body.get("pageResult")
    if not isinstance(result, dict):
        raise unexpected("the answer has no pageResult", METHOD)
    return result


def identity(record: Any) -> object:
    """What makes two records the same version of the same service."""
    bill = record.get(_BILL) if isinstance(record, dict) else None
    if isinstance(bill, dict) and bill.get("serviceId") is not None:
        names = ("afsRefundId", "status", "completeTime")
        own = tuple(str(record.get(name)) for name in names)
        return (str(bill["serviceId"]), str(bill.get("approveDate")), *own)
    return repr(record)


def flattened(record: dict[str, Any]) -> dict[str, Any]:
    """A service with the members of its bill in the record itself, and its times as text."""
    bill = record.get(_BILL)
    flat = {name: value for name, value in record.items() if name != _BILL}
    if isinstance(bill, dict):
        flat = {**bill, **flat}
    for name in _TIMES:
        if name in flat:
            flat[name] = _as_text(flat[name])
    return flat


def _as_text(value: object) -> object:
    """A time as ``YYYY-MM-DD HH:MM:SS`` of GMT+8; some apps get milliseconds since 1970."""
    text = str(value)
    if isinstance(value, bool) or not text.isdecimal() or not 12 <= len(text) <= 14:
        return value
    moment = datetime.fromtimestamp(int(text) / 1000, UTC)
    return moment.astimezone(PLATFORM_ZONE).strftime("%Y-%m-%d %H:%M:%S")
