"""Landing from Pinduoduo's gateway: a whole day in 48 windows, with the platform's faults."""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from regulars.credentials import Credentials
from regulars.errors import AuthenticationFailed, QuotaExhausted, SourceUnavailable
from regulars.landing import LandingResult, land_stream, read_batch
from regulars.records import BatchManifest, Window
from regulars.sandbox import disguise
from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import wall_seconds
from regulars.sandbox.faults import HttpError
from regulars.sandbox.platforms.pdd import Edit, PddFaults, PddGateway, PddLimits
from regulars.sandbox.platforms.pdd.protocol import three_months_before
from regulars.sandbox.platforms.pdd.wire import case_id, order_sn
from regulars.sandbox.protocol import PLATFORM_ZONE
from regulars.sandbox.server import PlatformServer
from regulars.settings import Settings
from regulars.shops import Shop
from regulars.sources.pdd_open import DEPTH_DAYS, PddOpen
from regulars.sources.pdd_open.auth import pdd_credentials
from regulars.sources.pdd_open.client import PddClient
from regulars.vault import Vault
from tests.landing.conftest import FixedClock
from tests.landing.files import quarantined, readable_bytes
from tests.sandbox.pdd_calls import MACHINE, NOW, client_of, connection, gateway
from tests.sources.gateway import Sleeper
from tests.sources.shops import demo_shop

Land = Callable[..., LandingResult]


@pytest.fixture(scope="module")
def book() -> OrderBook:
    return OrderBook.sample(households=250, until=date(2017, 10, 3))


@pytest.fixture
def gate(book: OrderBook) -> PddGateway:
    return gateway(book)


@pytest.fixture
def sleeper() -> Sleeper:
    return Sleeper()


@pytest.fixture
def shop() -> Shop:
    return demo_shop(
        shop="north_pdd",
        platform="pdd",
        source="pdd_open",
        connection="north_pdd",
        overlap_minutes=0,
    )


@pytest.fixture
def window(shop: Shop) -> Window:
    return Window(shop.day_start(date(2017, 10, 1)), shop.day_end(date(2017, 10, 1)))


@pytest.fixture
def hour(window: Window) -> Window:
    return Window(window.start + timedelta(hours=18), window.start + timedelta(hours=19))


@pytest.fixture
def land(gate: PddGateway, settings: Settings, shop: Shop, vault: Vault, sleeper: Sleeper) -> Land:
    def run(
        span: Window, stream: str = "orders", credentials: Credentials | None = None
    ) -> LandingResult:
        clock = FixedClock(NOW.astimezone(UTC))
        source = PddOpen(client_of(gate, sleeper, credentials), clock)
        return land_stream(
            settings,
            shop,
            stream,
            lambda connection_id: Credentials(connection_id),
            clock,
            span,
            vault,
            "night-1",
            lambda _: None,
            source=source,
        )

    return run


def shown(book: OrderBook, span: Window) -> list[int]:
    """Trades whose newest change lies in the window, as the quiet shop stands."""
    start, end = wall_seconds(span.start), wall_seconds(span.end)
    trades, _ = book.trade_events.modified_between(start, end, wall_seconds(NOW))
    return [int(trade) for trade in trades]


def sn_of(book: OrderBook, trade: int) -> str:
    return order_sn(int(book.basket[trade]), int(book.created[trade]))


def newest(settings: Settings, result: LandingResult, key: str) -> dict[str, dict[str, Any]]:
    """Landed records by number; those at the edge of two windows came twice, alike."""
    found: dict[str, dict[str, Any]] = {}
    for batch in result:
        for record in read_batch(settings, batch):
            known = found.setdefault(record[key], record)
            assert {**known, "_line": 0} == {**record, "_line": 0}
    return found


def totals(result: LandingResult) -> tuple[int, int, dict[str, int]]:
    unknown: dict[str, int] = {}
    for batch in result:
        for name, count in batch.unknown_fields.items():
            unknown[name] = unknown.get(name, 0) + count
    return (
        sum(batch.record_count for batch in result),
        sum(batch.quarantined_count for batch in result),
        unknown,
    )


def the_batch(result: LandingResult, settings: Settings, sn: str) -> BatchManifest:
    for batch in result:
        if any(record["order_sn"] == sn for record in read_batch(settings, batch)):
            return batch
    raise AssertionError("no batch holds the order")


# --- a whole day ------------------------------------------------------------------------------


@pytest.mark.parametrize("has_numbers", [False, True])
def test_a_day_of_orders_lands_with_the_books_counts_and_sums(
    settings: Settings,
    land: Land,
    gate: PddGateway,
    book: OrderBook,
    window: Window,
    has_numbers: bool,
) -> None:
    gate._style["has_numbers"] = has_numbers
    result = land(window)
    trades = shown(book, window)
    orders = newest(settings, result, "order_sn")
    assert len(trades) > 120
    assert set(orders) == {sn_of(book, trade) for trade in trades}
    assert result.failures == ()
    assert len(result.completed) == 48
    assert totals(result)[1:] == (0, {})
    paid = sum(Decimal(one["pay_amount"]) for one in orders.values())
    assert paid == Decimal(int(book.trade_paid[trades].sum())) / 100
    goods = sum(Decimal(one["goods_amount"]) for one in orders.values())
    assert goods == Decimal(int(book.trade_goods[trades].sum())) / 100
    items = sum(len(one["item_list"]) for one in orders.values())
    assert items == int((book.line_start[np.array(trades) + 1] - book.line_start[trades]).sum())


@pytest.mark.parametrize("options", [{}, {"has_unix_times": True}])
def test_a_day_of_refunds_lands_with_the_books_counts_and_sums(
    settings: Settings,
    land: Land,
    gate: PddGateway,
    book: OrderBook,
    window: Window,
    options: dict[str, bool],
) -> None:
    gate._style.update(options)
    result = land(window, "refunds")
    start, end = wall_seconds(window.start), wall_seconds(window.end)
    rows, _ = book.refund_events.modified_between(start, end, wall_seconds(NOW))
    cases = newest(settings, result, "id")
    assert len(rows) >= 3
    assert set(cases) == {str(case_id(int(book.refund_oid[row]))) for row in rows}
    assert all(int(one) > 2**53 for one in cases)
    assert totals(result)[1:] == (0, {})
    asked = sum(Decimal(one["refund_amount"]) for one in cases.values())
    assert asked == Decimal(int(book.refund_fee[rows].sum())) / 100
    times = [datetime.fromisoformat(one["updated_time"]) for one in cases.values()]
    assert all(moment.date() in (date(2017, 10, 1), date(2017, 10, 2)) for moment in times)


def test_no_contact_lands_in_plain_text_and_no_ciphertext_at_all(
    settings: Settings, land: Land, gate: PddGateway, book: OrderBook, window: Window
) -> None:
    trade = shown(book, window)[0]
    household = int(book.household[trade])
    # An app of old may still be given a plain phone, and people write theirs into any text.
    number = disguise.phone(household)
    edit = Edit(
        order_sn=sn_of(book, trade),
        set={
            "receiver_phone": number,
            "receiver_name": "王小明",
            "buyer_memo": f"打电话 {number}",
            "remark": "13812345678",
            "order_tag_list": [{"name": "tag", "value": "13812345678"}],
            "card_info_list": [{"card_no": "6222000011112222", "mask_password": "pw"}],
            "new_receiver_phone": "13812345678",
        },
    )
    gate.replace_faults(PddFaults(edits=[edit]))
    result = land(window)
    everything = readable_bytes(settings.landing_dir)
    for secret in (number, "13812345678", "王小明", "6222000011112222", "~AgAAAA"):
        assert secret.encode() not in everything
    record = newest(settings, result, "order_sn")[sn_of(book, trade)]
    assert record["receiver_phone_ref"]
    assert record["receiver_phone_hash"]
    assert (
        totals(result)[2] == {"new_receiver_phone": 1} or "new_receiver_phone" in totals(result)[2]
    )
    assert not any("buyer_id" in one or "open_uid" in one for one in record)


# --- bad input --------------------------------------------------------------------------------


def test_bad_orders_are_quarantined_by_name_and_new_fields_are_counted(
    settings: Settings, land: Land, gate: PddGateway, book: OrderBook, hour: Window
) -> None:
    sns = sorted(sn_of(book, trade) for trade in shown(book, hour))
    first, second, third, fourth, fifth = sns[:5]
    edits = [
        Edit(order_sn=first, set={"pay_amount": "12.345"}),
        Edit(order_sn=second, set={"order_status": 9}),
        Edit(order_sn=third, drop=["created_time"]),
        Edit(order_sn=fourth, item=1, set={"goods_count": "two"}),
        Edit(order_sn=fifth, set={"brand_new_field": "x"}, item=None),
        Edit(order_sn=fifth, item=1, set={"brand_new_member": "y"}),
    ]
    gate.replace_faults(PddFaults(edits=edits))
    result = land(hour)
    reasons = {
        one["order_sn"]: one["_reasons"]
        for batch in result
        if batch.quarantined_count
        for one in quarantined(settings, batch)
    }
    assert reasons == {
        first: ["pay_amount: more than two decimals"],
        second: ["order_status: '9' is not a documented status"],
        third: ["created_time: required, but missing"],
        fourth: ["item_list.goods_count: not a number"],
    }
    assert set(newest(settings, result, "order_sn")) == set(sns) - set(reasons)
    assert totals(result)[2] == {"brand_new_field": 1, "item_list.brand_new_member": 1}


def test_emoji_and_chinese_land_in_every_text(
    settings: Settings, land: Land, gate: PddGateway, book: OrderBook, hour: Window
) -> None:
    sn = sn_of(book, shown(book, hour)[0])
    text = '红茶 👨‍👩‍👧 & <茶>"\\ ²'
    texts = ("pay_type", "country", "province", "city", "town")
    item = dict.fromkeys(("goods_name", "goods_spec", "goods_img"), text)
    edits = [
        Edit(order_sn=sn, set=dict.fromkeys(texts, text)),
        Edit(order_sn=sn, item=1, set=item),
        Edit(order_sn=sn, set={"order_tag_list": [{"name": text, "value": text}]}),
    ]
    gate.replace_faults(PddFaults(edits=edits))
    result = land(hour)
    record = newest(settings, result, "order_sn")[sn]
    assert {record[name] for name in texts} == {text}
    assert {record["item_list"][0][name] for name in item} == {text}
    assert record["order_tag_list"] == [{"name": text, "value": text}]
    assert totals(result)[1:] == (0, {})


def test_an_order_of_ten_thousand_items_lands_whole(
    settings: Settings, land: Land, gate: PddGateway, book: OrderBook, hour: Window
) -> None:
    sn = sn_of(book, shown(book, hour)[0])
    items = [
        {"goods_id": n, "sku_id": n, "goods_price": "0.01", "goods_count": 1} for n in range(10_000)
    ]
    edit = Edit(order_sn=sn, set={"item_list": items, "pay_amount": "100.00"})
    gate.replace_faults(PddFaults(edits=[edit]))
    record = newest(settings, land(hour), "order_sn")[sn]
    assert len(record["item_list"]) == 10_000
    assert sum(Decimal(one["goods_price"]) for one in record["item_list"]) == 100


def test_an_order_updated_twice_within_a_second_lands_in_both_versions(
    settings: Settings, land: Land, gate: PddGateway, book: OrderBook, hour: Window
) -> None:
    sn = sn_of(book, shown(book, hour)[0])
    batches = []
    for tag in (1, 2):
        gate.replace_faults(PddFaults(edits=[Edit(order_sn=sn, set={"remark_tag": tag})]))
        batches.append(the_batch(land(hour), settings, sn))
    assert batches[0].batch_id != batches[1].batch_id
    found = [
        next(one for one in read_batch(settings, batch) if one["order_sn"] == sn)
        for batch in batches
    ]
    assert [one["remark_tag"] for one in found] == ["1", "2"]
    assert found[0]["updated_at"] == found[1]["updated_at"]


# --- faults -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faults", "waits"),
    [
        ({"truncate": 2}, [1.0, 2.0]),
        ({"html": 2}, [1.0, 2.0]),
        ({"busy": 2}, [1.0, 2.0]),
        ({"closed": 2}, [1.0, 2.0]),
        ({"too_often": 2}, [60.0, 60.0]),
        ({"http_error": {"calls": 2, "status": 429, "retry_after": 9}}, [9.0, 9.0]),
        ({"http_error": {"calls": 2, "status": 502}}, [1.0, 2.0]),
        ({"token_expired": 1}, []),
    ],
)
def test_passing_faults_pass(
    settings: Settings,
    land: Land,
    gate: PddGateway,
    sleeper: Sleeper,
    book: OrderBook,
    hour: Window,
    faults: dict[str, Any],
    waits: list[float],
) -> None:
    gate.replace_faults(PddFaults.model_validate(faults))
    result = land(hour)
    assert result.failures == ()
    assert set(newest(settings, result, "order_sn")) == {sn_of(book, t) for t in shown(book, hour)}
    assert sleeper.waits == waits


def test_a_token_that_expires_between_two_pages_is_renewed_and_the_window_goes_on(
    settings: Settings, land: Land, gate: PddGateway, book: OrderBook, window: Window
) -> None:
    answer, calls = gate.answer, []

    def counting(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 2:  # after the first window's count
            gate.faults.token_expired = 1
        return answer(*arguments)

    gate.answer = counting  # type: ignore[method-assign]
    result = land(window)
    assert result.failures == ()
    assert gate.access_token.endswith("-2")
    assert len(newest(settings, result, "order_sn")) == len(shown(book, window))


def test_without_a_refresh_token_the_next_step_is_named_at_once(
    land: Land, gate: PddGateway, window: Window
) -> None:
    gate.replace_faults(PddFaults(token_expired=1))
    bare = connection(refresh_token="")
    with pytest.raises(AuthenticationFailed, match="authorise the app again"):
        land(window, credentials=bare).raise_if_failed()
    assert gate.call_count == 1


def test_a_wrong_secret_is_refused_at_once(land: Land, gate: PddGateway, window: Window) -> None:
    wrong = Credentials("c", "http://pdd.test", "sandbox", "wrong", {"access_token": "t"})
    with pytest.raises(AuthenticationFailed, match="20004"):
        land(window, credentials=wrong).raise_if_failed()
    assert gate.call_count == 1


@pytest.mark.parametrize("off", [-660, 660])
def test_a_machine_whose_clock_is_off_is_told(
    book: OrderBook, land: Land, gate: PddGateway, window: Window, off: int
) -> None:
    gate._machine_seconds = lambda: MACHINE + off
    with pytest.raises(AuthenticationFailed, match="set this machine's clock"):
        land(window).raise_if_failed()
    assert gate.call_count == 1


def test_a_used_up_quota_ends_the_day_politely(
    land: Land, gate: PddGateway, window: Window
) -> None:
    gate.replace_limits(PddLimits(test_phase_calls=5))
    result = land(window)
    with pytest.raises(QuotaExhausted, match="70036"):
        result.raise_if_failed()
    assert gate.call_count == 6
    assert 1 <= len(result.completed) < 5
    assert len(result.completed) + len(result.failures) == 48


def test_faults_that_stay_fail_their_windows(land: Land, gate: PddGateway, window: Window) -> None:
    gate.replace_faults(PddFaults(http_error=HttpError(calls=10_000, status=503)))
    result = land(window)
    with pytest.raises(SourceUnavailable, match="HTTP 503"):
        result.raise_if_failed()
    assert len(result.failures) == 48


def test_over_http_with_the_connection_of_the_shop(
    settings: Settings, shop: Shop, vault: Vault, book: OrderBook, hour: Window
) -> None:
    gate = gateway(book, machine_seconds=None)
    with PlatformServer(gate) as server:
        result = land_stream(
            settings,
            shop,
            "orders",
            lambda _: connection(server.url),
            FixedClock(NOW.astimezone(UTC)),
            hour,
            vault,
            "night-1",
            lambda _: None,
        )
    assert result.failures == ()
    assert set(newest(settings, result, "order_sn")) == {sn_of(book, t) for t in shown(book, hour)}


def test_a_connection_cut_in_the_middle_of_an_answer_is_tried_again(
    settings: Settings, shop: Shop, vault: Vault, book: OrderBook, hour: Window, sleeper: Sleeper
) -> None:
    gate = gateway(book, machine_seconds=None)
    gate.replace_faults(PddFaults(cut=2))
    clock = FixedClock(NOW.astimezone(UTC))
    with PlatformServer(gate) as server:
        client = PddClient(pdd_credentials(connection(server.url)), sleep=sleeper)
        with closing(PddOpen(client, clock)) as source:
            result = land_stream(
                settings,
                shop,
                "orders",
                lambda connection_id: Credentials(connection_id),
                clock,
                hour,
                vault,
                "night-1",
                lambda _: None,
                source=source,
            )
    assert result.failures == ()
    assert sleeper.waits == [1.0, 2.0]
    assert set(newest(settings, result, "order_sn")) == {sn_of(book, t) for t in shown(book, hour)}


def test_tomorrow_is_not_asked(land: Land, gate: PddGateway, window: Window) -> None:
    ahead = NOW.astimezone(PLATFORM_ZONE) + timedelta(hours=1)
    assert tuple(land(Window(ahead, ahead + timedelta(days=1)))) == ()
    assert gate.call_count == 0


def test_an_order_older_than_the_depth_limit_does_not_land_and_fails_nothing(
    land: Land, gate: PddGateway, book: OrderBook, settings: Settings
) -> None:
    """The platform leaves out without a word what was dealt more than three months ago."""
    clock = wall_seconds(NOW)
    depth = three_months_before(clock)
    old = int(np.flatnonzero(book.paid < depth)[-1])
    young = int(np.flatnonzero((book.paid >= depth) & (book.paid < clock))[0])
    gate.clock.seconds = clock - 600
    gate.touch(old)
    gate.touch(young)
    gate.clock.seconds = clock
    result = land(Window(NOW - timedelta(minutes=30), NOW))
    assert result.failures == ()
    landed = {record["order_sn"] for batch in result for record in read_batch(settings, batch)}
    known = [order_sn(int(book.basket[t]), int(book.created[t])) for t in (old, young)]
    assert [sn in landed for sn in known] == [False, True]


def test_days_are_asked_and_missed_by_a_depth_that_the_platform_always_gives() -> None:
    """Whatever the present: what is asked for is there, what is not is named as lost."""
    for day in range(0, 4 * 365 + 1):
        clock = wall_seconds(NOW + timedelta(days=day))
        assert clock - (DEPTH_DAYS + 1) * 86_400 >= three_months_before(clock), day
