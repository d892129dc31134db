"""Landing a day of JD from the sandbox: exact counts and sums, bad input, and every fault."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import numpy as np
import pytest

from regulars.credentials import Credentials
from regulars.errors import AuthenticationFailed, QuotaExhausted, SourceError, SourceUnavailable
from regulars.landing import LandingResult, land_stream, read_batch
from regulars.records import Window
from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import ShopClock, wall_seconds
from regulars.sandbox.faults import HttpError
from regulars.sandbox.journey import Purchases
from regulars.sandbox.platforms.jd import Edit, Faults, Gateway, Tokens
from regulars.sandbox.platforms.jd.orders import order_events, order_ids
from regulars.sandbox.protocol import PLATFORM_ZONE, Access
from regulars.sandbox.server import PlatformServer
from regulars.settings import Settings
from regulars.shops import Shop
from regulars.sources.jd_jos import JdJos
from regulars.sources.jd_jos.auth import jd_credentials
from regulars.sources.jd_jos.client import JdClient
from regulars.vault import Vault
from tests.landing.conftest import FixedClock
from tests.landing.files import quarantined, readable_bytes
from tests.sources.gateway import Sleeper
from tests.sources.shops import demo_shop

ACCESS = Access("sandbox", "sandbox-secret", "sandbox-token")
NOW = datetime(2017, 10, 2, 2, 0, tzinfo=PLATFORM_ZONE)
MACHINE = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
DAY = date(2017, 10, 1)
WORLD = "张三丰🎉 ขอบคุณ 日本語 👩‍👩‍👧‍👦"

Land = Callable[..., LandingResult]


@pytest.fixture(scope="module")
def book() -> OrderBook:
    return OrderBook.sample(households=450, until=date(2017, 10, 3))


@pytest.fixture
def shop() -> Shop:
    return demo_shop(platform="jd", source="jd_jos", overlap_minutes=0)


@pytest.fixture
def gateway(book: OrderBook) -> Gateway:
    return gateway_of(book)


def gateway_of(book: OrderBook, **changes: Any) -> Gateway:
    return Gateway(
        book, ACCESS, ShopClock(NOW), machine_seconds=lambda: MACHINE.timestamp(), **changes
    )


def credentials(host: str = "http://jd.test", **extra: str) -> Credentials:
    given = {"access_token": ACCESS.session, **extra}
    return Credentials("regulars_jd", host, ACCESS.app_key, ACCESS.app_secret, given)


@pytest.fixture
def sleeper() -> Sleeper:
    return Sleeper()


@pytest.fixture
def land(gateway: Gateway, settings: Settings, shop: Shop, vault: Vault, sleeper: Sleeper) -> Land:
    def run(
        stream: str = "orders",
        given: Gateway = gateway,
        connection: Credentials | None = None,
        machine_now: datetime = MACHINE,
        day: date = DAY,
    ) -> LandingResult:
        def handle(request: httpx.Request) -> httpx.Response:
            form = dict(parse_qsl(request.content.decode(), keep_blank_values=True))
            if urlsplit(str(request.url)).path == "/oauth2/refresh_token":
                body = given.tokens.renew(form, MACHINE.timestamp())
                return httpx.Response(200, content=json.dumps(body))
            answer = given.answer(form)
            return httpx.Response(answer.status, content=answer.body, headers=answer.headers)

        client = JdClient(
            jd_credentials(connection or credentials()),
            transport=httpx.MockTransport(handle),
            sleep=sleeper,
            machine_now=lambda: machine_now,
        )
        clock = FixedClock(NOW.astimezone(UTC))
        window = Window(shop.day_start(day), shop.day_end(day))
        return land_stream(
            settings, shop, stream, lambda _: credentials(), clock, window, vault, "night-1",
            lambda _: None, source=JdJos(client, clock),
        )  # fmt: skip

    return run


def records_of(settings: Settings, result: LandingResult) -> list[dict[str, Any]]:
    return [record for batch in result for record in read_batch(settings, batch)]


def shown(book: OrderBook) -> np.ndarray[Any, Any]:
    """Orders that the quiet shop lists for the day."""
    start = wall_seconds(datetime(2017, 10, 1, tzinfo=PLATFORM_ZONE))
    orders, _ = order_events(book).modified_between(start, start + 86_400, wall_seconds(NOW))
    return orders


def numbers(book: OrderBook, orders: Any) -> list[str]:
    return [str(number) for number in order_ids(book.basket[orders]).tolist()]


def yuan(record: dict[str, Any], name: str) -> Decimal:
    return Decimal(record.get(name, "0"))


# --- a quiet day ----------------------------------------------------------------------------


def test_a_day_of_orders_lands_with_the_books_counts_and_sums(
    settings: Settings, land: Land, book: OrderBook
) -> None:
    result = land()
    (batch,) = result
    orders = shown(book)
    assert len(orders) > 120
    assert (batch.record_count, batch.quarantined_count) == (len(orders), 0)
    assert (batch.unknown_fields, result.failures) == ({}, ())
    records = records_of(settings, result)
    assert sorted(record["orderId"] for record in records) == sorted(numbers(book, orders))
    cards = sum(
        yuan(coupon, "couponPrice")
        for record in records
        for coupon in record.get("couponDetailList", [])
        if coupon["couponType"].startswith("52")
    )
    paid = sum(yuan(one, "orderPayment") + yuan(one, "balanceUsed") for one in records)
    assert paid + cards == Decimal(int(book.trade_paid[orders].sum())) / 100
    goods = Decimal(int(book.trade_goods[orders].sum())) / 100
    assert sum(yuan(one, "orderTotalPrice") for one in records) == goods
    lines = sum(len(one["itemInfoList"]) for one in records)
    assert lines == int((book.line_start[orders + 1] - book.line_start[orders]).sum())


def test_a_day_of_refunds_lands_with_the_books_counts_and_sums(
    settings: Settings, land: Land
) -> None:
    book = OrderBook.sample(households=1500, until=date(2017, 10, 3))
    gateway = gateway_of(book)
    (batch,) = land("refunds", gateway)
    assert (batch.quarantined_count, batch.unknown_fields) == (0, {})
    records = list(read_batch(settings, batch))
    services, clock = gateway._services, wall_seconds(NOW)
    start = wall_seconds(datetime(2017, 10, 1, tzinfo=PLATFORM_ZONE))
    ended = book.refund_ended[services.rows]
    done = [
        place
        for place in range(len(services.rows))
        if services.status(place, clock) == 13 and start <= ended[place] <= start + 86_400
    ]
    landed = {one["serviceId"]: one for one in records if one["status"] == "13"}
    assert set(landed) == {str(services.ids[place]) for place in done}
    assert len(done) > 3
    fees = Decimal(int(book.refund_fee[services.rows[done]].sum())) / 100
    assert sum(yuan(one, "actualRefundAmount") for one in landed.values()) == fees
    others = {one["status"] for one in records} - {"13"}
    assert others == {"10", "14"}


def test_no_contact_and_no_ciphertext_lands_in_plain_text(
    settings: Settings, land: Land, gateway: Gateway, vault: Vault
) -> None:
    cipher = "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9v"
    consignee = {
        "fullname": "王小明",
        "mobile": "13912345678",
        "telephone": "13912345679",
        "fullAddress": "上海市张杨路一号",
        "encrypt_mobile": cipher,
        "idCard": "canary-of-a-card",
    }
    changes = {"consigneeInfo": consignee, "pin": "canary-account"}
    gateway.replace_faults(
        Faults(edits=[Edit(set=changes), Edit(line=1, set={"skuName": "call 13912345678"})])
    )
    result = land()
    assert result.failures == ()
    record = records_of(settings, result)[0]
    vault.close()
    assert record["mobile_masked"] == "139****5678"
    assert record["itemInfoList"][0]["skuName"] == "call 139****5678"
    content = readable_bytes(settings.data_dir)
    for plain in ("13912345678", "13912345679", "王小明", "张杨路一号", cipher, "canary"):
        assert plain.encode() not in content


# --- odd input ------------------------------------------------------------------------------


def test_emoji_and_han_survive_in_every_text(
    settings: Settings, land: Land, gateway: Gateway
) -> None:
    names = ("orderStateRemark", "orderType", "payType", "orderSource", "storeOrder")
    gateway.replace_faults(
        Faults(
            edits=[
                Edit(set=dict.fromkeys(names, WORLD)),
                Edit(line=1, set={"skuName": WORLD, "serviceName": WORLD}),
            ]
        )
    )
    (batch,) = land()
    assert batch.quarantined_count == 0
    for record in read_batch(settings, batch):
        assert {record[name] for name in names} == {WORLD}
        first = record["itemInfoList"][0]
        assert first["skuName"] == first["serviceName"] == WORLD


def test_an_order_without_a_buyer_lands(settings: Settings, land: Land, gateway: Gateway) -> None:
    gateway.replace_faults(Faults(edits=[Edit(set={"open_id_buyer": "", "xid_buyer": None})]))
    (batch,) = land()
    assert batch.quarantined_count == 0
    assert "open_id_buyer" not in next(read_batch(settings, batch))


def test_drift_is_counted_and_what_cannot_be_used_is_quarantined_by_name(
    settings: Settings, land: Land, gateway: Gateway, book: OrderBook
) -> None:
    first, second, third, fourth, fifth, sixth = numbers(book, shown(book))[:6]
    edits = [
        Edit(order_id=first, set={"orderPayment": "12.345"}),
        Edit(order_id=second, set={"orderState": "ORDER_ON_THE_MOON"}),
        Edit(order_id=third, drop=["orderStartTime"]),
        Edit(order_id=fourth, line=1, drop=["skuId"]),
        Edit(order_id=fifth, set={"itemInfoList": []}),
        Edit(order_id=sixth, set={"brandNewMember": "x"}),
    ]
    gateway.replace_faults(Faults(edits=edits))
    (batch,) = land()
    assert batch.record_count == len(shown(book)) - 5
    assert {one["orderId"]: one["_reasons"] for one in quarantined(settings, batch)} == {
        first: ["orderPayment: more than two decimals"],
        second: ["orderState: 'ORDER_ON_THE_MOON' is not a documented orderState"],
        third: ["orderStartTime: required, but missing"],
        fourth: ["itemInfoList.skuId: required, but missing"],
        fifth: ["itemInfoList: required, but missing"],
    }
    assert batch.unknown_fields == {"brandNewMember": 1}


def test_states_land_under_their_aliases_too(
    settings: Settings, land: Land, gateway: Gateway, book: OrderBook
) -> None:
    (first, *_) = numbers(book, shown(book))
    gateway.replace_faults(Faults(edits=[Edit(order_id=first, set={"orderState": "WanCheng"})]))
    states = {one["orderId"]: one["orderState"] for one in records_of(settings, land())}
    assert states[first] == "WanCheng"


def test_an_order_that_changes_twice_within_a_second_lands_as_it_is_last(
    settings: Settings, land: Land, gateway: Gateway, book: OrderBook
) -> None:
    (first, *_) = numbers(book, shown(book))
    before = {one["orderId"]: one for one in records_of(settings, land())}[first]
    # The state changes, the second of the modification does not.
    gateway.replace_faults(Faults(edits=[Edit(order_id=first, set={"orderState": "LOCKED"})]))
    after = {one["orderId"]: one for one in records_of(settings, land())}[first]
    assert (before["modified"], "LOCKED") == (after["modified"], after["orderState"])
    assert before["orderState"] != "LOCKED"


def test_an_order_of_ten_thousand_lines_lands_whole(settings: Settings, land: Land) -> None:
    count = 10_000
    created = wall_seconds(datetime(2017, 10, 1, 23, 0, tzinfo=PLATFORM_ZONE))
    ones = np.ones(count, dtype=np.int64)
    purchases = Purchases.ordered(
        basket=ones * 31_000_000_000, household=ones, store=ones, quantity=ones * 2,
        product=np.arange(count, dtype=np.int64) + 1, created=ones * created,
        sales=np.arange(count, dtype=np.int64) * 2 + 2, retail_discount=ones * 0,
        coupon_discount=ones * 0, match_discount=ones * 0,
    )  # fmt: skip
    book = OrderBook.build(purchases)
    (record,) = records_of(settings, land(given=gateway_of(book)))
    assert len(record["itemInfoList"]) == count
    total = sum(yuan(one, "jdPrice") * int(one["itemTotal"]) for one in record["itemInfoList"])
    assert total == yuan(record, "orderTotalPrice") == Decimal(int(book.trade_paid[0])) / 100


def test_a_day_deeper_than_three_months_is_refused_and_an_old_order_comes_when_it_changes(
    settings: Settings, land: Land, gateway: Gateway
) -> None:
    with pytest.raises(SourceError, match="three months"):
        land(day=date(2017, 7, 1)).raise_if_failed()
    gateway.clock.seconds = wall_seconds(datetime(2017, 10, 1, 12, tzinfo=PLATFORM_ZONE))
    gateway.touch(0)
    gateway.clock.seconds = wall_seconds(NOW)
    (oldest,) = numbers(gateway.book, [0])
    assert oldest in {one["orderId"] for one in records_of(settings, land())}


# --- faults ---------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", ["orders", "refunds"])
@pytest.mark.parametrize(
    "faults", [{"truncate": 2}, {"html": 2}, {"system_busy": 2}, {"failed": 2}]
)
def test_passing_faults_pass(
    settings: Settings, land: Land, gateway: Gateway, stream: str, faults: dict[str, Any]
) -> None:
    quiet = records_of(settings, land(stream))
    gateway.replace_faults(Faults.model_validate(faults))
    result = land(stream)
    assert result.failures == ()
    assert records_of(settings, result) == quiet


def test_a_throttle_is_waited_out_for_its_seconds(
    land: Land, gateway: Gateway, sleeper: Sleeper
) -> None:
    gateway.replace_faults(Faults(http_error=HttpError(calls=2, status=429, retry_after=5)))
    assert land().failures == ()
    assert sleeper.waits == [5.0, 5.0]


def test_faults_that_stay_fail_the_window(land: Land, gateway: Gateway) -> None:
    gateway.replace_faults(Faults(truncate=1000))
    with pytest.raises(SourceUnavailable, match="not complete JSON"):
        land().raise_if_failed()


def test_an_amount_that_stays_unknown_is_asked_for_again(
    settings: Settings, land: Land, gateway: Gateway
) -> None:
    records = records_of(settings, land("refunds"))
    first = next(one["serviceId"] for one in records if one["status"] == "13")
    del gateway._services.place[int(first)]
    assert len(records_of(settings, land("refunds"))) == len(records)  # the list tells it, too
    gateway.replace_faults(Faults(edits=[Edit(service_id=first, drop=["refoundAmount"])]))
    result = land("refunds")
    assert len(records_of(settings, result)) == len(records) - 1
    with pytest.raises(SourceUnavailable, match="could not be read"):
        result.raise_if_failed()


def test_the_daily_quota_ends_the_day(land: Land, book: OrderBook) -> None:
    with pytest.raises(QuotaExhausted, match="00:00 GMT\\+8"):
        land(given=gateway_of(book, daily_quota=2)).raise_if_failed()


def test_a_wrong_secret_is_refused_at_once(land: Land, gateway: Gateway) -> None:
    wrong = Credentials("c", "http://jd.test", ACCESS.app_key, "x", {"access_token": "t"})
    with pytest.raises(AuthenticationFailed, match="code 12"):
        land(connection=wrong).raise_if_failed()
    assert gateway.call_count == 1


@pytest.mark.parametrize("minutes", [-7, 7])
def test_a_machine_whose_clock_is_wrong_is_told_so(land: Land, minutes: int) -> None:
    with pytest.raises(AuthenticationFailed, match="set this machine's clock"):
        land(machine_now=MACHINE + timedelta(minutes=minutes)).raise_if_failed()


def test_a_clock_within_six_minutes_is_good_enough(land: Land) -> None:
    assert land(machine_now=MACHINE + timedelta(minutes=6)).failures == ()


def test_a_token_refused_in_the_middle_of_a_window_is_renewed_and_nothing_is_lost(
    settings: Settings, land: Land, book: OrderBook
) -> None:
    hours = 5
    tokens = Tokens(ACCESS, "refresh", MACHINE.timestamp() + hours * 3600)
    given = gateway_of(book, tokens=tokens)
    calls = 0
    answered = given.answer

    def expiring(parameters: dict[str, str]) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            given.faults.token_expired = 1
        return answered(parameters)

    given.answer = expiring  # type: ignore[method-assign]
    result = land(given=given, connection=credentials(refresh_token="refresh"))
    assert result.failures == ()
    assert tokens.current != ACCESS.session
    assert len(records_of(settings, result)) == len(shown(book))


@pytest.mark.parametrize("extra", [{}, {"refresh_token": "refresh"}])
def test_an_expired_token_asks_for_a_new_authorisation(
    land: Land, book: OrderBook, extra: dict[str, str]
) -> None:
    given = gateway_of(book, tokens=Tokens(ACCESS, "refresh", MACHINE.timestamp()))
    with pytest.raises(AuthenticationFailed, match="authorise the app again"):
        land(given=given, connection=credentials(**extra)).raise_if_failed()


def test_a_token_that_ends_today_is_renewed_before_it_does(land: Land, book: OrderBook) -> None:
    expires = MACHINE + timedelta(hours=3)
    given = gateway_of(book, tokens=Tokens(ACCESS, "refresh", expires.timestamp()))
    extra = {"refresh_token": "refresh", "token_expires_at": expires.isoformat()}
    assert land(given=given, connection=credentials(**extra)).failures == ()
    assert given.tokens.current != ACCESS.session


# --- over HTTP ------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", ["orders", "refunds"])
def test_over_http_with_the_connection_of_the_shop(
    settings: Settings, shop: Shop, vault: Vault, stream: str
) -> None:
    gateway = Gateway(OrderBook.sample(households=60), ACCESS, ShopClock(NOW))
    with PlatformServer(gateway) as server:
        connection = credentials(server.url)
        window = Window(shop.day_start(DAY), shop.day_end(DAY))
        clock = FixedClock(NOW.astimezone(UTC))
        result = land_stream(
            settings, shop, stream, lambda _: connection, clock, window, vault, "night-1",
            lambda _: None,
        )  # fmt: skip
    assert result.failures == ()
    assert sum(batch.record_count for batch in result) > 0


def test_a_connection_that_breaks_in_the_middle_is_opened_again(sleeper: Sleeper) -> None:
    gateway = Gateway(OrderBook.sample(households=60), ACCESS, ShopClock(NOW))
    gateway.replace_faults(Faults(cut=2))
    with PlatformServer(gateway) as server:
        client = JdClient(jd_credentials(credentials(server.url)), sleep=sleeper)
        source = JdJos(client, FixedClock(NOW.astimezone(UTC)))
        shop = demo_shop(platform="jd", source="jd_jos")
        window = Window(shop.day_start(DAY), shop.day_end(DAY))
        records = list(source.iter_records(shop, "orders", window))
        source.close()
    assert len(records) > 10
    assert sleeper.waits == [1.0, 2.0]
