"""A shop on Pinduoduo over the sandbox's order book."""

from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import ShopClock
from regulars.sandbox.platforms.pdd.faults import PUBLISHED_LIMITS, Edit, PddFaults, PddLimits
from regulars.sandbox.platforms.pdd.gateway import FIRST_REFRESH_TOKEN, PddGateway
from regulars.sandbox.protocol import Access

Gateway = PddGateway

__all__ = [
    "FIRST_REFRESH_TOKEN",
    "PUBLISHED_LIMITS",
    "SERVES",
    "Edit",
    "Gateway",
    "PddFaults",
    "PddGateway",
    "PddLimits",
    "open_gateway",
]

SERVES = "pdd_open"
"""The source that asks it."""


def open_gateway(book: OrderBook, access: Access, clock: ShopClock) -> PddGateway:
    """The gateway of a demonstration; it answers for all states of a refund in one call."""
    return PddGateway(book, access, clock, has_all_refunds=True)
