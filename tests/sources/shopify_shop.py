"""A Shopify shop in memory, and the source that reads it."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from regulars.records import RawRecord, Window
from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import ShopClock, unix_seconds
from regulars.sandbox.platforms.shopify import Access, Gateway, ShopifyLimits
from regulars.sandbox.platforms.shopify.lists import Row
from regulars.sandbox.platforms.shopify.orders import gid
from regulars.sandbox.platforms.shopify.search import Search
from regulars.shops import Shop
from regulars.sources.calling import RetryPolicy
from regulars.sources.shopify_admin import ShopifyAdmin
from regulars.sources.shopify_admin.auth import ShopifyCredentials
from regulars.sources.shopify_admin.client import ShopifyClient
from tests.sources.shops import demo_shop

TOKEN = "shpat_of_the_test"
ENDPOINT = "http://shop.test/admin/api/2026-10/graphql.json"
CREDENTIALS = ShopifyCredentials(ENDPOINT, "2026-10", TOKEN)
NOW = datetime(2017, 10, 1, 18, 0, tzinfo=UTC)
DAY = Window(datetime(2017, 9, 30, 16, tzinfo=UTC), datetime(2017, 10, 1, 16, tzinfo=UTC))


def shopify_shop(**changes: Any) -> Shop:
    """The demo shop at Shopify."""
    entries = {"platform": "shopify", "source": "shopify_admin", "overlap_minutes": 0}
    return demo_shop(**{**entries, **changes})


class Time:
    """Sleeping that moves a clock and takes no time."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.seconds += seconds

    def elapsed(self) -> float:
        return self.seconds


class MemoryShop:
    """One shop, its clock and the source that reads it, all in this thread."""

    def __init__(
        self,
        book: OrderBook,
        now: datetime = NOW,
        limits: ShopifyLimits | None = None,
        scopes: tuple[str, ...] = ("read_orders", "read_all_orders"),
        policy: RetryPolicy | None = None,
    ) -> None:
        self.time = Time()
        self.clock = ShopClock(now)
        self.gateway = Gateway(
            book, Access(TOKEN, scopes), self.clock, limits, elapsed=self.time.elapsed
        )
        self.queries: list[str] = []
        self.client = ShopifyClient(
            CREDENTIALS,
            transport=httpx.MockTransport(self.handle),
            sleep=self.time.sleep,
            elapsed=self.time.elapsed,
            policy=policy,
        )
        self.source = ShopifyAdmin(self.client, self)

    def now(self) -> datetime:
        return self.clock.now.astimezone(UTC)

    def advance_to(self, instant: datetime) -> None:
        self.clock.now = max(self.clock.now, instant)

    def handle(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            answer = self.gateway.file(request.url.path.rpartition("/")[2], request.headers)
        else:
            named = re.search(rb"(?:query|mutation) (\w+)", request.content)
            self.queries.append(named.group(1).decode() if named else "")
            version = request.url.path.split("/")[3]
            answer = self.gateway.answer(
                version, request.headers, request.content, "http://shop.test"
            )
        return httpx.Response(answer.status, content=answer.body, headers=answer.headers)

    def read(self, stream: str = "orders", window: Window = DAY) -> list[RawRecord]:
        """All records of one window."""
        return list(self.source.iter_records(shopify_shop(), stream, window))

    def rows(self, window: Window = DAY) -> list[Row]:
        """What the shop's own list holds in a window now."""
        search = Search()
        search.updated_at.low = int(window.start.timestamp())
        search.updated_at.high = int(window.end.timestamp())
        return self.gateway.orders.rows(search, "UPDATED_AT")

    def ids(self, window: Window = DAY) -> set[str]:
        """Numbers of the orders in a window now."""
        return {str(row.order) for row in self.rows(window)}

    def gids(self, window: Window = DAY) -> list[str]:
        """Global ids of the orders in a window now, by modification."""
        return [gid("Order", row.order) for row in self.rows(window)]


def ids_of(records: list[RawRecord]) -> list[str]:
    """Numbers of records."""
    assert not [record.defect for record in records if record.defect]
    return [str(record.payload["legacy_resource_id"]) for record in records]


def utc(wall: int) -> datetime:
    """A wall second of the book as an instant."""
    return datetime.fromtimestamp(unix_seconds(wall), UTC)


SECOND = timedelta(seconds=1)
