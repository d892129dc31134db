"""Landing from Douyin's gateway: a whole day, exact to the fen, with the platform's faults."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from regulars.credentials import Credentials
from regulars.errors import AuthenticationFailed, QuotaExhausted, SourceUnavailable
from regulars.landing import LandingResult, land_stream, read_batch
from regulars.records import Window
from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import ShopClock, wall_seconds
from regulars.sandbox.faults import HttpError
from regulars.sandbox.limits import Limits
from regulars.sandbox.platforms.doudian import SHOP_ID, Edit, Faults, Gateway, disguises
from regulars.sandbox.platforms.doudian.aftersales import aftersale_numbers
from regulars.sandbox.protocol import PLATFORM_ZONE
from regulars.sandbox.server import TEST_ACCESS, PlatformServer
from regulars.sandbox.timeline import RefundStatus
from regulars.sandbox.wire import refund_status
from regulars.settings import Settings
from regulars.shops import Shop
from regulars.sources.doudian_open import DoudianOpen
from regulars.sources.doudian_open.auth import DoudianCredentials
from regulars.sources.doudian_open.client import DoudianClient
from regulars.vault import Vault
from tests.landing.conftest import FixedClock
from tests.landing.files import quarantined, readable_bytes
from tests.sources.gateway import Sleeper
from tests.sources.shops import demo_shop

NOW = datetime(2017, 10, 2, 2, 0, tzinfo=PLATFORM_ZONE)
DAY = date(2017, 10, 1)
EMOJI = "👨‍👩‍👧 茶叶「好评」𠮷 é"

Land = Callable[..., LandingResult]


@pytest.fixture(scope="module")
def book() -> OrderBook:
    return OrderBook.sample(households=250, until=date(2017, 10, 3))


@pytest.fixture
def gateway(book: OrderBook) -> Gateway:
    return Gateway(book, TEST_ACCESS, ShopClock(NOW), machine_seconds=None)


@pytest.fixture
def sleeper() -> Sleeper:
    return Sleeper()


@pytest.fixture
def shop() -> Shop:
    return demo_shop(shop="demo_live", platform="doudian", source="doudian_open")


@pytest.fixture
def window(shop: Shop) -> Window:
    return Window(shop.day_start(DAY), shop.day_end(DAY))


def client_of(
    gateway: Gateway, sleeper: Sleeper, secret: str, cut: Callable[[bytes], Any] | None = None
) -> DoudianClient:
    def handle(request: httpx.Request) -> httpx.Response:
        status, content, headers = gateway.answer(
            request.url.path, dict(request.url.params), request.content.decode()
        )
        return httpx.Response(status, content=cut(content) if cut else content, headers=headers)

    return DoudianClient(
        DoudianCredentials(
            "http://doudian.test",
            TEST_ACCESS.app_key,
            secret,
            str(SHOP_ID),
            TEST_ACCESS.session,
            gateway.tokens.first_refresh_token,
        ),
        transport=httpx.MockTransport(handle),
        sleep=sleeper,
    )


@pytest.fixture
def land(
    gateway: Gateway,
    settings: Settings,
    shop: Shop,
    vault: Vault,
    window: Window,
    sleeper: Sleeper,
) -> Land:
    def run(
        stream: str = "orders",
        secret: str = TEST_ACCESS.app_secret,
        asked: Window = window,
        cut: Callable[[bytes], Any] | None = None,
    ) -> LandingResult:
        clock = FixedClock(gateway.clock.now.astimezone(UTC))
        return land_stream(
            settings,
            shop.model_copy(update={"overlap_minutes": 0}),
            stream,
            lambda connection: Credentials(connection),
            clock,
            asked,
            vault,
            "night-1",
            lambda _: None,
            source=DoudianOpen(client_of(gateway, sleeper, secret, cut), clock),
        )

    return run


def modified_in(book: OrderBook, window: Window, now: datetime = NOW) -> Any:
    """Indexes of the orders that a quiet shop shows in the window."""
    start, end = wall_seconds(window.start), wall_seconds(window.end)
    return book.trade_events.modified_between(start, end, wall_seconds(now))[0]


@pytest.fixture
def expected(book: OrderBook, window: Window) -> set[str]:
    return set(map(str, disguises.order_ids(book.tid[modified_in(book, window)]).tolist()))


def records_of(settings: Settings, result: LandingResult) -> list[dict[str, Any]]:
    return [record for batch in result for record in read_batch(settings, batch)]


def order_ids(settings: Settings, result: LandingResult) -> set[str]:
    return {record["order_id"] for record in records_of(settings, result)}


# --- a whole day --------------------------------------------------------------------------------


def test_a_day_of_orders_lands_whole_and_to_the_fen(
    settings: Settings, land: Land, book: OrderBook, window: Window, expected: set[str]
) -> None:
    result = land()
    (batch,) = result
    assert len(expected) > 120
    assert (batch.record_count, batch.quarantined_count) == (len(expected), 0)
    assert (batch.unknown_fields, result.failures) == ({}, ())
    records = records_of(settings, result)
    assert {one["order_id"] for one in records} == expected
    trades = modified_in(book, window)
    lines = [line for one in records for line in one["sku_order_list"]]
    assert sum(int(one["pay_amount"]) for one in records) == book.trade_paid[trades].sum()
    assert sum(int(one["pay_amount"]) for one in lines) == book.trade_paid[trades].sum()
    assert sum(int(one["sum_amount"]) for one in lines) == book.trade_goods[trades].sum()
    counts = np.diff(book.line_start)[trades]
    assert len(lines) == counts.sum()


def test_a_day_of_refunds_lands_with_what_really_went_back(
    settings: Settings, land: Land, book: OrderBook
) -> None:
    month = Window(datetime(2017, 9, 1, tzinfo=UTC), datetime(2017, 10, 1, 16, 0, tzinfo=UTC))
    result = land("refunds", asked=month)
    assert result.failures == ()
    assert sum(batch.quarantined_count for batch in result) == 0
    assert all(batch.unknown_fields == {} for batch in result)
    records = {one["aftersale_id"]: one for one in records_of(settings, result)}
    start, end = wall_seconds(month.start), wall_seconds(month.end)
    rows, _ = book.refund_events.modified_between(start, end, wall_seconds(NOW))
    assert set(records) == set(map(str, aftersale_numbers(book)[rows].tolist()))
    done = refund_status(book, rows, wall_seconds(NOW)) == RefundStatus.SUCCESS
    back = [one for one in records.values() if one["refund_status"] == "3"]
    assert len(back) == done.sum() > 5
    assert sum(int(one["real_refund_amount"]) for one in back) == (
        book.refund_fee[rows[done]].sum()
    )
    asked = book.line_paid[book.refund_line[rows]].sum()
    assert sum(int(one["refund_amount"]) for one in records.values()) == asked
    assert any(one["real_refund_amount"] != one["refund_amount"] for one in back)
    assert all("real_refund_amount" not in one for one in records.values() if one not in back)


def test_attribution_lands_with_the_lines(settings: Settings, land: Land) -> None:
    lines = [one for record in records_of(settings, land()) for one in record["sku_order_list"]]
    brought = [one for one in lines if one["c_biz"] == "2"]
    assert brought
    assert all(one["author_id"] != "0" for one in brought)
    live = [one for one in brought if one["room_id"] != "0"]
    filmed = [one for one in brought if one.get("video_id")]
    assert live
    assert filmed
    assert len(live) + len(filmed) == len(brought)
    assert {one["author_id"] for one in lines if one["c_biz"] == "8"} == {"0"}


# --- personal data ------------------------------------------------------------------------------


def test_contacts_land_masked_and_ciphertext_not_at_all(
    settings: Settings, land: Land, vault: Vault
) -> None:
    record = records_of(settings, land())[0]
    assert record["mask_post_tel_masked"].startswith("1********")
    assert record["mask_post_receiver_masked"].endswith("*")
    assert "*" in record["mask_post_addr_detail_masked"]
    assert record["doudian_open_id"].startswith("1@#")
    vault.close()
    content = readable_bytes(settings.data_dir)
    assert b"encrypt_" not in content
    assert b"$1$" not in content


def test_no_contact_in_plain_text_lands(
    settings: Settings, land: Land, gateway: Gateway, vault: Vault, expected: set[str]
) -> None:
    phone, mail = "13912345678", "canary@example.com"
    first, second, third = sorted(expected)[:3]
    plain = {"post_tel": phone, "post_receiver": "王小明", "new_phone": phone}
    gateway.replace_faults(
        Faults(
            edits=[
                Edit(
                    order_id=first,
                    set={**plain, "seller_words": f"call {phone} or {mail} for 王小明"},
                ),
                Edit(order_id=second, set={"mask_post_tel": phone, "order_status": phone}),
                Edit(order_id=third, line=1, set={"post_tel": phone, "new_mobile": phone}),
            ]
        )
    )
    result = land()
    record = next(one for one in records_of(settings, result) if one["order_id"] == first)
    assert vault.reveal(record["post_tel_ref"]) == phone
    assert vault.reveal(record["post_receiver_ref"]) == "王小明"
    # Free text about people is not kept at all, in whatever words it names them.
    assert not {"seller_words", "buyer_words"} & record.keys()
    vault.close()
    content = readable_bytes(settings.data_dir)
    for canary in (phone, mail, "王小明"):
        assert canary.encode() not in content


# --- a list that moves --------------------------------------------------------------------------


@pytest.mark.parametrize("touched", [1, 7, 40])
def test_pages_that_shift_lose_no_order_that_stays(
    settings: Settings, land: Land, gateway: Gateway, expected: set[str], touched: int
) -> None:
    gateway.replace_faults(Faults(touch_after_page=touched))
    result = land()
    touched_trades = np.array(list(gateway._touched))
    moved = set(map(str, disguises.order_ids(gateway.book.tid[touched_trades]).tolist()))
    assert moved
    assert expected - moved <= order_ids(settings, result) <= expected
    assert result.failures == ()


@pytest.mark.slow
@profile(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    touched=st.integers(0, 60),
    ticks=st.integers(0, 3600),
    hours=st.integers(1, 30),
    repeated=st.integers(0, 3),
)
def test_nothing_is_lost_while_the_shop_lives_on(
    book: OrderBook, touched: int, ticks: int, hours: int, repeated: int
) -> None:
    """The clock runs and orders change between pages: what stays is read, once each."""
    now = NOW - timedelta(hours=24)
    gateway = Gateway(book, TEST_ACCESS, ShopClock(now), machine_seconds=None)
    gateway.replace_faults(
        Faults(touch_after_page=touched, tick_seconds=ticks, repeat_row=repeated)
    )
    end = (now - timedelta(minutes=3)).astimezone(UTC)
    window = Window(end - timedelta(hours=hours), end)
    client = client_of(gateway, Sleeper(), TEST_ACCESS.app_secret)
    source = DoudianOpen(client, FixedClock(now.astimezone(UTC)))
    got = list(source.iter_records(demo_shop(), "orders", window))
    versions = [(one.payload["order_id"], one.payload["update_time"]) for one in got]
    assert len(versions) == len(set(versions))
    before, after = (set(modified_in(book, window, at).tolist()) for at in (now, gateway.clock.now))
    stayed = np.array(sorted((before & after) - set(gateway._touched)), dtype=np.int64)
    assert set(map(str, disguises.order_ids(book.tid[stayed]).tolist())) <= {
        number for number, _ in versions
    }


def test_a_row_that_comes_twice_lands_once(
    land: Land, gateway: Gateway, expected: set[str]
) -> None:
    gateway.replace_faults(Faults(repeat_row=50))
    (batch,) = land()
    assert batch.record_count == len(expected)


def test_an_order_updated_twice_within_a_second_lands_in_both_versions(
    settings: Settings, land: Land, gateway: Gateway, expected: set[str]
) -> None:
    one = min(expected)
    gateway.replace_faults(Faults(edits=[Edit(order_id=one, set={"cancel_reason": "first"})]))
    first = land()
    gateway.replace_faults(Faults(edits=[Edit(order_id=one, set={"cancel_reason": "second"})]))
    second = land()
    found = [
        next(r for r in records_of(settings, result) if r["order_id"] == one)
        for result in (first, second)
    ]
    assert [record["cancel_reason"] for record in found] == ["first", "second"]
    assert found[0]["update_time"] == found[1]["update_time"]


def test_the_same_day_landed_again_is_the_same_batch(land: Land) -> None:
    first, second = land(), land()
    assert [one.batch_id for one in first] == [one.batch_id for one in second]
    assert second.known_ids == {one.batch_id for one in second}


# --- faults -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "faults",
    [
        {"truncate": 2},
        {"html": 2},
        {"service_error": 2},
        {"partly_failed": 2},
        {"rate_limited": 2},
        {"http_error": {"calls": 2, "status": 502}},
    ],
)
def test_passing_faults_pass(
    settings: Settings, land: Land, gateway: Gateway, expected: set[str], faults: dict[str, Any]
) -> None:
    gateway.replace_faults(Faults.model_validate(faults))
    result = land()
    assert result.failures == ()
    assert order_ids(settings, result) == expected


def test_a_ban_is_waited_out_for_its_seconds(
    land: Land, gateway: Gateway, sleeper: Sleeper
) -> None:
    gateway.replace_faults(Faults(http_error=HttpError(calls=2, status=429, retry_after=7)))
    assert land().failures == ()
    assert sleeper.waits == [7.0, 7.0]


def test_a_connection_cut_within_the_body_is_asked_again(
    settings: Settings, land: Land, expected: set[str]
) -> None:
    answers = 0

    def cut(content: bytes) -> Any:
        nonlocal answers
        answers += 1
        return _dying(content) if answers % 3 == 2 else content

    assert order_ids(settings, land(cut=cut)) == expected


def _dying(content: bytes) -> Any:
    yield content[: len(content) // 3]
    raise httpx.RemoteProtocolError("peer closed connection")


def test_faults_that_stay_fail_the_window(land: Land, gateway: Gateway) -> None:
    gateway.replace_faults(Faults(html=1000))
    with pytest.raises(SourceUnavailable, match="not complete JSON"):
        land().raise_if_failed()


def test_the_daily_quota_ends_the_day(land: Land, gateway: Gateway) -> None:
    gateway.replace_limits(Limits(daily_quota=2))
    with pytest.raises(QuotaExhausted, match="00:00 GMT\\+8"):
        land().raise_if_failed()
    assert gateway.call_count == 3


def test_a_token_that_expires_within_the_window_is_renewed(
    settings: Settings, land: Land, gateway: Gateway, expected: set[str]
) -> None:
    calls = 0

    def cut(content: bytes) -> bytes:
        nonlocal calls
        calls += 1
        if calls == 2:
            gateway.tokens.expire()
        return content

    result = land(cut=cut)
    assert order_ids(settings, result) == expected
    assert result.failures == ()


def test_a_token_that_stays_refused_ends_with_the_next_step(land: Land, gateway: Gateway) -> None:
    gateway.replace_faults(Faults(token_expired=1000))
    with pytest.raises(AuthenticationFailed, match="authorise the app"):
        land().raise_if_failed()


def test_a_wrong_secret_is_refused_at_once(land: Land, gateway: Gateway) -> None:
    with pytest.raises(AuthenticationFailed, match="signature-invalid"):
        land(secret="wrong").raise_if_failed()
    assert gateway.call_count == 1


def test_a_machine_whose_clock_is_wrong_is_told(land: Land, book: OrderBook) -> None:
    skewed = Gateway(book, TEST_ACCESS, ShopClock(NOW), machine_seconds=lambda: 1.0)
    client = client_of(skewed, Sleeper(), TEST_ACCESS.app_secret)
    with pytest.raises(AuthenticationFailed, match="clock"):
        client.call("order.searchList", {})


def test_a_window_beyond_the_depth_fails_by_name_and_the_others_land(
    land: Land, window: Window
) -> None:
    # At 02:00 the platform shows 90 days, so the 90th day before is cut and refused as a whole.
    old = Window(window.end - timedelta(days=91), window.end - timedelta(days=87))
    result = land(asked=old)
    assert {"90 days" in failure.error.what for failure in result.failures} == {True}
    assert {"file drop" in failure.error.next_step for failure in result.failures} == {True}
    assert (len(result.failures), len(result.completed)) == (2, 2)


# --- odd records --------------------------------------------------------------------------------


def test_drift_lands_and_is_counted_and_what_is_broken_is_quarantined(
    settings: Settings, land: Land, gateway: Gateway, expected: set[str]
) -> None:
    first, second, third, fourth, fifth = sorted(expected)[:5]
    edits = [
        Edit(order_id=first, drop=["update_time"]),
        Edit(order_id=second, set={"order_status": 99}),
        Edit(order_id=third, set={"pay_amount": 12.5}),
        Edit(order_id=fourth, line=1, drop=["pay_amount"]),
        Edit(order_id=fifth, set={"brand_new_field": "x"}),
        Edit(order_id=fifth, line=1, set={"new_of_line": "y"}),
    ]
    gateway.replace_faults(Faults(edits=edits))
    (batch,) = land()
    assert batch.record_count == len(expected) - 4
    assert {one["order_id"]: one["_reasons"] for one in quarantined(settings, batch)} == {
        first: ["update_time: required, but missing"],
        second: ["order_status: '99' is not a documented status"],
        third: ["pay_amount: not a whole number"],
        fourth: ["sku_order_list.pay_amount: required, but missing"],
    }
    assert batch.unknown_fields == {"brand_new_field": 1, "sku_order_list.new_of_line": 1}


def test_an_order_without_buyer_and_with_odd_texts_lands(
    settings: Settings, land: Land, gateway: Gateway, expected: set[str]
) -> None:
    one = min(expected)
    texts = dict.fromkeys(("cancel_reason", "promise_info", "shop_name"), EMOJI)
    edits = [
        Edit(order_id=one, set={"doudian_open_id": "", **texts}),
        Edit(order_id=one, line=1, set={"product_name": EMOJI, "author_name": EMOJI}),
    ]
    gateway.replace_faults(Faults(edits=edits))
    record = next(r for r in records_of(settings, land()) if r["order_id"] == one)
    assert "doudian_open_id" not in record
    assert {record[name] for name in texts} == {EMOJI}
    assert record["sku_order_list"][0]["product_name"] == EMOJI


def test_an_order_of_ten_thousand_lines_lands(
    settings: Settings, land: Land, gateway: Gateway, expected: set[str]
) -> None:
    one = min(expected)
    trade = gateway._find_trade(one)
    order = gateway._orders(np.array([trade]), gateway._modified_at(np.array([trade])))[0]
    kept = ("item_num", "origin_amount", "sum_amount", "pay_amount", "product_id", "product_name")
    line = {name: order["sku_order_list"][0][name] for name in kept}
    many = [{**line, "order_id": str(int(one) + place)} for place in range(1, 10_001)]
    gateway.replace_faults(Faults(edits=[Edit(order_id=one, set={"sku_order_list": many})]))
    moment = datetime.fromtimestamp(order["update_time"], UTC)
    result = land(asked=Window(moment, moment + timedelta(seconds=1)))
    record = next(r for r in records_of(settings, result) if r["order_id"] == one)
    assert len({row["order_id"] for row in record["sku_order_list"]}) == 10_000


# --- over HTTP ----------------------------------------------------------------------------------


def test_over_http_with_the_connection_of_the_shops_own_app(
    settings: Settings, shop: Shop, vault: Vault, window: Window
) -> None:
    gateway = Gateway(OrderBook.sample(households=60), TEST_ACCESS, ShopClock(NOW))
    with PlatformServer(gateway) as server:
        credentials = Credentials(
            "regulars_demo_live",
            host=server.url,
            login=TEST_ACCESS.app_key,
            password=TEST_ACCESS.app_secret,
            extra={"shop_id": str(SHOP_ID)},
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
