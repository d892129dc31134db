"""The streams of the Taobao open platform: which method, which list, which parameters."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from regulars.errors import SchemaChanged, SourceUnavailable
from regulars.records import RawRecord, Window
from regulars.sources.paging import (
    LARGEST_PAGE,
    Item,
    Page,
    PageRead,
    UnreadablePage,
    walk_backwards,
)
from regulars.sources.taobao_top.auth import PLATFORM_ZONE
from regulars.sources.taobao_top.client import TopClient
from regulars.sources.taobao_top.payload import ORDERS, REFUNDS, field_list

# Without this list the platform silently leaves out every trade of another type.
TRADE_TYPES = (
    "fixed",
    "auction",
    "guarantee_trade",
    "step",
    "independent_simple_trade",
    "independent_shop_trade",
    "auto_delivery",
    "ec",
    "cod",
    "fenxiao",
    "game_equipment",
    "shopex_trade",
    "netcn_trade",
    "external_trade",
    "instant_trade",
    "b2c_cod",
    "hotel_trade",
    "super_market_trade",
    "super_market_cod_trade",
    "taohua",
    "waimai",
    "o2o_offlinetrade",
    "nopaid",
    "eticket",
    "tmall_i18n",
    "insurance_plus",
    "finance",
    "pre_auth_type",
    "lazada",
)

LONGEST_WINDOW = timedelta(days=1)

_PART_ATTEMPTS = 2
_FAILURES_IN_A_ROW = 12


@dataclass(frozen=True, slots=True)
class TopStream:
    """How one stream is asked for.

    Attributes:
        method: API name.
        path: where the list stands in the answer, outer name first.
        identity: fields that make two records the same version of the same thing.
        fields: what is asked for of each record.
        extra: further parameters of every call.
        unwrap: list fields of a record that the platform wraps in an object of one list.
        window: parameters of the window's start and end.
        largest: records of the largest page.
    """

    method: str
    path: tuple[str, str]
    identity: tuple[str, ...]
    fields: str
    extra: Mapping[str, str]
    unwrap: Mapping[str, str]
    window: tuple[str, str] = ("start_modified", "end_modified")
    largest: int = LARGEST_PAGE


STREAMS = {
    "orders": TopStream(
        method="taobao.trades.sold.increment.get",
        path=("trades", "trade"),
        identity=("tid", "modified"),
        fields=field_list(ORDERS),
        extra={"type": ",".join(TRADE_TYPES), "use_has_next": "false"},
        unwrap={"orders": "order"},
    ),
    "refunds": TopStream(
        method="taobao.refunds.receive.get",
        path=("refunds", "refund"),
        identity=("refund_id", "modified"),
        fields=field_list(REFUNDS),
        extra={"use_has_next": "false"},
        unwrap={},
    ),
}


def read_window(client: TopClient, stream: TopStream, window: Window) -> Iterator[RawRecord]:
    """Every record modified within ``window``, first the count, then the last page backwards.

    A place that stays unreadable is a record with a ``defect``; the others come all the same.

    Raises:
        SourceError: see :meth:`TopClient.call`.
    """
    reader = WindowReader(client, stream, window)
    yield from reader.records(reader.count())


class WindowReader:
    """Reads pages of one window and notices when the platform is gone altogether."""

    def __init__(self, client: TopClient, stream: TopStream, window: Window) -> None:
        self._client = client
        self._stream = stream
        self._base = {
            **stream.extra,
            stream.window[0]: platform_text(window.start),
            # The end is asked for as well: whether the platform counts it in or not, nothing at
            # the edge is missed, and the neighbour's records are the same versions.
            stream.window[1]: platform_text(window.end),
        }
        self._failures = 0
        self.where = f"{stream.method} {self._base[stream.window[0]]}"

    def count(self) -> int:
        """How many records the window holds now."""
        return self._call(Page(1, 1), ",".join(self._stream.identity), None).total

    def records(self, count: int) -> Iterator[RawRecord]:
        """Every record of the window, which held ``count`` of them just before."""
        largest = self._stream.largest
        for item in walk_backwards(count, self.read, self.identity, self.where, largest):
            yield _raw_record(item, self._stream)

    def read(self, page: Page) -> PageRead:
        """One page; UnreadablePage when it fails although the platform answers otherwise."""
        attempts = _PART_ATTEMPTS if self._failures else None
        try:
            got = self._call(page, self._stream.fields, attempts)
        except SourceUnavailable as error:
            self._failures += 1
            if self._failures >= _FAILURES_IN_A_ROW:
                raise
            raise UnreadablePage(f"could not be read: {error.what}") from None
        self._failures = 0
        return got

    def _call(self, page: Page, fields: str, attempts: int | None) -> PageRead:
        parameters = {
            **self._base,
            "fields": fields,
            "page_no": str(page.number),
            "page_size": str(page.size),
        }
        body = self._client.call(self._stream.method, parameters, attempts=attempts)
        total = body.get("total_results")
        if isinstance(total, bool) or not str(total).isdecimal():
            raise self._unexpected("total_results is not a number")
        return PageRead(int(str(total)), self._records(body))

    def _records(self, body: dict[str, Any]) -> list[Any]:
        outer, inner = self._stream.path
        # An empty page has no list, an empty object, or an empty list.
        container = body.get(outer) or {}
        records = container if isinstance(container, list) else container.get(inner) or []
        if not isinstance(records, list):
            raise self._unexpected(f"{outer}.{inner} is not a list")
        return records

    def _unexpected(self, what: str) -> SchemaChanged:
        return SchemaChanged(
            what,
            where=self._stream.method,
            next_step="compare the platform's documentation with the source's streams",
        )

    def identity(self, record: Any) -> object:
        """What makes two records the same version of the same thing."""
        first, *others = self._stream.identity
        if isinstance(record, dict) and record.get(first) is not None:
            return str(record[first]), *(str(record.get(name)) for name in others)
        return repr(record)


def platform_text(instant: datetime) -> str:
    """An instant as the platform writes it."""
    return instant.astimezone(PLATFORM_ZONE).strftime("%Y-%m-%d %H:%M:%S")


def _raw_record(item: Item, stream: TopStream) -> RawRecord:
    if item.defect is not None:
        return RawRecord({}, item.position, item.defect)
    if not isinstance(item.record, dict):
        return RawRecord({"value": item.record}, item.position, "not an object")
    record = item.record
    for name, inner in stream.unwrap.items():
        wrapped = record.get(name)
        if isinstance(wrapped, dict):
            record = {**record, name: wrapped.get(inner) or []}
    return RawRecord(record, item.position)
