"""The streams of the push database: which table, what stands in a row, how it is unwrapped."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta, timezone
from typing import Any

import orjson

from regulars.records import RawRecord, Window
from regulars.sources.taobao_rds.client import PushedRow, PushTable, RdsClient
from regulars.sources.taobao_rds.members import (
    UNREAD_OF_ORDER,
    UNREAD_OF_REFUND,
    UNREAD_OF_TRADE,
)

PLATFORM_ZONE = timezone(timedelta(hours=8))
"""The platform's own zone, whatever the shop's: GMT+8 without daylight saving."""

LONGEST_WINDOW = timedelta(days=1)
"""Not a limit of the database: a window that fails is asked again as a whole."""

_LAYOUTS = 1_000


class Trimming:
    """Takes members that nobody reads out of records, by their layouts.

    Records of one kind come in few layouts, so what to take out is looked up by all of a record's
    names at once.
    """

    def __init__(self, unread: frozenset[str]) -> None:
        self._unread = unread
        self._layouts: dict[tuple[str, ...], tuple[str, ...]] = {}

    def trim(self, record: dict[str, Any]) -> None:
        """Take them out, in place."""
        layout = tuple(record)
        names = self._layouts.get(layout)
        if names is None:
            names = tuple(name for name in layout if name in self._unread)
            if len(self._layouts) < _LAYOUTS:
                self._layouts[layout] = names
        for name in names:
            del record[name]


@dataclass(frozen=True, slots=True)
class RdsStream:
    """How one stream stands in the database.

    Attributes:
        table: where its rows are.
        path: where the record stands in ``jdp_response``, outer name first.
        lists: list members that the platform wraps in an object of one list, and how theirs are
            trimmed.
        trimming: of the record itself.
    """

    table: PushTable
    path: tuple[str, str]
    lists: tuple[tuple[str, str, Trimming], ...]
    trimming: Trimming


STREAMS = {
    "orders": RdsStream(
        PushTable("jdp_tb_trade", "tid"),
        ("trade_fullinfo_get_response", "trade"),
        (("orders", "order", Trimming(UNREAD_OF_ORDER)),),
        Trimming(UNREAD_OF_TRADE),
    ),
    "refunds": RdsStream(
        PushTable("jdp_tb_refund", "refund_id"),
        ("refund_get_response", "refund"),
        (),
        Trimming(UNREAD_OF_REFUND),
    ),
}


def read_window(client: RdsClient, stream: RdsStream, window: Window) -> Iterator[RawRecord]:
    """Every record pushed within ``window``, in the order of the pushes.

    A row whose ``jdp_response`` cannot be read is a record with a defect that stays; the others
    come all the same.

    Raises:
        SourceError: see :meth:`RdsClient.rows`.
    """
    start, end = (
        instant.astimezone(PLATFORM_ZONE).strftime("%Y-%m-%d %H:%M:%S")
        for instant in (window.start, window.end)
    )
    for row in client.rows(stream.table, start, end):
        yield raw_record(stream, row)


def raw_record(stream: RdsStream, row: PushedRow) -> RawRecord:
    """One row's record, or a defect that stays."""
    position = f"{stream.table.key} {row.key}, pushed {row.pushed}"
    record = _record(stream, row.response)
    if isinstance(record, str):
        kept: dict[str, Any] = {stream.table.key: row.key}
        if row.response:
            kept["jdp_response"] = row.response.decode("utf-8", errors="replace")
        return RawRecord(kept, position, record, is_final=True)
    record["jdp_modified"] = row.pushed
    return RawRecord(record, position)


def _record(stream: RdsStream, response: bytes | None) -> dict[str, Any] | str:
    """The record inside a response, lists unwrapped; or why there is none."""
    if not response:
        return "jdp_response is empty"
    try:
        value = orjson.loads(response)
    except orjson.JSONDecodeError:
        return "jdp_response is not complete JSON"
    for name in stream.path:
        value = value.get(name) if isinstance(value, dict) else None
    if not isinstance(value, dict):
        return f"jdp_response holds no {'.'.join(stream.path)}"
    record: dict[str, Any] = value
    stream.trimming.trim(record)
    for name, inner, trimming in stream.lists:
        wrapped = record.get(name)
        if isinstance(wrapped, dict):
            record[name] = wrapped = wrapped.get(inner) or []
        if isinstance(wrapped, list):
            for one in wrapped:
                if isinstance(one, dict):
                    trimming.trim(one)
    return record
