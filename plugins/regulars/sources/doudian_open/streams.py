"""The streams of the Douyin Shop open platform: which method, which list, which parameters.

Pages count from 0 and reach a limited depth: ``page * size`` may not pass 50,000. A window that
holds more than the limit allows is halved until its parts fit.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from regulars.errors import SchemaChanged, SourceError, SourceUnavailable
from regulars.records import RawRecord, Window
from regulars.sources.doudian_open.client import DoudianClient
from regulars.sources.doudian_open.flattening import aftersale_record, order_record
from regulars.sources.doudian_open.payload import ORDERS, REFUNDS
from regulars.sources.paging import Item, Page, PageRead, UnreadablePage, walk_backwards
from regulars.sources.payloads import PayloadModel

LONGEST_WINDOW = timedelta(days=1)
"""No longest window is documented; a day keeps lists short and a failure cheap."""
DEPTH = timedelta(days=90)
"""How far back the platform shows changes; older orders come by file drop."""
DEEPEST_RECORD = 50_000
"""The documented bound of page * size."""
MOST_RECORDS = 45_000
"""A window with more is halved; the rest of the depth is for what enters while it is paged."""

DETAIL = "afterSale.Detail"
_PART_ATTEMPTS = 2
_FAILURES_IN_A_ROW = 12
_MONEY_WENT_BACK = frozenset({"3", "5"})
_DETAIL_FIELDS = ("real_refund_amount", "refund_total_amount", "refund_time")


@dataclass(frozen=True, slots=True)
class DoudianStream:
    """How one stream is asked for.

    Attributes:
        method: API name.
        items: name of the list in the answer's data.
        start, end: parameters of the window, unix seconds.
        order: parameters that order the list by modification.
        record_id: field of the flat record with its id.
        flatten: the platform's record as the payload model knows it.
        model: payload model.
        has_detail: a second method gives what the list lacks.
    """

    method: str
    items: str
    start: str
    end: str
    order: dict[str, Any]
    record_id: str
    flatten: Callable[[dict[str, Any]], dict[str, Any]]
    model: PayloadModel
    has_detail: bool


STREAMS = {
    "orders": DoudianStream(
        method="order.searchList",
        items="shop_order_list",
        start="update_time_start",
        end="update_time_end",
        order={"order_by": "update_time", "order_asc": False},
        record_id="order_id",
        flatten=order_record,
        model=ORDERS,
        has_detail=False,
    ),
    "refunds": DoudianStream(
        method="afterSale.List",
        items="items",
        start="update_start_time",
        end="update_end_time",
        order={"order_by": ["update_time desc"]},
        record_id="aftersale_id",
        flatten=aftersale_record,
        model=REFUNDS,
        has_detail=True,
    ),
}


def read_window(
    client: DoudianClient, stream: DoudianStream, window: Window, now: datetime
) -> Iterator[RawRecord]:
    """Every record modified within ``window``, first the count, then the last page backwards.

    A place that stays unreadable is a record with a ``defect``; the others come all the same.

    Args:
        client: calls of the shop.
        stream: what is asked for.
        window: span of modification time.
        now: the source's present.

    Raises:
        SourceError: the window is older than the platform shows, or see
            :meth:`DoudianClient.call`.
    """
    if window.start < now - DEPTH:
        raise SourceError(
            f"the platform shows {DEPTH.days} days of changes, the window begins before",
            where=stream.method,
            next_step="set api_from in config/shops.yml to a later day; what is older comes by "
            "file drop",
        )
    details = _Details(client) if stream.has_detail else None
    # The end is asked for as well: whether the platform counts it in or not, nothing at the edge
    # is missed, and the neighbour's records are the same versions.
    start, end = int(window.start.timestamp()), int(window.end.timestamp())
    for item in _items(client, stream, start, end):
        yield _raw_record(item, details)


def _items(client: DoudianClient, stream: DoudianStream, start: int, end: int) -> Iterator[Item]:
    reader = _WindowReader(client, stream, start, end)
    count = reader.count()
    if count <= MOST_RECORDS:
        yield from walk_backwards(count, reader.read, reader.identity, reader.where)
        return
    if end - start < 2:
        raise SourceError(
            f"{count} records changed within a second, more than the platform pages through",
            where=reader.where,
            next_step="load the orders of that second by file drop",
        )
    # Both halves are asked for the second between them, for the same reason as above.
    middle = (start + end) // 2
    edge: set[object] = set()
    for item in _items(client, stream, start, middle):
        if reader.modified(item.record) >= middle:
            edge.add(reader.identity(item.record))
        yield item
    for item in _items(client, stream, middle, end):
        if item.defect is not None or reader.identity(item.record) not in edge:
            yield item


class _WindowReader:
    """Reads pages of one window and notices when the platform is gone altogether.

    Records come out flat, so that identity and landing see the same.
    """

    def __init__(self, client: DoudianClient, stream: DoudianStream, start: int, end: int) -> None:
        self._client = client
        self._stream = stream
        self._base = {stream.start: start, stream.end: end, **stream.order}
        self._failures = 0
        self.where = f"{stream.method} {start}"

    def count(self) -> int:
        """How many records the window holds now."""
        return self._call(Page(1, 1), None)[0]

    def read(self, page: Page) -> PageRead:
        """One page; UnreadablePage when it fails although the platform answers otherwise."""
        attempts = _PART_ATTEMPTS if self._failures else None
        try:
            total, records = self._call(page, attempts)
        except SourceUnavailable as error:
            self._failures += 1
            if self._failures >= _FAILURES_IN_A_ROW:
                raise
            raise UnreadablePage(f"could not be read: {error.what}") from None
        self._failures = 0
        flatten = self._stream.flatten
        return PageRead(total, [flatten(one) if isinstance(one, dict) else one for one in records])

    def _call(self, page: Page, attempts: int | None) -> tuple[int, list[Any]]:
        if page.start > DEEPEST_RECORD:
            raise SourceError(
                "the window grew beyond the depth that the platform pages through",
                where=self.where,
                next_step="run the night again; the window is asked again in smaller parts",
            )
        parameters = {**self._base, "page": page.number - 1, "size": page.size}
        data = self._client.call(self._stream.method, parameters, attempts=attempts)
        total = data.get("total")
        if isinstance(total, bool) or not str(total).isdecimal():
            raise self._unexpected("total is not a number")
        records = data.get(self._stream.items) or []
        if not isinstance(records, list):
            raise self._unexpected(f"{self._stream.items} is not a list")
        return int(str(total)), records

    def _unexpected(self, what: str) -> SchemaChanged:
        return SchemaChanged(
            what,
            where=self._stream.method,
            next_step="compare the platform's documentation with the source's streams",
        )

    def identity(self, record: Any) -> object:
        """What makes two records the same version of the same thing."""
        if isinstance(record, dict) and record.get(self._stream.record_id) is not None:
            return str(record[self._stream.record_id]), str(record.get("update_time"))
        return repr(record)

    def modified(self, record: Any) -> int:
        """Unix seconds of the record's modification; 0 when it has none."""
        text = str(record.get("update_time")) if isinstance(record, dict) else ""
        return int(text) if text.isascii() and text.isdigit() else 0


class _Details:
    """Asks for the money that really went back, which the list does not tell."""

    def __init__(self, client: DoudianClient) -> None:
        self._client = client
        self._failures = 0

    def added(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record with its detail when money went back.

        Raises:
            UnreadablePage: this one's detail fails although others can be read.
        """
        if str(record.get("refund_status")) not in _MONEY_WENT_BACK:
            return record
        number = str(record.get("aftersale_id"))
        attempts = _PART_ATTEMPTS if self._failures else None
        try:
            data = self._client.call(DETAIL, {"after_sale_id": number}, attempts=attempts)
        except SourceError as error:
            # A refusal of the caller, the day or the shape concerns every record.
            if type(error) not in (SourceError, SourceUnavailable):
                raise
            self._failures += 1
            if self._failures >= _FAILURES_IN_A_ROW:
                raise
            raise UnreadablePage(f"its detail could not be read: {error.what}") from None
        self._failures = 0
        process = data.get("process_info")
        info = process.get("after_sale_info") if isinstance(process, dict) else None
        if not isinstance(info, dict):
            raise SchemaChanged(
                "the answer has no process_info.after_sale_info",
                where=DETAIL,
                next_step="compare the platform's documentation with the source's streams",
            )
        return {**record, **{name: info[name] for name in _DETAIL_FIELDS if name in info}}


def _raw_record(item: Item, details: _Details | None) -> RawRecord:
    if item.defect is not None:
        return RawRecord({}, item.position, item.defect)
    if not isinstance(item.record, dict):
        return RawRecord({"value": item.record}, item.position, "not an object")
    if details is None:
        return RawRecord(item.record, item.position)
    try:
        return RawRecord(details.added(item.record), item.position)
    except UnreadablePage as bad:
        number = str(item.record.get("aftersale_id"))
        return RawRecord(item.record, item.position, bad.reason, key=f"aftersale_id {number}")
