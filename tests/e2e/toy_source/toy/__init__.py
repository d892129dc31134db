"""A toy platform: one JSON file in which orders and refunds stand in their newest version."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from regulars.clock import Clock
from regulars.credentials import Credentials
from regulars.records import RawRecord, Window
from regulars.shops import Shop
from regulars.sources.payloads import Field, PayloadModel
from regulars.sources.windows import cut

SOURCE = "toy"
PAYLOADS = {
    "orders": PayloadModel(
        SOURCE,
        "orders",
        (
            Field("number", "id", required=True, refers="order"),
            Field("buyer", "id", required=True, refers="buyer"),
            Field("state", "enum", required=True, values=("paid", "closed")),
            Field("bought", "integer", required=True),
            Field("changed", "integer", required=True),
            Field("cents", "integer", required=True),
            Field(
                "lines",
                "records",
                required=True,
                members=(
                    Field("position", "integer"),
                    Field("item", "id"),
                    Field("cents", "integer"),
                ),
            ),
        ),
        defines="order",
    ),
    "refunds": PayloadModel(
        SOURCE,
        "refunds",
        (
            Field("refund", "id", required=True),
            Field("number", "id", required=True, refers="order"),
            Field("given_back", "integer", required=True),
            Field("cents", "integer", required=True),
        ),
    ),
    "parcels": PayloadModel(
        SOURCE,
        "parcels",
        (
            Field("number", "id", required=True, refers="order"),
            Field("arrived", "integer", required=True),
        ),
    ),
}
_CHANGED = {"orders": "changed", "refunds": "given_back", "parcels": "arrived"}


def open_api(credentials: Credentials, clock: Clock, shop: Shop) -> "Toy":
    """The shop's account: the file that the connection's host names."""
    return Toy(Path(credentials.host), clock)


class Toy:
    """One shop's account."""

    name = SOURCE

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    def streams(self) -> tuple[str, ...]:
        """Streams in landing order."""
        return tuple(PAYLOADS)

    def payload_model(self, stream: str) -> PayloadModel:
        """Payload model of a stream."""
        return PAYLOADS[stream]

    def windows(self, shop: Shop, stream: str, window: Window) -> list[Window]:
        """The pieces that ``window`` is asked in."""
        return cut(shop, window, self._clock.now(), timedelta(days=1))

    def iter_records(self, shop: Shop, stream: str, window: Window) -> Iterator[RawRecord]:
        """Records of ``stream`` changed in ``window``."""
        for number, record in enumerate(json.loads(self._path.read_text())[stream]):
            changed = datetime.fromtimestamp(record[_CHANGED[stream]], UTC)
            if window.start <= changed < window.end:
                yield RawRecord(record, f"record {number}")

    def close(self) -> None:
        """Nothing is open."""
