"""Landing from the sandbox shop: real purchases over the platform's protocol, with its faults."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from regulars.credentials import Credentials
from regulars.errors import AuthenticationFailed, QuotaExhausted, SourceUnavailable
from regulars.landing import LandingResult, land_stream, list_batches, read_batch
from regulars.night.inbox import land_inbox
from regulars.records import Window
from regulars.sandbox.book import OrderBook
from regulars.sandbox.export import HISTORY_STREAMS, export_history
from regulars.sandbox.faults import Edit, Faults, Throttle
from regulars.sandbox.limits import Limits
from regulars.sandbox.protocol import PLATFORM_ZONE
from regulars.sandbox.server import TEST_ACCESS, SandboxServer
from regulars.sandbox.shop import SandboxShop
from regulars.settings import Settings
from regulars.shops import Shop
from regulars.sources.taobao_top import TaobaoTop
from regulars.sources.taobao_top.auth import TopCredentials
from regulars.sources.taobao_top.client import TopClient
from regulars.vault import Vault
from tests.landing.conftest import FixedClock
from tests.landing.files import quarantined
from tests.sources.gateway import Sleeper

NOW = datetime(2017, 10, 2, 2, 0, tzinfo=PLATFORM_ZONE)
SECRET = TEST_ACCESS.app_secret

Land = Callable[..., LandingResult]


@pytest.fixture(scope="module")
def book() -> OrderBook:
    return OrderBook.sample(households=250, until=date(2017, 10, 3))


@pytest.fixture
def sandbox(book: OrderBook) -> SandboxShop:
    return SandboxShop(book, TEST_ACCESS, now=NOW, machine_seconds=None)


@pytest.fixture
def sleeper() -> Sleeper:
    return Sleeper()


@pytest.fixture
def window(shop: Shop) -> Window:
    return Window(shop.day_start(date(2017, 10, 1)), shop.day_end(date(2017, 10, 1)))


@pytest.fixture
def land(
    sandbox: SandboxShop,
    settings: Settings,
    shop: Shop,
    vault: Vault,
    window: Window,
    sleeper: Sleeper,
) -> Land:
    def run(stream: str = "orders", secret: str = SECRET) -> LandingResult:
        def handle(request: httpx.Request) -> httpx.Response:
            answer = sandbox.answer(dict(parse_qsl(request.content.decode())))
            return httpx.Response(answer.status, content=answer.body, headers=answer.headers)

        client = TopClient(
            TopCredentials(
                "http://sandbox.test/router/rest", TEST_ACCESS.app_key, secret, TEST_ACCESS.session
            ),
            transport=httpx.MockTransport(handle),
            sleep=sleeper,
        )
        clock = FixedClock(NOW.astimezone(UTC))
        no_overlap = shop.model_copy(update={"overlap_minutes": 0})
        return land_stream(
            settings,
            no_overlap,
            stream,
            lambda connection: Credentials(connection),
            clock,
            window,
            vault,
            "night-1",
            lambda _: None,
            source=TaobaoTop(client, clock),
        )

    return run


@pytest.fixture
def expected(book: OrderBook, window: Window) -> set[str]:
    """Ids of the trades that the quiet shop shows in the window."""
    events = book.trade_events
    start, end = (
        int(one.astimezone(PLATFORM_ZONE).replace(tzinfo=UTC).timestamp())
        for one in (window.start, window.end)
    )
    shown, _ = SandboxShop(book, TEST_ACCESS, now=NOW, machine_seconds=None)._modified(
        events, start, end
    )
    return {str(book.tid[trade]) for trade in shown}


def tids(settings: Settings, result: LandingResult) -> set[str]:
    return {record["tid"] for batch in result for record in read_batch(settings, batch)}


def test_a_day_of_orders_lands_whole_and_clean(
    settings: Settings, land: Land, expected: set[str]
) -> None:
    result = land()
    (batch,) = result
    assert len(expected) > 120
    assert tids(settings, result) == expected
    assert batch.record_count == len(expected)
    assert (batch.quarantined_count, batch.unknown_fields, result.failures) == (0, {}, ())
    record = next(read_batch(settings, batch))
    assert "*" in record["receiver_mobile_masked"]
    assert record["oaid"]


def test_a_day_of_refunds_lands(settings: Settings, land: Land) -> None:
    (batch,) = land("refunds")
    assert batch.record_count > 0
    assert (batch.quarantined_count, batch.unknown_fields) == (0, {})
    assert all(int(one["oid"]) > 2**53 for one in read_batch(settings, batch))


@pytest.mark.parametrize("touched", [1, 7, 40])
def test_pages_that_shift_lose_no_trade_that_stays(
    settings: Settings, land: Land, sandbox: SandboxShop, expected: set[str], touched: int
) -> None:
    sandbox.replace_faults(Faults(touch_after_page=touched))
    result = land()
    moved = {str(sandbox.book.tid[trade]) for trade in sandbox._touched}
    assert moved
    assert expected - moved <= tids(settings, result) <= expected
    assert result.failures == ()


def test_a_row_that_comes_twice_lands_once(
    settings: Settings, land: Land, sandbox: SandboxShop, expected: set[str]
) -> None:
    sandbox.replace_faults(Faults(repeat_row=50))
    (batch,) = land()
    assert batch.record_count == len(expected)


@pytest.mark.parametrize("spelling", ["absent", "object", "list"])
def test_an_empty_day_is_empty_however_it_is_written(
    land: Land, sandbox: SandboxShop, spelling: Any
) -> None:
    sandbox.replace_faults(Faults(empty_list=spelling))
    sandbox.now = NOW - timedelta(days=400)
    (batch,) = land()
    assert batch.record_count == 0


def test_bad_trades_are_quarantined_by_name(
    settings: Settings, land: Land, sandbox: SandboxShop, expected: set[str]
) -> None:
    first, second, third, fourth, fifth = sorted(expected)[:5]
    edits = [
        Edit(tid=int(first), set={"payment": "12.345"}),
        Edit(tid=int(second), set={"status": "TRADE_ON_THE_MOON"}),
        Edit(tid=int(third), drop=["created"]),
        Edit(tid=int(fourth), line=1, set={"divide_order_fee": 1.005}),
        Edit(tid=int(fifth), set={"brand_new_field": "x"}),
    ]
    sandbox.replace_faults(Faults(edits=edits))
    (batch,) = land()
    assert batch.record_count == len(expected) - 4
    assert {one["tid"]: one["_reasons"] for one in quarantined(settings, batch)} == {
        first: ["payment: more than two decimals"],
        second: ["status: 'TRADE_ON_THE_MOON' is not a documented status"],
        third: ["created: required, but missing"],
        fourth: ["orders.divide_order_fee: more than two decimals"],
    }
    assert batch.unknown_fields == {"brand_new_field": 1}


def test_a_ban_is_waited_out(land: Land, sandbox: SandboxShop, sleeper: Sleeper) -> None:
    sandbox.replace_faults(Faults(throttle=Throttle(calls=2, seconds=5)))
    assert land().failures == ()
    assert sleeper.waits == [6.0, 6.0]


@pytest.mark.parametrize(
    "faults", [{"truncate": 2}, {"html": 2}, {"system_busy": 2}, {"http_error": {"calls": 2}}]
)
def test_passing_faults_pass(
    settings: Settings,
    land: Land,
    sandbox: SandboxShop,
    expected: set[str],
    faults: dict[str, Any],
) -> None:
    sandbox.replace_faults(Faults.model_validate(faults))
    result = land()
    assert result.failures == ()
    assert tids(settings, result) == expected


def test_faults_that_stay_fail_the_window(land: Land, sandbox: SandboxShop) -> None:
    sandbox.replace_faults(Faults(truncate=1000))
    with pytest.raises(SourceUnavailable, match="not complete JSON"):
        land().raise_if_failed()


def test_a_wrong_secret_is_refused_at_once(land: Land, sandbox: SandboxShop) -> None:
    with pytest.raises(AuthenticationFailed, match="code 25"):
        land(secret="wrong").raise_if_failed()
    assert sandbox.call_count == 1


def test_an_expired_session_is_refused_at_once(land: Land, sandbox: SandboxShop) -> None:
    sandbox.replace_faults(Faults(session_expired=1000))
    with pytest.raises(AuthenticationFailed, match="authorise the app again"):
        land().raise_if_failed()
    assert sandbox.call_count == 1


def test_the_daily_quota_ends_the_day(land: Land, sandbox: SandboxShop) -> None:
    sandbox.replace_limits(Limits(daily_quota=2))
    with pytest.raises(QuotaExhausted, match="00:00 GMT\\+8"):
        land().raise_if_failed()


@pytest.mark.slow
def test_a_trade_has_the_same_ids_by_file_and_by_api(
    settings: Settings, land: Land, shop: Shop, vault: Vault, book: OrderBook
) -> None:
    streams = [stream for stream in HISTORY_STREAMS if stream != "products"]  # 92,348 rows
    until = date(2017, 10, 1)
    dropped = export_history(settings.inbox_dir, shop.shop, book, until, streams)
    result = land_inbox(settings, shop, vault, "night-1", until, lambda _: None)
    assert result.failures == ()
    assert {one.stream for one in result} == {one.stream for one in dropped}
    for batch in result:
        assert (batch.quarantined_count, batch.unknown_fields) == (0, {}), batch.stream
    rows = {one.stream: one.row_count for one in dropped}
    assert {one.stream: one.record_count for one in result} == rows
    by_api = [record for batch in land() for record in read_batch(settings, batch)]
    by_file = {
        record["order_id"]: record
        for batch in list_batches(settings, source="file", stream="orders")
        for record in read_batch(settings, batch)
    }
    lines = {
        record["line_id"]: record
        for batch in list_batches(settings, source="file", stream="order_lines")
        for record in read_batch(settings, batch)
    }
    shared = [trade for trade in by_api if trade["tid"] in by_file]
    assert shared
    for trade in shared:
        assert by_file[trade["tid"]]["buyer_id"] == trade["buyer_open_uid"]
        for order in trade["orders"]:
            assert lines[order["oid"]]["order_id"] == trade["tid"]


def test_over_http_with_the_connection_of_the_shop(
    settings: Settings, shop: Shop, vault: Vault, window: Window
) -> None:
    with SandboxServer(OrderBook.sample(households=60), now=NOW) as server:
        credentials = Credentials(
            "regulars_demo_grocer",
            host=server.router_url,
            login=TEST_ACCESS.app_key,
            password=TEST_ACCESS.app_secret,
            extra={"session": TEST_ACCESS.session, "sign_method": "hmac-sha256"},
        )
        result = land_stream(
            settings,
            shop,
            "orders",
            lambda _: credentials,
            FixedClock(NOW.astimezone(UTC)),
            window,
            vault,
            "night-1",
            lambda _: None,
        )
    assert result.failures == ()
    assert sum(batch.record_count for batch in result) > 10
