"""Landing from the sandbox's Shopify shop: a day's orders and refunds, with the shop's faults."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from regulars.credentials import Credentials
from regulars.errors import AuthenticationFailed, SourceError, SourceUnavailable
from regulars.landing import LandingResult, land_stream, list_batches, read_batch
from regulars.records import Window
from regulars.sandbox import disguise
from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import ShopClock
from regulars.sandbox.platforms.shopify import Access, Gateway, ShopifyEdit, ShopifyFaults
from regulars.sandbox.platforms.shopify.orders import customer_name, is_guest
from regulars.sandbox.server import PlatformServer
from regulars.settings import Settings
from regulars.shops import Shop
from regulars.sources import ApiSource
from regulars.vault import Vault
from tests.landing.conftest import FixedClock
from tests.landing.files import quarantined, readable_bytes
from tests.sources.shopify_shop import DAY, NOW, TOKEN, MemoryShop, shopify_shop

Land = Callable[..., LandingResult]


@pytest.fixture(scope="module")
def book() -> OrderBook:
    return OrderBook.sample(households=100, until=date(2017, 10, 3))


@pytest.fixture
def memory(book: OrderBook) -> MemoryShop:
    return MemoryShop(book)


@pytest.fixture
def shop() -> Shop:
    return shopify_shop()


@pytest.fixture
def window() -> Window:
    return DAY


@pytest.fixture
def land(settings: Settings, shop: Shop, vault: Vault, memory: MemoryShop) -> Land:
    def run(stream: str = "orders", window: Window = DAY, now: datetime = NOW) -> LandingResult:
        source: ApiSource = memory.source
        return land_stream(
            settings,
            shop,
            stream,
            lambda connection: Credentials(connection),
            FixedClock(now),
            window,
            vault,
            "night-1",
            lambda _: None,
            source=source,
        )

    return run


def landed(settings: Settings, result: LandingResult) -> list[dict[str, Any]]:
    return [record for batch in result for record in read_batch(settings, batch)]


def test_a_day_of_orders_lands_with_the_books_counts_and_sums(
    settings: Settings, land: Land, memory: MemoryShop, book: OrderBook
) -> None:
    result = land()
    (batch,) = result
    rows = memory.rows()
    assert batch.record_count == len(rows) > 40
    assert (batch.quarantined_count, batch.unknown_fields, result.failures) == (0, {}, ())
    records = landed(settings, result)
    trades = [row.trade for row in rows]
    lines = sum(int(book.line_start[one + 1] - book.line_start[one]) for one in trades)
    assert sum(len(one["line_items"]) for one in records) == lines
    assert _sum(one["total_price_set"] for one in records) == _yuan(book.trade_paid[trades].sum())
    goods = _sum(line["original_total_set"] for one in records for line in one["line_items"])
    assert goods == _yuan(book.trade_goods[trades].sum())
    given = _sum(
        part["allocated_amount_set"]
        for one in records
        for part in one.get("discount_allocations", [])
    )
    assert goods - given == _yuan(book.trade_paid[trades].sum())


def test_a_day_of_refunds_lands_with_the_books_sum(
    settings: Settings, land: Land, memory: MemoryShop, book: OrderBook
) -> None:
    window = Window(DAY.start - timedelta(days=1), DAY.end)
    result = land("refunds", window)
    assert result.failures == ()
    rows = memory.rows(window)
    refunds = [
        refund
        for row in rows
        for refund in memory.gateway.orders.trade(row.trade, row.modified).refund_rows
    ]
    records = landed(settings, result)
    assert len(records) == len(refunds) > 0
    fees = sum(int(book.refund_fee[one]) for one in refunds)
    assert _sum(one["total_refunded_set"] for one in records) == _yuan(fees)


def _sum(texts: Any) -> Decimal:
    return sum((Decimal(text) for text in texts), Decimal(0))


def _yuan(fen: int) -> Decimal:
    return Decimal(int(fen)) / 100


def test_no_contact_lands_in_plain_text(
    settings: Settings, land: Land, memory: MemoryShop, book: OrderBook
) -> None:
    land()
    land("refunds")
    content = readable_bytes(settings.landing_dir).decode(errors="replace")
    households = {int(book.household[row.trade]) for row in memory.rows()}
    assert len(households) > 20
    for household in households:
        assert disguise.email(household) not in content
        assert disguise.phone(household) not in content
        given, family = customer_name(household)
        assert f"{given} {family}" not in content
        assert disguise.place(household)[3] not in content
    assert '"customer_first_name":' not in content
    assert '"email_ref"' in content
    assert '"shipping_address_phone_hash"' in content


def test_guests_and_unprotected_shops_land_all_the_same(
    settings: Settings, land: Land, memory: MemoryShop, book: OrderBook
) -> None:
    memory.gateway.faults = ShopifyFaults(protected_data=True)
    result = land()
    records = landed(settings, result)
    assert len(records) == len(memory.rows())
    assert not any("email_ref" in one for one in records)
    guests = sum(is_guest(int(book.basket[row.trade])) for row in memory.rows())
    without = sum("customer_legacy_resource_id" not in one for one in records)
    assert without == guests > 0


def test_drift_is_counted_and_bad_records_are_quarantined(
    settings: Settings, land: Land, memory: MemoryShop
) -> None:
    gids = memory.gids()
    euro = {"shopMoney": {"amount": "5.0", "currencyCode": "EUR"}}
    memory.gateway.faults = ShopifyFaults(
        edits=[
            ShopifyEdit(gid=gids[0], set={"brandNew": "🍜 新", "anotherPhone": "+8612000000000"}),
            ShopifyEdit(gid=gids[1], drop=["displayFulfillmentStatus"]),
            ShopifyEdit(gid=gids[2], set={"originalTotalPriceSet": euro}),
            ShopifyEdit(gid=gids[3], set={"displayFinancialStatus": "ON_THE_MOON"}),
        ]
    )
    (batch,) = land()
    assert batch.record_count == len(gids) - 3
    assert batch.unknown_fields == {"brand_new": 1, "another_phone": 1}
    numbers = [one.rpartition("/")[2] for one in gids]
    found = {one["legacy_resource_id"]: one["_reasons"] for one in quarantined(settings, batch)}
    assert found == {
        numbers[1]: ["display_fulfillment_status: required, but missing"],
        numbers[2]: ["original_total_price_set: not a number"],
        numbers[3]: ["display_financial_status: 'ON_THE_MOON' is not a documented status"],
    }
    content = readable_bytes(settings.landing_dir).decode(errors="replace")
    assert "🍜 新" in content
    assert "12000000000" not in content


def test_a_window_by_bulk_lands_what_the_days_land(
    settings: Settings, shop: Shop, vault: Vault, book: OrderBook, land: Land
) -> None:
    small = MemoryShop(book.cut(15))
    span = Window(DAY.start - timedelta(days=10), DAY.end)

    def run(source: ApiSource, window: Window) -> list[dict[str, Any]]:
        result = land_stream(
            settings,
            shop,
            "orders",
            lambda connection: Credentials(connection),
            FixedClock(NOW),
            window,
            vault,
            "night-1",
            lambda _: None,
            source=source,
        )
        assert result.failures == ()
        return landed(settings, result)

    long = run(small.source, span)
    before = len(small.gateway.bulk.operations)
    assert before == 1
    assert len(list_batches(settings)) == 11
    days = [
        record
        for day in range(11)
        for record in run(
            small.source,
            Window(span.start + timedelta(days=day), span.start + timedelta(days=day + 1)),
        )
    ]
    assert len(small.gateway.bulk.operations) == before
    assert _by_id(long) == _by_id(days)
    assert len(long) == len(small.rows(span)) > 10


def _by_id(records: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        one["legacy_resource_id"]: {k: v for k, v in one.items() if k != "_line"} for one in records
    }


def test_a_withdrawn_token_ends_the_night_with_the_next_step(
    land: Land, memory: MemoryShop
) -> None:
    memory.gateway.faults = ShopifyFaults(token_expired=100)
    with pytest.raises(AuthenticationFailed, match="access token"):
        land().raise_if_failed()
    assert memory.gateway.call_count == 1


def test_faults_that_stay_fail_the_window(land: Land, memory: MemoryShop) -> None:
    memory.gateway.faults = ShopifyFaults(html=1000)
    with pytest.raises(SourceUnavailable, match="not complete JSON"):
        land().raise_if_failed()


def test_an_order_changed_again_within_the_second_it_was_read_in_lands_as_a_younger_version(
    settings: Settings, land: Land, memory: MemoryShop
) -> None:
    """Both versions carry one updated_at: only when they were taken tells which is the last."""
    trade = memory.rows()[0].trade
    memory.gateway.orders.touch(trade)
    moment, seconds = memory.now(), memory.clock.seconds
    second_of_it = Window(moment, moment + timedelta(seconds=1))
    [gid] = memory.gids(second_of_it)
    memory.clock.tick(300)
    first = landed(settings, land(window=second_of_it, now=memory.now()))
    memory.clock.seconds = seconds
    memory.gateway.orders.touch(trade)
    memory.gateway.faults = ShopifyFaults(edits=[ShopifyEdit(gid=gid, set={"test": True})])
    memory.clock.tick(300)
    later = NOW + timedelta(days=1)
    overlap = Window(moment - timedelta(seconds=1), moment + timedelta(seconds=2))
    second = landed(settings, land(window=overlap, now=later))
    [old] = first
    [new] = [record for record in second if record["name"] == old["name"]]
    assert old["updated_at"] == new["updated_at"]
    assert (old["test"], new["test"]) == ("false", "true")
    older, younger = list_batches(settings)
    assert older.extracted_at < younger.extracted_at == later


def test_a_window_beyond_sixty_days_is_named(settings: Settings, book: OrderBook) -> None:
    memory = MemoryShop(book, scopes=("read_orders",))
    old = Window(NOW - timedelta(days=70), NOW - timedelta(days=69))
    with pytest.raises(SourceError, match="read_all_orders"):
        memory.read(window=old)


def test_a_skewed_clock_of_this_machine_changes_nothing(
    settings: Settings, land: Land, memory: MemoryShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Calls carry no timestamp; the bucket is reckoned by a clock that only runs forward.
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert len(landed(settings, land())) == len(memory.rows())


def test_over_http_with_the_connection_of_the_shop(
    settings: Settings, shop: Shop, vault: Vault, book: OrderBook
) -> None:
    gateway = Gateway(book, Access(TOKEN), ShopClock(NOW))
    with PlatformServer(gateway) as server:
        credentials = Credentials(
            "regulars_shopify",
            host=server.url,
            extra={"access_token": TOKEN, "shop_domain": "demo-grocer.myshopify.com"},
        )
        results = [
            land_stream(
                settings,
                shop,
                stream,
                lambda _: credentials,
                FixedClock(datetime(2017, 10, 1, 18, tzinfo=UTC)),
                Window(DAY.start - timedelta(hours=2), DAY.start + timedelta(hours=6)),
                vault,
                "night-1",
                lambda _: None,
            )
            for stream in ("orders", "refunds")
        ]
    assert [one.failures for one in results] == [(), ()]
    assert sum(batch.record_count for batch in results[0]) > 3
