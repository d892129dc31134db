"""Parcels on their way: a list of them, then each one's way.

The platform tells a parcel's way only by trade, one call each, and its list knows when a parcel was
sent, not when it last moved. So the parcels sent in the window or some weeks before it are listed,
and those that were under way within it are asked for. Each answer holds the whole way so far, so
nothing is lost when a night was left out.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from regulars.errors import SourceError
from regulars.records import RawRecord, Window
from regulars.sources.taobao_top.auth import PLATFORM_ZONE
from regulars.sources.taobao_top.client import TopClient
from regulars.sources.taobao_top.streams import TopStream, WindowReader

LONGEST_WAY = timedelta(days=20)
"""Parcels sent longer ago are not followed any more."""

TRACE_METHOD = "taobao.logistics.trace.get"

PARCELS_STREAM = TopStream(
    method="taobao.logistics.orders.get",
    path=("shippings", "shipping"),
    identity=("tid", "out_sid", "modified"),
    fields="tid,out_sid,status,created,modified,delivery_end",
    extra={},
    unwrap={},
    window=("start_created", "end_created"),
)
_ENDED = frozenset(
    (
        "ACCEPTED_BY_RECEIVER",
        "REJECTED_BY_RECEIVER",
        "CANCELLED",
        "CLOSED",
        "LOST",
        "REJECTED",
    )
)


def read_parcels(client: TopClient, window: Window) -> Iterator[RawRecord]:
    """The way so far of every parcel that was under way within ``window``.

    A parcel whose trade the platform refuses is a record with a defect; the others come all the
    same, and it is asked for again as long as it is under way.

    Raises:
        SourceError: see :meth:`TopClient.call`.
    """
    listed = Window(window.start - LONGEST_WAY, window.end)
    reader = WindowReader(client, PARCELS_STREAM, listed)
    asked: set[str] = set()
    for shipping in reader.records(reader.count()):
        if shipping.defect is not None:
            yield shipping
            continue
        tid = str(shipping.payload.get("tid") or "")
        if tid and tid not in asked and _moved(shipping.payload, window.start):
            asked.add(tid)
            yield from _way(client, tid)


def _moved(shipping: Any, since: datetime) -> bool:
    """Whether a parcel may have moved since: it is under way still, or it arrived after that."""
    if shipping.get("status") not in _ENDED:
        return True
    ends = [str(shipping.get(name) or "") for name in ("modified", "delivery_end")]
    return max(ends) >= since.astimezone(PLATFORM_ZONE).strftime("%Y-%m-%d %H:%M:%S")


def _way(client: TopClient, tid: str) -> Iterator[RawRecord]:
    where = f"tid {tid}"
    try:
        body = client.call(TRACE_METHOD, {"tid": tid})
    except SourceError as error:
        if type(error) is not SourceError:
            raise
        # One trade's own matter: deleted, or sent without a carrier.
        yield RawRecord({"tid": tid}, where, error.what, is_final=True)
        return
    for number, parcel in enumerate(_listed(body.get("result")), start=1):
        position = f"{where}, parcel {number}"
        if not isinstance(parcel, dict):
            yield RawRecord({"value": parcel}, position, "not an object", is_final=True)
            continue
        # A parcel that nobody has scanned yet has no way.
        if steps := _listed(parcel.get("trace_list")):
            yield RawRecord({"tid": tid, **parcel, "trace_list": steps}, position)


def _listed(value: Any) -> list[Any]:
    """A list, which the platform wraps in an object of one list; none when there is nothing."""
    if isinstance(value, dict):
        value = next((inner for inner in value.values() if isinstance(inner, list)), [])
    return value if isinstance(value, list) else []
