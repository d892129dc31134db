"""Orders: ``jingdong.pop.order.search`` by modification time.

The platform allows a calendar month at once and three months of depth; a day at a time keeps the
lists short. It counts changes of state and waybill as modifications, and nothing else.
"""

import re
from calendar import monthrange
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from regulars.errors import SourceError
from regulars.records import RawRecord, Window
from regulars.sources.calling import Repeat
from regulars.sources.jd_jos.auth import PLATFORM_ZONE
from regulars.sources.jd_jos.client import JdClient
from regulars.sources.jd_jos.lists import (
    ListReader,
    is_success,
    platform_time,
    shown,
    unexpected,
    whole,
)
from regulars.sources.jd_jos.payload import CONSIGNEE, OPTIONAL_FIELDS
from regulars.sources.paging import Item, Page, PageRead, walk_backwards

METHOD = "jingdong.pop.order.search"
LONGEST_ORDERS = timedelta(days=1)
DEPTH_MONTHS = 3
LARGEST_PAGE = 100

_COUNT_FIELDS = "orderId,modified"
_CONSIGNEE_NAMES = tuple(one.name for one in CONSIGNEE)
# What stands in a contact field of an app that may not decrypt: base64, other for every order.
_CIPHERTEXT = re.compile(r"[A-Za-z0-9+/_\-]{24,}={0,2}")


def read_orders(client: JdClient, window: Window, now: datetime) -> Iterator[RawRecord]:
    """Every order modified within ``window``, first the count, then the last page backwards.

    A place that stays unreadable is a record with a ``defect``; the others come all the same.

    Args:
        client: the seller's account.
        window: at most a day.
        now: the platform's present (aware).

    Raises:
        SourceError: see :meth:`JdClient.call`; the window begins more than three months ago.
    """
    reader = _WindowReader(client, window)
    if window.start < months_before(now, DEPTH_MONTHS):
        raise SourceError(
            "the window begins more than three months ago, deeper than the platform gives",
            where=reader.where,
            next_step="set api_from in config/shops.yml to a later day and drop older orders as "
            "files (docs/reference/file-contract.md)",
        )
    for item in walk_backwards(
        reader.count(), reader.read, identity, reader.where, largest=LARGEST_PAGE
    ):
        yield _raw_record(item)


def months_before(instant: datetime, months: int) -> datetime:
    """The same time of day so many calendar months earlier, in the platform's zone."""
    moment = instant.astimezone(PLATFORM_ZONE)
    year, month = divmod(moment.year * 12 + moment.month - 1 - months, 12)
    day = min(moment.day, monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


class _WindowReader(ListReader):
    """Reads pages of one window of orders."""

    def __init__(self, client: JdClient, window: Window) -> None:
        start = platform_time(window.start)
        super().__init__(client, f"{METHOD} {start}")
        self._base = {
            "start_date": start,
            # The end is asked for as well: whether the platform counts it in or not, nothing at
            # the edge is missed, and the neighbour's records are the same versions.
            "end_date": platform_time(window.end),
            "order_state": "ALL",
            "source_id": "JOS",
            "dateType": 0,
            "sortType": 0,
        }

    def ask(self, page: Page, attempts: int | None, *, is_count: bool) -> PageRead:
        parameters = {
            **self._base,
            "optional_fields": _COUNT_FIELDS if is_count else OPTIONAL_FIELDS,
            "page": str(page.number),
            "page_size": str(page.size),
        }

        def check(body: dict[str, Any]) -> None:
            result = _result(body)
            outcome = result.get("apiResult")
            verdict = outcome if isinstance(outcome, dict) else {}
            is_beyond = page.number > 1 and not result.get("orderInfoList")
            if not is_success(verdict.get("success")) and not is_beyond:
                # Which of these numbers pass is documented nowhere.
                number = shown(verdict.get("numberCode"))
                raise Repeat(f"the search was no success (numberCode {number})")

        result = _result(self.client.call(METHOD, parameters, check, attempts=attempts))
        records = result.get("orderInfoList") or []
        if not isinstance(records, list):
            raise unexpected("orderInfoList is not a list", METHOD)
        return PageRead(whole(result.get("orderTotal"), "orderTotal", METHOD), records)


def _result(body: dict[str, Any]) -> dict[str, Any]:
    result = body.get("searchorderinfo_result")
    if not isinstance(result, dict):
        raise unexpected("the answer has no searchorderinfo_result", METHOD)
    return result


def identity(record: Any) -> object:
    """What makes two records the same version: the state, too, may change within a second."""
    if isinstance(record, dict) and record.get("orderId") is not None:
        return tuple(str(record.get(name)) for name in ("orderId", "modified", "orderState"))
    return repr(record)


def _raw_record(item: Item) -> RawRecord:
    if item.defect is not None:
        return RawRecord({}, item.position, item.defect)
    if not isinstance(item.record, dict):
        return RawRecord({"value": item.record}, item.position, "not an object")
    return RawRecord(flattened(item.record), item.position)


def flattened(record: dict[str, Any]) -> dict[str, Any]:
    """An order with the consignee's members in the record itself, and without ciphertext."""
    consignee = record.get("consigneeInfo")
    if not isinstance(consignee, dict):
        return record
    flat = {name: value for name, value in record.items() if name != "consigneeInfo"}
    rest: dict[str, Any] = {}
    for name, value in consignee.items():
        if name.startswith("encrypt_") or _is_ciphertext(value):
            continue
        (flat if name in _CONSIGNEE_NAMES else rest)[name] = value
    if rest:
        # Members that nobody knows stay together: their name says that they are a person's.
        flat["consigneeInfo"] = rest
    return flat


def _is_ciphertext(value: object) -> bool:
    return isinstance(value, str) and _CIPHERTEXT.fullmatch(value) is not None
