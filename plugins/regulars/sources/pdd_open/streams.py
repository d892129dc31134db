"""The streams of the Pinduoduo open platform: which method, which list, which parameters.

Refunds have to be asked for by status: the platform documents no value for all of them. A case
that changes its status between two calls is updated after the window and found in a later one.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson

from regulars.errors import SchemaChanged, SourceUnavailable
from regulars.records import RawRecord, Window
from regulars.sources.paging import Item, Page, PageRead, UnreadablePage, walk_backwards
from regulars.sources.payloads import Field, PayloadModel
from regulars.sources.pdd_open.client import PddClient
from regulars.sources.pdd_open.payload import (
    AFTER_SALES_STATUSES,
    CONTACTS,
    ORDERS,
    REFUNDS,
    REMOVED,
)
from regulars.vault.contacts import is_masked, normalise

LONGEST_WINDOW = timedelta(minutes=30)
SMALLEST_MARGIN_MINUTES = 3
"""What the platform asks a window's end to stay behind its clock."""

PLATFORM_ZONE = timezone(timedelta(hours=8))
_ALL_REFUNDS = "1"

_PART_ATTEMPTS = 2
_FAILURES_IN_A_ROW = 12
_UNIX_SECONDS = re.compile(r"[1-9]\d{8,9}")
_MOBILE = re.compile(r"1\d{10}")


@dataclass(frozen=True, slots=True)
class PddStream:
    """How one stream is asked for.

    Attributes:
        method: API name.
        list_name: where the list stands in the answer's body.
        record_id, modified: fields with the record's id and its last change.
        model: payload model.
        extra: further parameters of every call.
        by_status: whether the list must be asked for once for each after-sales status.
    """

    method: str
    list_name: str
    record_id: str
    modified: str
    model: PayloadModel
    extra: Mapping[str, Any]
    by_status: bool = False


STREAMS = {
    "orders": PddStream(
        method="pdd.order.number.list.increment.get",
        list_name="order_sn_list",
        record_id="order_sn",
        modified="updated_at",
        model=ORDERS,
        # 5, 5 and 0: whatever was shipped, refunded or drawn in a lottery. No trade_type means
        # deposit orders as well.
        extra={"order_status": 5, "refund_status": 5, "is_lucky_flag": 0, "use_has_next": False},
    ),
    "refunds": PddStream(
        method="pdd.refund.list.increment.get",
        list_name="refund_list",
        record_id="id",
        modified="updated_time",
        model=REFUNDS,
        extra={"after_sales_type": 1},
        by_status=True,
    ),
}


def read_window(client: PddClient, stream: PddStream, window: Window) -> Iterator[RawRecord]:
    """Every record modified within ``window``, first the count, then the last page backwards.

    A place that stays unreadable is a record with a ``defect``; the others come all the same.

    Raises:
        SourceError: see :meth:`PddClient.call`.
    """
    filters: list[dict[str, Any]] = [{}]
    if stream.by_status:
        statuses = (_ALL_REFUNDS,) if client.has_all_refunds else AFTER_SALES_STATUSES
        filters = [{"after_sales_status": status} for status in statuses]
    for one in filters:
        reader = _WindowReader(client, stream, window, one)
        for item in walk_backwards(reader.count(), reader.read, reader.identity, reader.where):
            yield _raw_record(item, stream)


class _WindowReader:
    """Reads pages of one window and notices when the platform is gone altogether."""

    def __init__(
        self, client: PddClient, stream: PddStream, window: Window, only: Mapping[str, Any]
    ) -> None:
        self._client = client
        self._stream = stream
        self._base = {
            **stream.extra,
            **only,
            "start_updated_at": int(window.start.timestamp()),
            # The end is asked for as well: whether the platform counts it in or not, nothing at
            # the edge is missed, and the neighbour's records are the same versions.
            "end_updated_at": int(window.end.timestamp()),
        }
        self._failures = 0
        start = window.start.astimezone(PLATFORM_ZONE).strftime("%Y-%m-%d %H:%M:%S")
        self.where = f"{stream.method} {start}"

    def count(self) -> int:
        """How many records the window holds now."""
        return self._call(Page(1, 1), None).total

    def read(self, page: Page) -> PageRead:
        """One page; UnreadablePage when it fails although the platform answers otherwise."""
        attempts = _PART_ATTEMPTS if self._failures else None
        try:
            got = self._call(page, attempts)
        except SourceUnavailable as error:
            self._failures += 1
            if self._failures >= _FAILURES_IN_A_ROW:
                raise
            raise UnreadablePage(f"could not be read: {error.what}") from None
        self._failures = 0
        return got

    def _call(self, page: Page, attempts: int | None) -> PageRead:
        parameters = {**self._base, "page": page.number, "page_size": page.size}
        body = self._client.call(self._stream.method, parameters, attempts=attempts)
        total = body.get("total_count")
        if isinstance(total, bool) or not str(total).isdecimal():
            raise self._unexpected("total_count is not a number")
        records = body.get(self._stream.list_name) or []
        if not isinstance(records, list):
            raise self._unexpected(f"{self._stream.list_name} is not a list")
        return PageRead(int(str(total)), records)

    def _unexpected(self, what: str) -> SchemaChanged:
        return SchemaChanged(
            what,
            where=self._stream.method,
            next_step="compare the platform's documentation with the source's streams",
        )

    def identity(self, record: Any) -> object:
        """What makes two records the same version of the same thing.

        Two changes within one second are two versions: the content decides as well.
        """
        if isinstance(record, dict) and record.get(self._stream.record_id) is not None:
            stream = self._stream
            known = str(record[stream.record_id]), str(record.get(stream.modified))
            return (*known, _content(record))
        return repr(record)


def _content(record: dict[str, Any]) -> object:
    """The record's content in one value that equals another's only for equal content."""
    try:
        # A tenth of the time of what Python says of it.
        return orjson.dumps(record)
    except TypeError:  # half a surrogate pair, or a number beyond 64 bits
        return repr(record)


def _raw_record(item: Item, stream: PddStream) -> RawRecord:
    if item.defect is not None:
        return RawRecord({}, item.position, item.defect)
    if not isinstance(item.record, dict):
        return RawRecord({"value": item.record}, item.position, "not an object")
    record = {name: value for name, value in item.record.items() if name not in REMOVED}
    for field in CONTACTS:
        if field.name in record and not _is_readable_contact(field, record[field.name]):
            del record[field.name]
    for field in stream.model.fields:
        value = record.get(field.name)
        if field.kind == "timestamp" and value is not None:
            record[field.name] = _wall_clock(value)
    step = record.get("step_order_info")
    if isinstance(step, dict):
        record["step_order_info"] = [step]
    return RawRecord(record, item.position)


def _is_readable_contact(field: Field, value: Any) -> bool:
    """Whether it is a masked contact or a phone number; anything else is the platform's ciphertext.

    Plain names and addresses cannot be told from ciphertext and are not needed.
    """
    if not isinstance(value, str) or field.contact is None:
        return False
    kind = field.contact
    is_phone = kind == "phone"
    return is_masked(kind, value) or (
        is_phone and bool(_MOBILE.fullmatch(normalise("phone", value)))
    )


def _wall_clock(value: Any) -> Any:
    """Unix seconds, as the platform's samples of refunds show, as its wall clock; else as is."""
    text = str(value)
    if not _UNIX_SECONDS.fullmatch(text):
        return value
    instant = datetime.fromtimestamp(int(text), UTC)
    return instant.astimezone(PLATFORM_ZONE).strftime("%Y-%m-%d %H:%M:%S")
