"""A shop on JD (京东) over the sandbox's order book: the platform's gateway and its renewals.

``Gateway(book, access, clock)`` answers ``/routerjson`` and ``/oauth2/refresh_token``.
"""

from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import ShopClock
from regulars.sandbox.platforms.jd.faults import Edit, Faults
from regulars.sandbox.platforms.jd.gateway import Gateway
from regulars.sandbox.platforms.jd.tokens import Tokens
from regulars.sandbox.protocol import Access

__all__ = ["CANCELS_WHOLE_ORDERS", "SERVES", "Edit", "Faults", "Gateway", "Tokens", "open_gateway"]

SERVES = "jd_jos"
"""The source that asks it."""

CANCELS_WHOLE_ORDERS = True
"""A cancelled order is paid back at once, as one refund and not line by line."""


def open_gateway(book: OrderBook, access: Access, clock: ShopClock) -> Gateway:
    """The gateway of a demonstration."""
    return Gateway(book, access, clock)
