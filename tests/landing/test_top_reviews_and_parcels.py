"""Reviews and parcels of the sandbox shop land over HTTP, with counts equal to the book's."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from regulars.credentials import Credentials
from regulars.landing import LandingResult, land_stream, read_batch
from regulars.records import Window
from regulars.sandbox import parcels
from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import wall_seconds
from regulars.sandbox.protocol import PLATFORM_ZONE
from regulars.sandbox.reviews import Reviews
from regulars.sandbox.server import TEST_ACCESS, SandboxServer
from regulars.settings import Settings
from regulars.shops import Shop
from regulars.vault import Vault
from tests.landing.conftest import FixedClock
from tests.sources.shops import demo_shop

NOW = datetime(2017, 10, 4, 2, 0, tzinfo=PLATFORM_ZONE)


@pytest.fixture(scope="module")
def book() -> OrderBook:
    return OrderBook.sample(households=60, until=date(2017, 10, 5))


@pytest.fixture
def shop() -> Shop:
    return demo_shop(overlap_minutes=0, streams=("orders", "reviews", "logistics"))


def landed(
    settings: Settings, shop: Shop, vault: Vault, book: OrderBook, stream: str, window: Window
) -> tuple[LandingResult, list[dict[str, Any]]]:
    with SandboxServer(book, now=NOW) as server:
        credentials = Credentials(
            "regulars_demo_grocer",
            host=server.router_url,
            login=TEST_ACCESS.app_key,
            password=TEST_ACCESS.app_secret,
            extra={"session": TEST_ACCESS.session},
        )
        result = land_stream(
            settings,
            shop,
            stream,
            lambda _: credentials,
            FixedClock(NOW.astimezone(UTC)),
            window,
            vault,
            "night-1",
            lambda _: None,
        )
    assert result.failures == ()
    assert sum(batch.quarantined_count for batch in result) == 0
    assert [batch.unknown_fields for batch in result if batch.unknown_fields] == []
    return result, [record for batch in result for record in read_batch(settings, batch)]


def test_three_days_of_reviews_land_whole(
    settings: Settings, shop: Shop, vault: Vault, book: OrderBook
) -> None:
    window = Window(shop.day_start(date(2017, 9, 29)), shop.day_start(date(2017, 10, 4)))
    made = Reviews.of(book)
    start, end = wall_seconds(window.start), wall_seconds(window.end)
    expected = {int(book.tid[made.trade[one]]) for one in made.between(start, end - 1).tolist()}
    result, records = landed(settings, shop, vault, book, "reviews", window)
    assert len(result) == 5
    assert {int(one["tid"]) for one in records} == expected
    assert len(records) == len(expected) > 5
    assert all(one["nick_masked"] for one in records)


def test_parcels_under_way_land_with_their_way_so_far(
    settings: Settings, shop: Shop, vault: Vault, book: OrderBook
) -> None:
    window = Window(shop.day_start(date(2017, 10, 3)), shop.day_start(date(2017, 10, 4)))
    since, until, clock = (wall_seconds(at) for at in (window.start, window.end, NOW))
    expected = {
        str(book.tid[trade])
        for trade in parcels.shipped_trades(book, since - 20 * 86_400, until, clock).tolist()
        # Signed for within the window or not yet; and scanned already.
        if book.signed[trade] >= since and parcels.step_times(book, trade)[0] <= clock
    }
    (batch,), records = landed(settings, shop, vault, book, "logistics", window)
    assert {one["tid"] for one in records} == expected
    assert batch.record_count == len(expected) > 20
    assert {"SIGN", "ACCEPT"} <= {step["action"] for one in records for step in one["trace_list"]}
