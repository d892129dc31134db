"""Further platforms over the same order book, one package each.

A gateway speaks one platform's protocol for one shop. It answers at the platform's native paths,
so that unchanged clients of that platform can call it, and lives by the sandbox's clock.

A package names the source that it ``SERVES`` and has ``open_gateway(book, access, clock)``. Where
the platform pays a cancelled order back as one refund, it says ``CANCELS_WHOLE_ORDERS``.
"""

import importlib
import pkgutil
from functools import cache
from types import ModuleType
from typing import Protocol

from starlette.routing import BaseRoute

from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import ShopClock
from regulars.sandbox.protocol import Access


class Gateway(Protocol):
    """One shop on one platform.

    Attributes:
        clock: the sandbox's present.
        call_count: calls answered so far.
    """

    clock: ShopClock
    call_count: int

    def routes(self) -> list[BaseRoute]:
        """Routes at the platform's native paths."""
        ...


@cache
def _packages() -> dict[str, ModuleType]:
    found = {}
    for entry in pkgutil.iter_modules(__path__):
        package = importlib.import_module(f"{__name__}.{entry.name}")
        if hasattr(package, "SERVES"):
            found[package.SERVES] = package
    return found


def served_sources() -> tuple[str, ...]:
    """Sources that a gateway of this folder serves."""
    return tuple(sorted(_packages()))


def cancels_whole_orders(source: str) -> bool:
    """Whether the platform counts one refund for a cancelled order, however many lines it had."""
    return bool(getattr(_packages().get(source), "CANCELS_WHOLE_ORDERS", False))


def open_gateway(source: str, book: OrderBook, access: Access, clock: ShopClock) -> Gateway:
    """A shop for one source. KeyError for a source that nothing here serves.

    Args:
        source: a name of :func:`served_sources`.
        book: all orders it will ever have.
        access: app key, app secret and the seller's token, as its connection holds them.
        clock: the sandbox's present.
    """
    gateway: Gateway = _packages()[source].open_gateway(book, access, clock)
    return gateway
