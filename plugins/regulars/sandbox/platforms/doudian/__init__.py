"""Douyin Shop (抖店) over the sandbox's order book."""

from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import ShopClock
from regulars.sandbox.platforms.doudian.disguises import SHOP_ID
from regulars.sandbox.platforms.doudian.faults import Edit, Faults
from regulars.sandbox.platforms.doudian.gateway import Gateway
from regulars.sandbox.protocol import Access

__all__ = ["SERVES", "SHOP_ID", "Edit", "Faults", "Gateway", "open_gateway"]

SERVES = "doudian_open"
"""The source that asks it."""


def open_gateway(book: OrderBook, access: Access, clock: ShopClock) -> Gateway:
    """The gateway of a demonstration."""
    return Gateway(book, access, clock)
