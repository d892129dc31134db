"""Books and shops for the sandbox's tests. The clocks are fixed; nothing waits."""

from collections.abc import Iterator

import pytest

from regulars.sandbox.book import OrderBook
from regulars.sandbox.server import TEST_ACCESS, SandboxServer
from regulars.sandbox.shop import SandboxShop
from tests.sandbox.calls import NOW


@pytest.fixture(scope="session")
def whole_book() -> OrderBook:
    return OrderBook.load()


@pytest.fixture(scope="session")
def small_book() -> OrderBook:
    return OrderBook.sample(households=60)


@pytest.fixture
def shop(small_book: OrderBook) -> SandboxShop:
    return SandboxShop(small_book, TEST_ACCESS, now=NOW, machine_seconds=None)


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with SandboxServer(OrderBook.sample(households=60), now=NOW) as running:
        yield running
