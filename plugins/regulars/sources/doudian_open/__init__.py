"""Douyin Shop (抖店) open platform: orders and after-sales requests by modification time."""

from collections.abc import Callable, Iterator, Mapping

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

__all__ = ["DEPTH_DAYS", "PAYLOADS", "RENEWS_TOKENS", "SOURCE", "DoudianOpen", "open_api"]

DEPTH_DAYS = 88
"""Ninety days, less two for the overlap and for a day that is visible in part only."""


RENEWS_TOKENS = True


def open_api(
    credentials: Credentials,
    clock: Clock,
    shop: Shop,
    keep_tokens: Callable[[Mapping[str, str]], None] = lambda _: None,
) -> "DoudianOpen":
    """The shop's account at the platform.

    Raises:
        ConfigError: the credentials are incomplete.
    """
    client = DoudianClient(
        doudian_credentials(credentials), remember=lambda renewed: keep_tokens(renewed.as_extra())
    )
    return DoudianOpen(client, clock)


class DoudianOpen:
    """One shop's account; close it to release the connections."""

    name = SOURCE

    def __init__(self, client: DoudianClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

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
