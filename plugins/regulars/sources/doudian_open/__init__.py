"""Douyin Shop (抖店) open platform: orders and after-sales requests by modification time."""

from collections.abc import Iterator

from regulars.clock import Clock
from regulars.credentials import Credentials
from regulars.records import RawRecord, Window
from regulars.shops import Shop
from regulars.sources.doudian_open.auth import doudian_credentials
from regulars.sources.doudian_open.client import DoudianClient
from regulars.sources.doudian_open.payload import PAYLOADS, SOURCE
from regulars.sources.doudian_open.streams import LONGEST_WINDOW, STREAMS, read_window
from regulars.sources.payloads import PayloadModel
from regulars.sources.windows import cut

__all__ = ["DEPTH_DAYS", "PAYLOADS", "SOURCE", "DoudianOpen", "open_api"]

DEPTH_DAYS = 88
"""Ninety days, less two for the overlap and for a day that is visible in part only."""


def open_api(credentials: Credentials, clock: Clock, shop: Shop) -> "DoudianOpen":
    """The shop's account at the platform.

    Raises:
        ConfigError: the credentials are incomplete.
    """
    return DoudianOpen(DoudianClient(doudian_credentials(credentials)), clock)


class DoudianOpen:
    """One shop's account; close it to release the connections."""

    name = SOURCE

    def __init__(self, client: DoudianClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    @property
    def renewed_extra(self) -> dict[str, str]:
        """The connection's tokens after they were renewed; empty as long as they were not."""
        tokens = self._client.renewed
        if tokens is None:
            return {}
        return {"access_token": tokens.access_token, "refresh_token": tokens.refresh_token}

    def streams(self) -> tuple[str, ...]:
        """Streams in landing order."""
        return tuple(PAYLOADS)

    def payload_model(self, stream: str) -> PayloadModel:
        """Payload model of a stream. KeyError for an unknown one."""
        return PAYLOADS[stream]

    def windows(self, shop: Shop, stream: str, window: Window) -> list[Window]:
        """The pieces that ``window`` is asked in, each a day at most."""
        return cut(shop, window, self._clock.now(), LONGEST_WINDOW)

    def iter_records(self, shop: Shop, stream: str, window: Window) -> Iterator[RawRecord]:
        """Records of ``stream`` modified in ``window``.

        Raises:
            SourceError: see :meth:`DoudianClient.call`.
        """
        yield from read_window(self._client, STREAMS[stream], window, self._clock.now())

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
