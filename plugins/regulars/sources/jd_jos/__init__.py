"""JD open platform (JOS): orders by modification time, after-sales refunds by application."""

from collections.abc import Callable, Iterator, Mapping

from regulars.clock import Clock
from regulars.credentials import Credentials
from regulars.records import RawRecord, Window
from regulars.shops import Shop
from regulars.sources.jd_jos.aftersales import LONGEST_REFUNDS, read_refunds
from regulars.sources.jd_jos.auth import jd_credentials
from regulars.sources.jd_jos.client import JdClient
from regulars.sources.jd_jos.orders import LONGEST_ORDERS, read_orders
from regulars.sources.jd_jos.payload import PAYLOADS, SOURCE
from regulars.sources.payloads import PayloadModel
from regulars.sources.windows import cut

__all__ = ["DEPTH_DAYS", "PAYLOADS", "RENEWS_TOKENS", "SOURCE", "JdJos", "open_api"]

DEPTH_DAYS = 88
"""Three months at their shortest, less a day for the overlap."""

RENEWS_TOKENS = True

_LONGEST = {"orders": LONGEST_ORDERS, "refunds": LONGEST_REFUNDS}


def open_api(
    credentials: Credentials,
    clock: Clock,
    shop: Shop,
    keep_tokens: Callable[[Mapping[str, str]], None] = lambda _: None,
) -> "JdJos":
    """The shop's account at the platform.

    Raises:
        ConfigError: the credentials are incomplete.
    """
    client = JdClient(
        jd_credentials(credentials), remember=lambda renewed: keep_tokens(renewed.as_extra())
    )
    return JdJos(client, clock)


class JdJos:
    """One seller's account. Close it to release the connections."""

    name = SOURCE

    def __init__(self, client: JdClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    def streams(self) -> tuple[str, ...]:
        """Streams in landing order."""
        return tuple(PAYLOADS)

    def payload_model(self, stream: str) -> PayloadModel:
        """Payload model of a stream. KeyError for an unknown one."""
        return PAYLOADS[stream]

    def windows(self, shop: Shop, stream: str, window: Window) -> list[Window]:
        """The pieces that ``window`` is asked in: a day of orders, a week of refunds at most."""
        return cut(shop, window, self._clock.now(), _LONGEST[stream])

    def iter_records(self, shop: Shop, stream: str, window: Window) -> Iterator[RawRecord]:
        """Records of ``stream`` modified in ``window``, which must not be longer than a piece.

        Raises:
            SourceError: see :meth:`JdClient.call`; the window lies deeper than the platform gives.
        """
        if stream == "orders":
            yield from read_orders(self._client, window, self._clock.now())
        else:
            yield from read_refunds(self._client, window)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
