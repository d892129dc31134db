"""Taobao's push database: trades and refunds as the platform writes them into a MySQL database."""

from collections.abc import Iterator

from regulars.clock import Clock
from regulars.credentials import Credentials
from regulars.records import RawRecord, Window
from regulars.shops import Shop
from regulars.sources.payloads import PayloadModel
from regulars.sources.taobao_rds.access import rds_access
from regulars.sources.taobao_rds.client import RdsClient
from regulars.sources.taobao_rds.payload import PAYLOADS, SOURCE
from regulars.sources.taobao_rds.streams import LONGEST_WINDOW, STREAMS, read_window
from regulars.sources.windows import cut

__all__ = ["PAYLOADS", "SOURCE", "TaobaoRds", "open_api"]


def open_api(credentials: Credentials, clock: Clock, shop: Shop) -> "TaobaoRds":
    """The database that the platform pushes the shop's records to.

    Raises:
        ConfigError: the credentials are incomplete.
    """
    return TaobaoRds(RdsClient(rds_access(credentials)), clock)


class TaobaoRds:
    """One seller's rows. Close it (or use ``with``) to release the connection."""

    name = SOURCE

    def __init__(self, client: RdsClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    def streams(self) -> tuple[str, ...]:
        """Streams in landing order."""
        return tuple(PAYLOADS)

    def payload_model(self, stream: str) -> PayloadModel:
        """Payload model of a stream. KeyError for an unknown one."""
        return PAYLOADS[stream]

    def windows(self, shop: Shop, stream: str, window: Window) -> list[Window]:
        """The pieces that ``window`` is read in, each a day at most."""
        return cut(shop, window, self._clock.now(), LONGEST_WINDOW)

    def iter_records(self, shop: Shop, stream: str, window: Window) -> Iterator[RawRecord]:
        """Records of ``stream`` that were pushed in ``window``, whenever they were modified.

        Raises:
            SourceError: see :meth:`RdsClient.rows`.
        """
        yield from read_window(self._client, STREAMS[stream], window)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
