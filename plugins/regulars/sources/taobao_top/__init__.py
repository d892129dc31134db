"""Taobao / Tmall open platform (TOP): trades and refunds by modification time."""

from collections.abc import Iterator

from regulars.clock import Clock
from regulars.records import RawRecord, Window
from regulars.shops import Shop
from regulars.sources.payloads import PayloadModel
from regulars.sources.taobao_top.client import TopClient
from regulars.sources.taobao_top.payload import PAYLOADS, SOURCE
from regulars.sources.taobao_top.streams import STREAMS, read_window
from regulars.sources.taobao_top.windows import cut


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
        """The pieces that ``window`` is asked in; see :func:`windows.cut`."""
        return cut(shop, window, self._clock.now())

    def iter_records(self, shop: Shop, stream: str, window: Window) -> Iterator[RawRecord]:
        """Records of ``stream`` modified in ``window``, which must not be longer than a day.

        Raises:
            SourceError: see :meth:`TopClient.call`.
        """
        yield from read_window(self._client, STREAMS[stream], window)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
