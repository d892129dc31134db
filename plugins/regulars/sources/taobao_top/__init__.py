"""Taobao / Tmall open platform (TOP): trades and refunds by modification time.

Reviews and parcels are asked for where a shop names those streams.
"""

from collections.abc import Iterator
from datetime import timedelta

from regulars.clock import Clock
from regulars.credentials import Credentials
from regulars.records import RawRecord, Window
from regulars.shops import Shop
from regulars.sources.payloads import PayloadModel
from regulars.sources.taobao_top.auth import top_credentials
from regulars.sources.taobao_top.client import TopClient
from regulars.sources.taobao_top.parcels import LONGEST_WAY, read_parcels
from regulars.sources.taobao_top.payload import OPTIONAL_STREAMS, PAYLOADS, SOURCE
from regulars.sources.taobao_top.reviews import read_reviews
from regulars.sources.taobao_top.streams import LONGEST_WINDOW, STREAMS, read_window
from regulars.sources.windows import cut

__all__ = ["DEPTH_DAYS", "OPTIONAL_STREAMS", "PAYLOADS", "SOURCE", "TaobaoTop", "open_api"]

DEPTH_DAYS = 88
"""Three months at their shortest, less a day for the overlap: a start beyond them is refused."""
# Beyond the platform's three months nothing is asked, whatever this says.
_LONGEST_OF_PARCELS = timedelta(days=DEPTH_DAYS) - LONGEST_WAY


def open_api(credentials: Credentials, clock: Clock, shop: Shop) -> "TaobaoTop":
    """The shop's account at the platform.

    Raises:
        ConfigError: the credentials are incomplete.
    """
    return TaobaoTop(TopClient(top_credentials(credentials)), clock)


class TaobaoTop:
    """One seller's account. Close it (or use ``with``) to release the connections."""

    name = SOURCE

    def __init__(self, client: TopClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    def streams(self) -> tuple[str, ...]:
        """Streams in landing order."""
        return tuple(PAYLOADS)

    def payload_model(self, stream: str) -> PayloadModel:
        """Payload model of a stream. KeyError for an unknown one."""
        return PAYLOADS[stream]

    def windows(self, shop: Shop, stream: str, window: Window) -> list[Window]:
        """The pieces that ``window`` is asked in, each a day at most.

        Parcels are asked for in one piece: each answer holds a parcel's whole way, so a piece for
        every day would only ask for it again.
        """
        longest = _LONGEST_OF_PARCELS if stream == "logistics" else LONGEST_WINDOW
        return cut(shop, window, self._clock.now(), longest)

    def iter_records(self, shop: Shop, stream: str, window: Window) -> Iterator[RawRecord]:
        """Records of ``stream`` modified in ``window``, one of :meth:`windows`.

        Raises:
            SourceError: see :meth:`TopClient.call`.
        """
        if stream == "reviews":
            yield from read_reviews(self._client, window)
        elif stream == "logistics":
            yield from read_parcels(self._client, window)
        else:
            yield from read_window(self._client, STREAMS[stream], window)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
