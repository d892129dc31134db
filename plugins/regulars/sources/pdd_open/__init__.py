"""Pinduoduo open platform: orders and after-sales cases by modification time."""

from collections.abc import Callable, Iterator, Mapping

from regulars.clock import Clock
from regulars.credentials import Credentials
from regulars.records import RawRecord, Window
from regulars.shops import Shop
from regulars.sources.payloads import PayloadModel
from regulars.sources.pdd_open.auth import pdd_credentials
from regulars.sources.pdd_open.client import PddClient
from regulars.sources.pdd_open.payload import PAYLOADS, SOURCE
from regulars.sources.pdd_open.streams import (
    LONGEST_WINDOW,
    SMALLEST_MARGIN_MINUTES,
    STREAMS,
    read_window,
)
from regulars.sources.windows import cut

__all__ = ["DEPTH_DAYS", "PAYLOADS", "RENEWS_TOKENS", "SOURCE", "PddOpen", "open_api"]

DEPTH_DAYS = 88
"""Three months at their shortest, less a day for the overlap."""


RENEWS_TOKENS = True


def open_api(
    credentials: Credentials,
    clock: Clock,
    shop: Shop,
    keep_tokens: Callable[[Mapping[str, str]], None] = lambda _: None,
) -> "PddOpen":
    """The shop's account at the platform.

    Raises:
        ConfigError: the credentials are incomplete.
    """
    client = PddClient(
        pdd_credentials(credentials), remember=lambda renewed: keep_tokens(renewed.as_extra())
    )
    return PddOpen(client, clock)


class PddOpen:
    """One seller's account. Close it to release the connections."""

    name = SOURCE

    def __init__(self, client: PddClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    def streams(self) -> tuple[str, ...]:
        """Streams in landing order."""
        return tuple(PAYLOADS)

    def payload_model(self, stream: str) -> PayloadModel:
        """Payload model of a stream. KeyError for an unknown one."""
        return PAYLOADS[stream]

    def windows(self, shop: Shop, stream: str, window: Window) -> list[Window]:
        """The pieces that ``window`` is asked in, each half an hour at most: a day has 48.

        The last one stays three minutes behind the present even where the shop's margin is less.
        """
        margin = max(shop.margin_minutes, SMALLEST_MARGIN_MINUTES)
        patient = shop.model_copy(update={"margin_minutes": margin})
        return cut(patient, window, self._clock.now(), LONGEST_WINDOW)

    def iter_records(self, shop: Shop, stream: str, window: Window) -> Iterator[RawRecord]:
        """Records of ``stream`` modified in ``window``, which is half an hour at most.

        Raises:
            SourceError: see :meth:`PddClient.call`.
        """
        yield from read_window(self._client, STREAMS[stream], window)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
