"""A shop at the Shopify Admin API (GraphQL), over the sandbox's order book."""

from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import ShopClock
from regulars.sandbox.platforms.shopify.faults import ShopifyEdit, ShopifyFaults, ShopifyThrottle
from regulars.sandbox.platforms.shopify.gateway import Gateway, schema
from regulars.sandbox.platforms.shopify.protocol import Access, ShopifyLimits
from regulars.sandbox.protocol import Access as SandboxAccess

__all__ = [
    "SERVES",
    "Access",
    "Gateway",
    "ShopifyEdit",
    "ShopifyFaults",
    "ShopifyLimits",
    "ShopifyThrottle",
    "open_gateway",
    "schema",
]

SERVES = "shopify_admin"
"""The source that asks it."""


def open_gateway(book: OrderBook, access: SandboxAccess, clock: ShopClock) -> Gateway:
    """The gateway of a demonstration; the seller's session is the app's access token."""
    return Gateway(book, Access(access.session), clock)
