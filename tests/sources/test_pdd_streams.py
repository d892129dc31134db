"""Reading windows of Pinduoduo's streams."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from regulars.errors import SchemaChanged, SourceUnavailable
from regulars.records import RawRecord, Window
from regulars.sources.pdd_open import PddOpen
from regulars.sources.pdd_open.payload import (
    AFTER_SALES_STATUSES,
    ORDERS,
    PAYLOADS,
    REFUNDS,
    REMOVED,
)
from regulars.sources.pdd_open.streams import STREAMS, read_window
from tests.landing.conftest import FixedClock
from tests.sources.gateway import Answer
from tests.sources.pdd_gateway import (
    CREDENTIALS,
    ListGateway,
    client_for,
    envelope,
    order,
    refund,
    refusal,
)
from tests.sources.pdd_gateway import ORDERS as ORDERS_API
from tests.sources.shops import demo_shop

WINDOW = Window(datetime(2017, 10, 1, 2, 0, tzinfo=UTC), datetime(2017, 10, 1, 2, 30, tzinfo=UTC))


def read(gateway: Any, stream: str = "orders", **credentials: Any) -> list[RawRecord]:
    client = client_for(gateway, credentials=replace(CREDENTIALS, **credentials))
    return list(read_window(client, STREAMS[stream], WINDOW))


def only(gateway: Any, stream: str = "orders") -> dict[str, Any]:
    (record,) = read(gateway, stream)
    assert record.defect is None
    return dict(record.payload)


# --- windows ----------------------------------------------------------------------------------


def windows(now: datetime, **changes: Any) -> list[Window]:
    shop = demo_shop(platform="pdd", source="pdd_open", **changes)
    day = Window(shop.day_start(date(2017, 10, 1)), shop.day_end(date(2017, 10, 1)))
    source = PddOpen(client_for(ListGateway([])), FixedClock(now))
    return source.windows(shop, "orders", day)


def test_a_day_is_asked_in_48_half_hours() -> None:
    pieces = windows(datetime(2017, 10, 2, tzinfo=UTC), overlap_minutes=0)
    assert len(pieces) == 48
    assert all(piece.end - piece.start == timedelta(minutes=30) for piece in pieces)
    assert all(one.end == other.start for one, other in pairwise(pieces))


def test_the_overlap_comes_in_half_hours_too() -> None:
    assert len(windows(datetime(2017, 10, 2, tzinfo=UTC), overlap_minutes=60)) == 50


@pytest.mark.parametrize(("margin", "kept"), [(0, 3), (3, 3), (10, 10)])
def test_the_end_stays_three_minutes_behind_the_present_at_least(margin: int, kept: int) -> None:
    now = datetime(2017, 10, 1, 12, 0, tzinfo=UTC)
    assert windows(now, margin_minutes=margin)[-1].end == now - timedelta(minutes=kept)


# --- orders -----------------------------------------------------------------------------------


def test_the_count_comes_first_then_the_last_page_backwards() -> None:
    gateway = ListGateway([order(number) for number in range(250)])
    assert len(read(gateway)) == 250
    asked = [(int(call["page"]), int(call["page_size"])) for call in gateway.calls]
    assert asked[:2] == [(1, 1), (3, 100)]
    assert asked[-1][0] == 1
    starts = [(page - 1) * size for page, size in asked[1:]]
    assert starts == sorted(starts, reverse=True)


def test_orders_of_every_kind_are_asked_in_unix_seconds() -> None:
    gateway = ListGateway([])
    assert read(gateway) == []
    (call,) = gateway.calls
    assert (call["start_updated_at"], call["end_updated_at"]) == ("1506823200", "1506825000")
    kinds = ("order_status", "refund_status", "is_lucky_flag", "use_has_next")
    assert [call[name] for name in kinds] == ["5", "5", "0", "false"]
    assert "trade_type" not in call


def test_amounts_come_as_text_or_number_and_keep_their_digits() -> None:
    checked = ORDERS.check(only(ListGateway([order(1)])))
    assert checked.reasons == []
    names = ("goods_amount", "discount_amount", "postage", "pay_amount")
    assert [checked.values[name] for name in names] == ["13.2", "0.90", "0", "12.30"]


def test_empty_times_are_absent_and_ids_are_text() -> None:
    values = ORDERS.check(only(ListGateway([order(1)]))).values
    assert "shipping_time" not in values
    assert values["item_list"][0]["sku_id"] == "13182332985"


@pytest.mark.parametrize(
    ("name", "value", "stays"),
    [
        ("receiver_phone", "~AgAAAAHcQ0uGb2c1~1~", False),
        ("receiver_phone", "", False),
        ("receiver_phone", None, False),
        ("receiver_phone", {"a": 1}, False),
        ("receiver_phone", "1387677****", True),
        ("receiver_phone", "12345678901", True),
        ("receiver_name", "~AgAAAAHcQ0uGb2c1~1~", False),
        ("receiver_name", "王**", True),
        ("receiver_name", "12345678901", False),
        ("receiver_address", "~AgAAAAHcQ0uGb2c1~1~", False),
        ("address", "人民路1号", False),
        ("address_mask", "人民路***", True),
    ],
)
def test_ciphertext_never_leaves_the_source(name: str, value: Any, stays: bool) -> None:
    assert (name in only(ListGateway([order(1, **{name: value})]))) is stays


def test_what_nobody_reads_never_leaves_the_source() -> None:
    assert not REMOVED & ORDERS.names
    given = order(1, card_info_list=[{"card_no": "1"}], buyer_memo="hi", remark="vip", extra_new=1)
    payload = only(ListGateway([given]))
    assert not REMOVED & payload.keys()
    assert ORDERS.check(payload).unknown == {"extra_new": 1}


def test_the_steps_of_a_deposit_order_become_a_list() -> None:
    step = {"step_trade_status": 1, "step_paid_fee": 10.5}
    checked = ORDERS.check(only(ListGateway([order(1, trade_type=1, step_order_info=step)])))
    assert checked.reasons == []
    assert checked.values["step_order_info"] == [
        {"step_trade_status": "1", "step_paid_fee": "10.5"}
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"order_status": 5}, "order_status: '5' is not a documented status"),
        ({"confirm_status": 3}, "confirm_status: '3' is not a documented status"),
        ({"refund_status": 0}, "refund_status: '0' is not a documented status"),
        ({"updated_at": ""}, "updated_at: required, but missing"),
        ({"item_list": []}, "item_list: required, but missing"),
        ({"pay_amount": 1.005}, "pay_amount: more than two decimals"),
        ({"item_list": [{"goods_price": "1"}]}, "item_list.goods_count: required, but missing"),
    ],
)
def test_a_record_that_cannot_be_counted_is_named(changes: dict[str, Any], reason: str) -> None:
    assert ORDERS.check(only(ListGateway([order(1, **changes)]))).reasons == [reason]


def test_two_changes_within_a_second_are_two_versions() -> None:
    same = order(1), order(1, remark_tag=3), order(1)
    assert len(read(ListGateway(list(same)))) == 2


def test_what_is_no_object_is_a_defect() -> None:
    (record,) = read(ListGateway(["?"]))
    assert record.defect == "not an object"


def test_an_unreadable_place_is_named_and_the_others_come() -> None:
    gateway = ListGateway([order(number) for number in range(30)])
    gateway.poison = {7}
    records = read(gateway)
    bad = [record for record in records if record.defect is not None]
    assert len(records) - len(bad) == 29
    assert [(one.position, one.payload) for one in bad] == [("page 8 of 1", {})]
    assert "not complete JSON" in str(bad[0].defect)


def test_a_platform_that_is_gone_ends_the_window() -> None:
    class Gone(ListGateway):
        def __call__(self, parameters: dict[str, str]) -> Answer:
            return super().__call__(parameters) if len(self.calls) < 1 else refusal(52103)

    with pytest.raises(SourceUnavailable, match="52103"):
        read(Gone([order(number) for number in range(250)]))


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({}, "total_count is not a number"),
        ({"total_count": True}, "total_count is not a number"),
        ({"total_count": 1, "order_sn_list": {"order": []}}, "order_sn_list is not a list"),
    ],
)
def test_another_shape_is_a_changed_schema(body: dict[str, Any], what: str) -> None:
    with pytest.raises(SchemaChanged, match=what):
        read(lambda _: envelope(ORDERS_API, body))


# --- refunds ----------------------------------------------------------------------------------


def test_refunds_are_asked_for_every_status_because_there_is_no_value_for_all() -> None:
    given = [refund(number, after_sales_status=status) for number, status in enumerate([10, 2, 33])]
    gateway = ListGateway(given, "refund_list")
    records = read(gateway, "refunds")
    assert {record.payload["id"] for record in records} == {one["id"] for one in given}
    asked = list(dict.fromkeys(call["after_sales_status"] for call in gateway.calls))
    assert asked == list(AFTER_SALES_STATUSES)
    assert "1" not in asked
    assert {call["after_sales_type"] for call in gateway.calls} == {"1"}


def test_refunds_are_asked_at_once_where_the_connection_says_so() -> None:
    gateway = ListGateway([refund(1, after_sales_status=1)], "refund_list")
    assert len(read(gateway, "refunds", has_all_refunds=True)) == 1
    assert {call["after_sales_status"] for call in gateway.calls} == {"1"}


@pytest.mark.parametrize("written", ["1506823500", 1506823500, "2017-10-01 10:05:00"])
def test_refunds_tell_their_times_as_wall_clock_or_unix_seconds(written: Any) -> None:
    payload = only(ListGateway([refund(1, updated_time=written)], "refund_list"), "refunds")
    checked = REFUNDS.check(payload)
    assert checked.reasons == []
    assert checked.values["updated_time"] == "2017-10-01 10:05:00"


@pytest.mark.parametrize("status", [1, 19, 20, 23, 26, 34])
def test_an_undocumented_after_sales_status_is_refused(status: int) -> None:
    reasons = REFUNDS.check({**refund(1), "after_sales_status": status}).reasons
    assert reasons == [f"after_sales_status: '{status}' is not a documented status"]


def test_every_stream_has_a_model() -> None:
    assert set(PAYLOADS) == set(STREAMS)
