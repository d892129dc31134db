"""Orders and refunds read from the sandbox's shop, whatever moves or fails meanwhile."""

import dataclasses
import json
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regulars.errors import AuthenticationFailed, SchemaChanged, SourceError
from regulars.records import RawRecord, Window
from regulars.sandbox.book import OrderBook
from regulars.sandbox.faults import HttpError
from regulars.sandbox.platforms.shopify import (
    ShopifyEdit,
    ShopifyFaults,
    ShopifyLimits,
    ShopifyThrottle,
    orders,
)
from regulars.sandbox.platforms.shopify.orders import is_foreign, is_guest
from regulars.sources import depth_days, depth_of
from regulars.sources.calling import RetryPolicy
from regulars.sources.shopify_admin import queries, streams
from regulars.sources.shopify_admin.flatten import number_of
from regulars.sources.shopify_admin.payload import ORDERS, REFUNDS
from regulars.sources.shopify_admin.spans import BulkSpan
from tests.sources.shopify_shop import DAY, NOW, MemoryShop, ids_of, shopify_shop


@pytest.fixture(scope="module")
def book() -> OrderBook:
    return OrderBook.sample(households=70, until=date(2017, 10, 3))


@pytest.fixture
def shop(book: OrderBook) -> MemoryShop:
    return MemoryShop(book)


def one_order(book: OrderBook, lines: int) -> OrderBook:
    """The book's first trade alone, with its first line repeated ``lines`` times."""
    picked = {field.name: getattr(book, field.name) for field in dataclasses.fields(book)}
    for name, values in picked.items():
        if name in ("article", "article_title"):
            continue
        if name == "line_start":
            picked[name] = np.array([0, lines])
        elif name.startswith("line_"):
            picked[name] = np.repeat(values[:1], lines)
        elif name.startswith("refund_"):
            picked[name] = values[:0]
        else:
            picked[name] = values[-1:]
    return OrderBook(**picked)


def test_a_day_of_orders_comes_whole(shop: MemoryShop) -> None:
    records = shop.read()
    assert len(records) > 30
    assert sorted(ids_of(records)) == sorted(shop.ids())
    for record in records:
        assert ORDERS.check(record.payload).reasons == []


def test_the_money_of_a_day_is_the_books(shop: MemoryShop, book: OrderBook) -> None:
    rows = {str(row.order): row.trade for row in shop.rows()}
    for record in shop.read():
        payload = record.payload
        trade = rows[payload["legacy_resource_id"]]
        paid = Decimal(int(book.trade_paid[trade])) / 100
        assert Decimal(payload["total_price_set"]) == paid
        goods = sum(Decimal(line["original_total_set"]) for line in payload["line_items"])
        given = sum(Decimal(one["allocated_amount_set"]) for one in payload["discount_allocations"])
        assert goods - given == paid
        assert payload["currency_code"] == "CNY"


def test_the_buyers_currency_stands_beside_the_shops_and_is_never_mixed(
    shop: MemoryShop, book: OrderBook
) -> None:
    rows = {str(row.order): row.trade for row in shop.rows()}
    foreign = 0
    for record in shop.read():
        payload = record.payload
        household = int(book.household[rows[payload["legacy_resource_id"]]])
        if is_foreign(household):
            foreign += 1
            assert payload["presentment_currency_code"] == "USD"
            if payload["total_price_set"] != "0.0":
                assert payload["total_price_set_presentment"] != payload["total_price_set"]
    assert foreign


def test_money_in_another_currency_than_the_orders_is_quarantined(shop: MemoryShop) -> None:
    gid = shop.gids()[0]
    euro = {"shopMoney": {"amount": "1.0", "currencyCode": "EUR"}}
    shop.gateway.faults = ShopifyFaults(edits=[ShopifyEdit(gid=gid, set={"totalTaxSet": euro})])
    reasons = [ORDERS.check(record.payload).reasons for record in shop.read()]
    assert [one for one in reasons if one] == [["total_tax_set: not a number"]]


def test_a_guest_has_no_customer(shop: MemoryShop, book: OrderBook) -> None:
    rows = {str(row.order): row.trade for row in shop.rows()}
    guests = [
        record
        for record in shop.read()
        if is_guest(int(book.basket[rows[record.payload["legacy_resource_id"]]]))
    ]
    assert guests
    for record in guests:
        checked = ORDERS.check(record.payload)
        assert checked.reasons == []
        assert "customer_legacy_resource_id" not in checked.values
        assert checked.values["retail_location_legacy_resource_id"]


def test_customer_data_that_the_platform_protects_is_left_out(shop: MemoryShop) -> None:
    whole = shop.read()
    shop.gateway.faults = ShopifyFaults(protected_data=True)
    records = shop.read()
    assert ids_of(records) == ids_of(whole)
    for record in records:
        assert "email" not in ORDERS.check(record.payload).values
        assert "shipping_address_name" not in record.payload
        assert ORDERS.check(record.payload).reasons == []
    # Who bought is known all the same.
    buyers = [
        [one.payload.get("customer_legacy_resource_id") for one in some]
        for some in (records, whole)
    ]
    assert buyers[0] == buyers[1]
    assert any(buyers[0])


@pytest.mark.slow
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(touched=st.integers(0, 60), tick=st.integers(0, 900), page=st.integers(2, 25))
def test_orders_that_move_between_pages_are_not_lost(
    book: OrderBook, touched: int, tick: int, page: int
) -> None:
    shop = MemoryShop(book, limits=ShopifyLimits(paging_depth=30))
    expected = shop.ids()
    shop.gateway.faults = ShopifyFaults(
        touch_after_page=touched, tick_seconds=tick, position_cursors=True
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "_LIST_SIZE", page)
        found = ids_of(shop.read())
    assert shop.ids() <= set(found) <= expected  # what stayed is there, and nothing else


def test_a_reader_that_trusts_cursors_loses_orders_where_they_are_positions(
    shop: MemoryShop,
) -> None:
    shop.gateway.faults = ShopifyFaults(touch_after_page=7, position_cursors=True)
    query = """query Naive($after: String) {
        orders(first: 10, after: $after, sortKey: UPDATED_AT, query: "updated_at:>='%s' "
        ) { nodes { id } pageInfo { hasNextPage endCursor } } }"""
    bounds = "2017-09-30T16:00:00Z' updated_at:<'2017-10-01T16:00:00Z"
    found: set[str] = set()
    after = None
    while True:
        page = shop.client.call(query % bounds, {"after": after})["orders"]
        found |= {one["id"].rpartition("/")[2] for one in page["nodes"]}
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert shop.ids() - found


def test_a_list_longer_than_the_paging_depth_comes_whole(
    book: OrderBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_LIST_SIZE", 15)
    shop = MemoryShop(book, limits=ShopifyLimits(paging_depth=20))
    assert len(shop.ids()) > 30
    assert sorted(ids_of(shop.read())) == sorted(shop.ids())


def test_queries_grow_to_what_one_may_cost(shop: MemoryShop) -> None:
    shop.read()
    # 604 points for the first four orders, then six for 906, which is more than the budget of 900.
    assert shop.source._orders._orders.batch.size == 5
    assert shop.queries.count("ReadOrders") < len(shop.ids()) / 4


def test_a_query_that_became_too_expensive_is_asked_in_halves(book: OrderBook) -> None:
    shop = MemoryShop(book, limits=ShopifyLimits(largest_query=260))
    assert sorted(ids_of(shop.read())) == sorted(shop.ids())
    assert shop.source._orders._orders.batch.size == 1


def test_one_order_that_costs_too_much_ends_the_stream(book: OrderBook) -> None:
    shop = MemoryShop(book, limits=ShopifyLimits(largest_query=100))
    with pytest.raises(SchemaChanged, match="one object alone costs more"):
        shop.read()


def test_a_small_bucket_is_waited_for_and_nobody_is_throttled(book: OrderBook) -> None:
    shop = MemoryShop(book, limits=ShopifyLimits(restore_rate=100, bucket=2000))
    assert sorted(ids_of(shop.read())) == sorted(shop.ids())
    assert shop.time.waits
    refused = shop.gateway.call_count - len(shop.queries)
    assert refused == 0
    assert all(wait < 30 for wait in shop.time.waits)


@pytest.mark.parametrize("status", [200, 429])
def test_a_throttle_is_waited_out(shop: MemoryShop, status: Any) -> None:
    shop.gateway.faults = ShopifyFaults(throttle=ShopifyThrottle(calls=2, status=status))
    assert sorted(ids_of(shop.read())) == sorted(shop.ids())
    assert shop.time.waits[:2] == [1.0, 1.0]


@pytest.mark.parametrize(
    "faults",
    [
        {"truncate": 2},
        {"html": 2},
        {"internal_error": 2},
        {"http_error": HttpError(calls=2, status=503)},
        {"http_error": HttpError(calls=2, status=429, retry_after=3)},
    ],
)
def test_passing_faults_pass(shop: MemoryShop, faults: dict[str, Any]) -> None:
    shop.gateway.faults = ShopifyFaults(**faults)
    assert sorted(ids_of(shop.read())) == sorted(shop.ids())
    assert len(shop.time.waits) == 2


def test_a_token_that_is_withdrawn_in_the_middle_ends_the_window(shop: MemoryShop) -> None:
    records = shop.source.iter_records(shopify_shop(), "orders", DAY)
    next(records)
    shop.gateway.faults = ShopifyFaults(token_expired=1)
    with pytest.raises(AuthenticationFailed, match="put its Admin API access token"):
        list(records)


def test_one_unreadable_order_does_not_cost_the_others(book: OrderBook) -> None:
    shop = MemoryShop(book, policy=RetryPolicy(attempts=2))
    poisoned = shop.gids()[7]
    shop.gateway.faults = ShopifyFaults(poisoned=[poisoned])
    records = shop.read()
    (bad,) = [record for record in records if record.defect]
    assert bad.position == f"order {poisoned.rpartition('/')[2]}"
    assert "INTERNAL_SERVER_ERROR" in str(bad.defect)
    good = [record for record in records if not record.defect]
    assert len(good) == len(shop.ids()) - 1


@pytest.mark.slow
def test_an_order_of_ten_thousand_lines_comes_whole(book: OrderBook) -> None:
    shop = MemoryShop(one_order(book, 10_000))
    created = int(shop.gateway.book.created[0])
    shop.clock.seconds = created + 1
    start = shop.now().replace(microsecond=0) - timedelta(minutes=5)
    (record,) = shop.read(window=Window(start, start + timedelta(hours=1)))
    lines = record.payload["line_items"]
    assert len({line["id"] for line in lines}) == len(lines) == 10_000
    assert ORDERS.check(record.payload).reasons == []


def test_an_order_that_moves_while_its_lines_are_paged_is_read_anew(shop: MemoryShop) -> None:
    long = next(row for row in shop.rows() if _lines(shop, row.trade) > 20)
    moves = {"left": 2}
    handle = shop.gateway.answer

    def moving(version: str, headers: Any, body: bytes, base: str = "") -> Any:
        if b"ReadLines" in body and moves["left"]:
            moves["left"] -= 1
            shop.gateway.orders.touch(long.trade)
            shop.clock.tick(1)
        return handle(version, headers, body, base)

    shop.gateway.answer = moving  # type: ignore[method-assign]
    record = next(iter(shop.source._orders.by_id([f"gid://shopify/Order/{long.order}"])))
    assert record.defect is None
    assert len(record.payload["line_items"]) == _lines(shop, long.trade)
    assert moves["left"] == 0
    assert record.payload["updated_at"] > "2017-10-01T16:00:00Z"


def test_an_order_that_never_stands_still_is_a_defect(shop: MemoryShop) -> None:
    long = next(row for row in shop.rows() if _lines(shop, row.trade) > 20)
    handle = shop.gateway.answer

    def moving(version: str, headers: Any, body: bytes, base: str = "") -> Any:
        if b"ReadLines" in body:
            shop.gateway.orders.touch(long.trade)
            shop.clock.tick(1)
        return handle(version, headers, body, base)

    shop.gateway.answer = moving  # type: ignore[method-assign]
    record = next(iter(shop.source._orders.by_id([f"gid://shopify/Order/{long.order}"])))
    assert record.defect == "changed faster than its lists could be read"


def _lines(shop: MemoryShop, trade: int) -> int:
    starts = shop.gateway.book.line_start
    return int(starts[trade + 1] - starts[trade])


def test_an_order_updated_twice_in_one_second_comes_once_as_it_is_at_last(
    shop: MemoryShop,
) -> None:
    trade = shop.rows()[0].trade
    shop.gateway.orders.touch(trade)
    shop.gateway.orders.touch(trade)
    moment = shop.now()
    shop.clock.tick(300)
    window = Window(moment, moment + timedelta(seconds=1))
    assert len(shop.read(window=window)) == len(shop.rows(window)) == 1


def test_an_order_that_is_deleted_between_list_and_reading_is_left_out(shop: MemoryShop) -> None:
    gone = "gid://shopify/Order/4000000000001"
    records = list(shop.source._orders.by_id([gone, shop.gids()[0]]))
    assert ids_of(records) == [shop.gids()[0].rpartition("/")[2]]


def test_unknown_filters_are_noticed(shop: MemoryShop) -> None:
    shop.gateway.faults = ShopifyFaults(ignored_filters=["updated_at"])
    with pytest.raises(SchemaChanged, match="ignores the search by updated_at"):
        shop.read()


def test_a_vanished_member_of_the_schema_ends_the_stream(
    shop: MemoryShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = queries.READ_SCOPES.replace("handle", "handel")
    monkeypatch.setattr(queries, "READ_SCOPES", text)
    with pytest.raises(SchemaChanged, match="undefinedField"):
        shop.read()


# --- scopes and depth -------------------------------------------------------------------------


def test_without_read_all_orders_an_old_window_is_refused_by_name(book: OrderBook) -> None:
    shop = MemoryShop(book, scopes=("read_orders",))
    old = Window(NOW - timedelta(days=61), NOW - timedelta(days=60))
    with pytest.raises(SourceError, match="read_all_orders") as raised:
        shop.read(window=old)
    assert "api_from" in raised.value.next_step
    assert shop.read()  # the last sixty days are there


def test_without_read_all_orders_older_orders_are_absent_even_when_updated(
    book: OrderBook,
) -> None:
    whole, cut = MemoryShop(book), MemoryShop(book, scopes=("read_orders",))
    old = int(np.flatnonzero(book.created < whole.clock.seconds - 61 * 86_400)[0])
    moment = whole.now()
    window = Window(moment, moment + timedelta(seconds=1))
    for shop in (whole, cut):
        shop.gateway.orders.touch(old)
        shop.clock.tick(300)
    assert len(whole.read(window=window)) == 1
    assert cut.read(window=window) == []


def test_with_read_all_orders_an_old_window_is_read(shop: MemoryShop) -> None:
    start = NOW - timedelta(days=200)
    window = Window(start, start + timedelta(days=1))
    assert sorted(ids_of(shop.read(window=window))) == sorted(shop.ids(window))


def test_an_app_that_may_not_read_orders_is_told_so(book: OrderBook) -> None:
    shop = MemoryShop(book, scopes=("read_products",))
    with pytest.raises(AuthenticationFailed, match="grant the scope read_orders"):
        shop.read()


# --- refunds ----------------------------------------------------------------------------------


@pytest.fixture
def week() -> Window:
    return Window(NOW - timedelta(days=1), NOW - timedelta(minutes=5))


def test_the_refunds_of_updated_orders_come_whole(shop: MemoryShop, week: Window) -> None:
    expected = {
        refund["legacyResourceId"]: refund["totalRefundedSet"]["shopMoney"]["amount"]
        for row in shop.rows(week)
        for trade in [shop.gateway.orders.trade(row.trade, row.modified)]
        for refund in (trade.refund(one) for one in trade.refund_rows)
    }
    records = shop.read("refunds", week)
    assert expected
    assert {
        record.payload["legacy_resource_id"]: record.payload["total_refunded_set"]
        for record in records
    } == expected
    for record in records:
        assert REFUNDS.check(record.payload).reasons == []
        assert record.payload["order_legacy_resource_id"]
        assert record.payload["refund_line_items"][0]["line_item_id"]


def test_the_parts_of_an_order_with_many_refunds_are_all_read(
    book: OrderBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = MemoryShop(book)
    row = next(r for r in shop.rows() if shop.gateway.orders.trade(r.trade, 0).refund_rows)
    trade = shop.gateway.orders.trade(row.trade, row.modified)
    refund = trade.refund(trade.refund_rows[0])
    many = [{**refund, "id": refund["id"]} for _ in range(30)]
    monkeypatch.setitem(orders._ORDER, "refunds", lambda one: many)
    records = list(shop.source._refunds.of_orders([f"gid://shopify/Order/{row.order}"]))
    assert len(records) == 30  # twenty-five first, then asked for again


@pytest.fixture
def refunded(shop: MemoryShop) -> tuple[str, dict[str, Any]]:
    """An order with a refund: its id, and the refund."""
    row = next(r for r in shop.rows() if shop.gateway.orders.trade(r.trade, 0).refund_rows)
    trade = shop.gateway.orders.trade(row.trade, row.modified)
    return f"gid://shopify/Order/{row.order}", trade.refund(trade.refund_rows[0])


@pytest.mark.parametrize("count", [249, 251, 600, 897])
def test_refunds_beyond_one_page_are_asked_for_until_all_have_come(
    shop: MemoryShop,
    refunded: tuple[str, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    count: int,
) -> None:
    order, refund = refunded
    monkeypatch.setitem(orders._ORDER, "refunds", lambda one: [refund] * count)
    defects: list[RawRecord] = []
    assert len(list(shop.source._refunds._ids([order], defects))) == count
    assert defects == []


@pytest.mark.parametrize(
    ("count", "given", "largest_query", "landed"),
    [
        # One query may not ask for more than 900 points' worth.
        (898, 898, 1_000, 898),
        # A platform that never gives more than 250, whatever is asked.
        (1_200, 250, 1_000, 250),
        (250, 250, 1_000, 250),
        # One that refuses to be asked for more.
        (1_200, 1_200, 300, 250),
    ],
)
def test_refunds_that_cannot_all_be_asked_for_are_named_and_the_others_come(
    book: OrderBook,
    refunded: tuple[str, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    given: int,
    largest_query: int,
    landed: int,
) -> None:
    shop = MemoryShop(book, limits=ShopifyLimits(largest_query=largest_query))
    order, refund = refunded
    monkeypatch.setitem(orders._ORDER, "refunds", lambda one: [refund] * min(count, given))
    monkeypatch.setattr(shop.source._refunds._few.batch, "size", 1)
    defects: list[RawRecord] = []
    assert len(list(shop.source._refunds._ids([order], defects))) == landed
    (bad,) = defects
    assert bad.defect == f"{landed} refunds or more: not all listed"
    # The platform's list has no cursor: to ask for the window again would never find more.
    assert bad.is_final
    assert bad.payload == {"order_id": number_of(order)}


@pytest.mark.parametrize(
    ("name", "count"), [("transactions", 298), ("fulfillments", 600), ("fulfillments", 890)]
)
@pytest.mark.parametrize("is_bulk", [False, True])
def test_an_order_with_hundreds_of_transactions_or_parcels_lands_whole(
    shop: MemoryShop, monkeypatch: pytest.MonkeyPatch, name: str, count: int, is_bulk: bool
) -> None:
    row = next(r for r in shop.rows() if getattr(shop.gateway.orders.trade(r.trade, 0), name)())
    usual = orders._ORDER[name]
    long = shop.gateway.orders.trade(row.trade, row.modified)
    (one, *_) = getattr(long, name)()

    def listed(trade: orders.Trade) -> Any:
        return [one] * count if trade.basket == long.basket else usual(trade)

    monkeypatch.setitem(orders._ORDER, name, listed)
    if is_bulk:
        span = BulkSpan(shop.client, "orders", queries.bulk_orders(f"id:{row.order}"), DAY)
        records = list(shop.source._bulk_orders(DAY, span))
        span.close()
    else:
        records = list(shop.source._orders.by_id([f"gid://shopify/Order/{row.order}"]))
    found = [r for r in records if r.payload.get("legacy_resource_id") == str(row.order)]
    assert [len(record.payload[name]) for record in found] == [count]


def test_an_order_with_too_many_transactions_is_named_and_not_cut(
    shop: MemoryShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = next(r for r in shop.rows() if shop.gateway.orders.trade(r.trade, 0).transactions())
    one = shop.gateway.orders.trade(row.trade, row.modified).transactions()[0]
    monkeypatch.setitem(orders._ORDER, "transactions", lambda trade: [one] * 299)
    (record,) = shop.source._orders.by_id([f"gid://shopify/Order/{row.order}"])
    assert record.defect == "299 transactions or more: not all listed"
    assert record.is_final
    assert record.key == f"order {row.order}"


def test_lists_that_do_not_come_whole_are_read_after_the_order(
    shop: MemoryShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = next(r for r in shop.rows() if shop.gateway.orders.trade(r.trade, 0).transactions())
    one = shop.gateway.orders.trade(row.trade, row.modified).transactions()[0]
    monkeypatch.setitem(orders._ORDER, "transactions", lambda trade: [one] * 12)
    (record,) = shop.source._orders.by_id([f"gid://shopify/Order/{row.order}"])
    assert len(record.payload["transactions"]) == 12


# --- texts and drift --------------------------------------------------------------------------


def test_emoji_and_characters_of_every_script_stay_as_they_are(shop: MemoryShop) -> None:
    gid = shop.gids()[0]
    text = "🍜 拉面 ラーメン \u2028 'quoted' \"double\" \\ #1"
    names = ("name", "sourceName", "customerLocale", "cancelReason")
    shop.gateway.faults = ShopifyFaults(
        edits=[ShopifyEdit(gid=gid, set=dict.fromkeys(names, text))]
    )
    record = _record(shop.read(), gid)
    values = ORDERS.check(record.payload).values
    for name in ("name", "source_name", "customer_locale", "cancel_reason"):
        assert values[name] == text


def test_a_member_that_nobody_knows_is_counted(shop: MemoryShop) -> None:
    gid = shop.gids()[0]
    edit = ShopifyEdit(gid=gid, set={"brandNew": {"inner": {"id": "gid://shopify/New/7"}}})
    shop.gateway.faults = ShopifyFaults(edits=[edit])
    assert ORDERS.check(_record(shop.read(), gid).payload).unknown == {"brand_new_inner_id": "7"}


def test_what_must_be_there_and_is_not_is_named(shop: MemoryShop) -> None:
    gids = shop.gids()
    edits = [
        ShopifyEdit(gid=gids[0], drop=["createdAt"]),
        ShopifyEdit(gid=gids[1], set={"displayFinancialStatus": "ON_THE_MOON"}),
        ShopifyEdit(gid=gids[2], set={"totalPriceSet": None}),
    ]
    shop.gateway.faults = ShopifyFaults(edits=edits)
    records = shop.read()
    reasons = [ORDERS.check(_record(records, gid).payload).reasons for gid in gids[:3]]
    assert reasons == [
        ["created_at: required, but missing"],
        ["display_financial_status: 'ON_THE_MOON' is not a documented status"],
        ["total_price_set: required, but missing"],
    ]


def _record(records: list[RawRecord], gid: str) -> RawRecord:
    number = gid.rpartition("/")[2]
    return next(one for one in records if one.payload["legacy_resource_id"] == number)


# --- windows ----------------------------------------------------------------------------------


def test_every_span_is_asked_for_in_days(shop: MemoryShop) -> None:
    entry = shopify_shop(overlap_minutes=60, margin_minutes=3)
    night = shop.source.windows(entry, "orders", DAY)
    assert [one.end - one.start for one in night] == [timedelta(hours=1), timedelta(days=1)]
    span = Window(NOW - timedelta(days=70), NOW)
    pieces = shop.source.windows(entry, "orders", span)
    assert pieces[-1].end == NOW - timedelta(minutes=3)
    assert pieces[0].start == span.start - timedelta(hours=1)
    assert all(one.end == two.start for one, two in pairwise(pieces))
    assert max(one.end - one.start for one in pieces) == timedelta(days=1)


def test_a_future_window_is_not_asked_for(shop: MemoryShop) -> None:
    future = Window(NOW + timedelta(days=1), NOW + timedelta(days=2))
    assert shop.source.windows(shopify_shop(), "orders", future) == []


def test_an_unknown_stream_is_refused(shop: MemoryShop) -> None:
    with pytest.raises(KeyError):
        shop.read("reviews")


def test_no_token_stands_in_any_record(shop: MemoryShop) -> None:
    assert "shpat" not in json.dumps([dict(one.payload) for one in shop.read()])


# --- depth --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scopes", "days"), [(("read_orders",), 59), (("read_orders", "read_all_orders"), None)]
)
def test_how_far_back_may_be_asked_is_told_by_the_apps_scopes(
    book: OrderBook, scopes: tuple[str, ...], days: int | None
) -> None:
    shop = MemoryShop(book, scopes=scopes)
    assert depth_of(shop.source) == days
    # Said once, however often it is asked.
    assert (depth_of(shop.source), shop.queries.count("ReadScopes")) == (days, 1)
    assert depth_days("shopify_admin") is None


def test_the_oldest_window_that_is_planned_is_not_refused(book: OrderBook) -> None:
    shop = MemoryShop(book, scopes=("read_orders",))
    days = depth_of(shop.source)
    assert days is not None
    start = shop.now() - timedelta(days=days)
    shop.read("orders", Window(start, start + timedelta(hours=1)))
    early = start - timedelta(days=1, seconds=1)
    with pytest.raises(SourceError, match="60 days"):
        shop.read("orders", Window(early, early + timedelta(hours=1)))
