"""Douyin's gateway: what it refuses, what it lists, and that its money adds up."""

import json
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import ShopClock, unix_seconds, wall_seconds
from regulars.sandbox.faults import HttpError
from regulars.sandbox.limits import Limits
from regulars.sandbox.platforms.doudian import SHOP_ID, Edit, Faults, Gateway, disguises
from regulars.sandbox.platforms.doudian.protocol import signature
from regulars.sandbox.platforms.doudian.tokens import (
    ACCESS_SECONDS,
    CODE_SECONDS,
    REFRESH_SECONDS,
)
from regulars.sandbox.protocol import PLATFORM_ZONE
from regulars.sandbox.server import TEST_ACCESS
from regulars.sandbox.timeline import NEVER, RefundStatus
from regulars.sandbox.wire import refund_status

NOW = datetime(2017, 10, 2, 2, 0, tzinfo=PLATFORM_ZONE)
MACHINE = 1_800_000_000
START = 1_506_787_200
SUNDAY = {"update_time_start": START, "update_time_end": START + 86_399}
SEARCH, LIST, DETAIL = "order.searchList", "afterSale.List", "afterSale.Detail"


class Machine:
    """The machine's clock, moved by hand."""

    def __init__(self) -> None:
        self.seconds = float(MACHINE)

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture(scope="module")
def book() -> OrderBook:
    return OrderBook.sample(households=60)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def gateway(book: OrderBook, machine: Machine) -> Gateway:
    return Gateway(book, TEST_ACCESS, ShopClock(NOW), machine_seconds=machine)


def answer_to(
    gateway: Gateway,
    method: str,
    parameters: Any = None,
    *,
    body: str | None = None,
    path: str | None = None,
    drop: str = "",
    stamp: str = str(MACHINE),
    **changes: str,
) -> dict[str, Any]:
    """The JSON that a call gets; ``changes`` replace parts of its query after signing."""
    text = json.dumps(parameters or {}) if body is None else body
    query = {
        "app_key": TEST_ACCESS.app_key,
        "method": method,
        "timestamp": stamp,
        "v": "2",
        "sign_method": changes.pop("sign_method", "hmac-sha256"),
        "access_token": TEST_ACCESS.session,
    }
    query["sign"] = signature(query, text, TEST_ACCESS.app_secret)
    query = {name: value for name, value in {**query, **changes}.items() if name != drop}
    status, content, _ = gateway.answer(path or f"/{method.replace('.', '/')}", query, text)
    assert status == 200
    value: dict[str, Any] = json.loads(content)
    return value


def data_of(gateway: Gateway, method: str, **parameters: Any) -> dict[str, Any]:
    value = answer_to(gateway, method, parameters)
    assert value["code"] == 10000, value
    data: dict[str, Any] = value["data"]
    return data


def refused(value: dict[str, Any]) -> tuple[int, str]:
    assert value["data"] is None
    return value["code"], value["sub_code"]


# --- who may call -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"app_key": "other"}, (40003, "isv.app-id-invalid")),
        ({"v": "1"}, (40003, "isv.parameter-invalid")),
        ({"timestamp": "yesterday"}, (40003, "isv.timestamp-invalid")),
        ({"timestamp": str(MACHINE - 601)}, (40003, "isv.timestamp-invalid")),
        ({"timestamp": str(MACHINE + 601)}, (40003, "isv.timestamp-invalid")),
        ({"drop": "sign"}, (40001, "isv.signature-missing")),
        ({"sign": "0" * 64}, (40003, "isv.signature-invalid")),
        ({"drop": "access_token"}, (40001, "isv.access-token-missing")),
        ({"access_token": "other"}, (40003, "isv.access-token-no-existed")),
        ({"path": "/order/orderDetail"}, (40003, "isv.method-invalid")),
        ({"body": "[]"}, (40003, "isv.parameter-format-invalid")),
        ({"body": "{"}, (40003, "isv.parameter-format-invalid")),
    ],
)
def test_a_call_is_refused_by_its_first_fault(
    gateway: Gateway, changes: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert refused(answer_to(gateway, SEARCH, **changes)) == expected


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        (str(MACHINE - 600), 10000),
        (str(MACHINE + 600), 10000),
        ("2027-01-15 16:00:00", 10000),
        ("2027-01-15 16:10:01", 40003),
        ("2027-01-15 08:00:00", 40003),
    ],
)
def test_a_stamp_is_unix_seconds_or_the_wall_clock_of_gmt8(
    gateway: Gateway, stamp: str, expected: int
) -> None:
    assert answer_to(gateway, SEARCH, stamp=stamp)["code"] == expected


def test_a_signature_in_capitals_is_none(gateway: Gateway) -> None:
    query = {"app_key": TEST_ACCESS.app_key, "method": SEARCH, "v": "2"}
    query |= {"timestamp": str(MACHINE), "sign_method": "hmac-sha256"}
    sign = signature(query, "{}", TEST_ACCESS.app_secret)
    assert refused(answer_to(gateway, SEARCH, sign=sign.upper())) == (
        40003,
        "isv.signature-invalid",
    )


def test_both_signature_methods_are_taken(gateway: Gateway) -> None:
    for name in ("hmac-sha256", "md5"):
        assert answer_to(gateway, SEARCH, sign_method=name)["code"] == 10000


def test_the_body_is_signed_as_it_is_sent(gateway: Gateway) -> None:
    assert answer_to(gateway, SEARCH, body='{ "size" : 3, "page":0 }')["code"] == 10000
    value = answer_to(gateway, SEARCH, body='{"product":"\\u8336"}')
    assert value["code"] == 10000


def test_an_unknown_method_is_offline(gateway: Gateway) -> None:
    assert refused(answer_to(gateway, "order.nothing")) == (70000, "")


def test_old_names_are_left_out_on_request(gateway: Gateway) -> None:
    query = {"method": SEARCH}
    for old in (True, False):
        _, content, _ = gateway.answer("/order/searchList", query, "{}", with_old_names=old)
        assert ("err_no" in json.loads(content)) is old


# --- tokens -------------------------------------------------------------------------------------


def test_a_token_lasts_seven_days(gateway: Gateway, machine: Machine) -> None:
    def call() -> dict[str, Any]:
        return answer_to(gateway, SEARCH)

    machine.seconds += 500
    assert call()["code"] == 10000
    gateway.tokens._expiry[TEST_ACCESS.session] = machine.seconds
    assert refused(call()) == (40003, "isv.access-token-expired")


def test_tokens_say_their_life_and_are_renewed_once_per_refresh_token(
    gateway: Gateway, machine: Machine
) -> None:
    first = gateway.tokens.first_refresh_token
    given = {"grant_type": "refresh_token", "refresh_token": first}
    data = data_of(gateway, "token.refresh", **given)
    assert (data["expires_in"], data["shop_id"]) == (ACCESS_SECONDS, SHOP_ID)
    assert answer_to(gateway, SEARCH, access_token=data["access_token"])["code"] == 10000
    code, sub_code = refused(answer_to(gateway, "token.refresh", given))
    assert (code, sub_code.partition(":")[0]) == (50001, "dop.token-generate-failed")


@pytest.mark.parametrize(
    ("method", "seconds", "parameters"),
    [
        ("token.refresh", REFRESH_SECONDS, {"grant_type": "refresh_token"}),
        ("token.create", CODE_SECONDS, {"grant_type": "authorization_code"}),
    ],
)
def test_what_makes_a_token_expires(
    book: OrderBook, method: str, seconds: int, parameters: dict[str, str]
) -> None:
    for age, is_good in ((seconds - 1, True), (seconds, False)):
        machine = Machine()
        office = Gateway(book, TEST_ACCESS, ShopClock(NOW), machine_seconds=machine).tokens
        machine.seconds += age
        given = {**parameters, "refresh_token": office.first_refresh_token}
        given["code"] = office.first_code
        make = office.refresh if method == "token.refresh" else office.create
        if is_good:
            assert make(given)["access_token"]
        else:
            with pytest.raises(Exception, match="50001"):
                make(given)


def test_another_shops_app_gets_no_token(gateway: Gateway) -> None:
    own = {"grant_type": "authorization_self", "code": ""}
    assert answer_to(gateway, "token.create", {**own, "shop_id": "1"})["code"] == 50001
    assert answer_to(gateway, "token.create", {**own, "shop_id": str(SHOP_ID)})["code"] == 10000
    assert answer_to(gateway, "token.create", {"grant_type": "x"})["code"] == 40003


# --- lists --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "parameters", "expected"),
    [
        (SEARCH, {"size": 101}, (40004, "isv.parameter-invalid")),
        (SEARCH, {"size": 0}, (40004, "isv.parameter-invalid")),
        (SEARCH, {"page": -1}, (40004, "isv.parameter-invalid")),
        (SEARCH, {"page": "0"}, (40003, "isv.parameter-format-invalid")),
        (SEARCH, {"page": True}, (40003, "isv.parameter-format-invalid")),
        (SEARCH, {"page": 501, "size": 100}, (40004, "isv.parameter-invalid")),
        (LIST, {"page": 501, "size": 100}, (40004, "isv.parameter-invalid")),
        (SEARCH, {"order_by": "price"}, (40003, "isv.parameter-invalid")),
        (LIST, {"order_by": ["price asc"]}, (40003, "isv.parameter-invalid")),
        (LIST, {"order_by": "update_time asc"}, (40003, "isv.parameter-invalid")),
        (SEARCH, {"update_time_start": "2017-10-01"}, (40003, "isv.parameter-format-invalid")),
        (SEARCH, {"update_time_start": 1}, (40004, "isv.parameter-invalid")),
        (LIST, {"update_start_time": 1}, (40004, "isv.parameter-invalid")),
        (
            SEARCH,
            {"update_time_start": START + 9, "update_time_end": START},
            (40004, "isv.parameter-invalid"),
        ),
        (
            SEARCH,
            {"combine_status": [{"order_status": "x"}]},
            (40003, "isv.parameter-format-invalid"),
        ),
        ("order.orderDetail", {"shop_order_id": "1"}, (50002, "")),
        ("order.orderDetail", {"shop_order_id": 1}, (40003, "isv.parameter-format-invalid")),
        (DETAIL, {"after_sale_id": "1"}, (50002, "")),
    ],
)
def test_parameters_beyond_the_documentation_are_refused(
    gateway: Gateway, method: str, parameters: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert refused(answer_to(gateway, method, parameters)) == expected


def test_the_deepest_page_is_still_given(gateway: Gateway) -> None:
    assert data_of(gateway, SEARCH, page=500, size=100)["shop_order_list"] == []


def test_ninety_days_are_shown_and_no_second_more(gateway: Gateway) -> None:
    edge = unix_seconds(gateway.clock.seconds) - 90 * 86_400
    assert data_of(gateway, SEARCH, update_time_start=edge)["total"] > 0
    assert answer_to(gateway, SEARCH, {"update_time_start": edge - 1})["code"] == 40004


def test_pages_from_zero_cover_the_window_in_order(gateway: Gateway, book: OrderBook) -> None:
    asked = {**SUNDAY, "order_by": "update_time", "size": 7}
    total = data_of(gateway, SEARCH, **asked)["total"]
    orders = [
        order
        for page in range(-(-total // 7))
        for order in data_of(gateway, SEARCH, **asked, page=page)["shop_order_list"]
    ]
    times = [order["update_time"] for order in orders]
    assert times == sorted(times, reverse=True)
    start, end = wall_seconds(NOW.replace(day=1, hour=0)), wall_seconds(NOW)
    trades, modified = book.trade_events.modified_between(start, start + 86_399, end)
    assert sorted(order["order_id"] for order in orders) == sorted(
        map(str, disguises.order_ids(book.tid[trades]).tolist())
    )
    assert sorted(times) == [unix_seconds(one) for one in modified.tolist()]
    oldest_first = data_of(gateway, SEARCH, **{**asked, "size": 100}, order_asc=True)
    assert [one["update_time"] for one in oldest_first["shop_order_list"]] == times[::-1]


def test_orders_are_found_by_creation_and_by_status(gateway: Gateway) -> None:
    created = {"create_time_start": START - 86_400, "create_time_end": START}
    found = data_of(gateway, SEARCH, **created, size=100)["shop_order_list"]
    assert found
    assert all(START - 86_400 <= one["create_time"] <= START for one in found)
    assert [one["create_time"] for one in found] == sorted(
        (one["create_time"] for one in found), reverse=True
    )
    waiting = data_of(gateway, SEARCH, combine_status=[{"order_status": "2,3"}], size=100)
    assert {one["order_status"] for one in waiting["shop_order_list"]} == {2, 3}
    both = data_of(gateway, SEARCH, **SUNDAY, **created, size=100)["shop_order_list"]
    assert all(START - 86_400 <= one["create_time"] <= START for one in both)


def test_a_list_is_as_of_the_clock(gateway: Gateway) -> None:
    before = data_of(gateway, SEARCH, **SUNDAY)["total"]
    gateway.clock.now = NOW - timedelta(hours=8)
    earlier = data_of(gateway, SEARCH, **SUNDAY, size=100)
    assert 0 < earlier["total"] < before
    present = unix_seconds(gateway.clock.seconds)
    times = ("create_time", "pay_time", "ship_time", "finish_time", "update_time")
    assert all(one[name] <= present for one in earlier["shop_order_list"] for name in times)


def test_refunds_are_filtered(gateway: Gateway) -> None:
    everything = data_of(gateway, LIST, size=100)["items"]
    assert {one["aftersale_info"]["aftersale_type"] for one in everything} == {0, 1, 2}
    only = everything[0]
    for parameters in (
        {"aftersale_id": only["aftersale_info"]["aftersale_id"]},
        {"order_id": only["order_info"]["shop_order_id"]},
    ):
        found = data_of(gateway, LIST, **parameters, size=100)
        assert only in found["items"]
        assert found["has_more"] is False
    done = data_of(gateway, LIST, standard_aftersale_status=[12], size=100)["items"]
    assert {one["aftersale_info"]["refund_status"] for one in done} == {3}
    applied = data_of(gateway, LIST, start_time=START, end_time=START + 86_399, size=100)["items"]
    assert all(START <= one["aftersale_info"]["apply_time"] < START + 86_400 for one in applied)
    assert data_of(gateway, LIST, size=1)["has_more"] is True


# --- records ------------------------------------------------------------------------------------


def orders_of(gateway: Gateway) -> list[dict[str, Any]]:
    total = data_of(gateway, SEARCH, size=1)["total"]
    return [
        order
        for page in range(-(-min(total, 400) // 100))
        for order in data_of(gateway, SEARCH, size=100, page=page)["shop_order_list"]
    ]


def test_the_money_of_orders_and_lines_adds_up(gateway: Gateway) -> None:
    kinds = set()
    for order in orders_of(gateway):
        lines = order["sku_order_list"]
        for one in (order, *lines):
            goods = sum(line["sum_amount"] for line in lines) if one is order else one["sum_amount"]
            assert one["order_amount"] == goods + one["post_amount"]
            assert one["pay_amount"] == (
                one["order_amount"] - one["promotion_amount"] - one["promotion_pay_amount"]
            )
            parts = ("promotion_shop_amount", "promotion_platform_amount")
            assert one["promotion_amount"] == sum(
                one[name] for name in (*parts, "promotion_talent_amount")
            )
            assert one["platform_cost_amount"] == (
                one["only_platform_cost_amount"] + one["author_cost_amount"]
            )
            kinds |= {name for name in one if name.startswith("promotion_") and one[name]}
        for name in ("pay_amount", "promotion_amount", "promotion_pay_amount"):
            assert order[name] == sum(line[name] for line in lines)
        assert order["total_promotion_amount"] == (
            order["promotion_amount"] + order["post_promotion_amount"]
        )
        assert order["post_origin_amount"] == order["post_amount"] + order["post_promotion_amount"]
        assert all(type(order[name]) is int for name in order if name.endswith("_amount"))
    assert {"promotion_shop_amount", "promotion_platform_amount"} <= kinds
    assert {"promotion_talent_amount", "promotion_pay_amount"} <= kinds


def test_states_follow_from_what_has_happened(gateway: Gateway) -> None:
    seen = set()
    for order in orders_of(gateway):
        status = order["order_status"]
        seen.add(status)
        assert (order["finish_time"] > 0) == (status == 5)
        assert not (status == 1 and order["pay_time"])
        assert not (status in (2, 3, 5) and not order["pay_time"])
        assert (status in (3, 5)) == (order["ship_time"] > 0) or status == 4
        assert bool(order["logistics_info"]) == (order["ship_time"] > 0)
        assert bool(order["cancel_reason"]) == (status == 4)
    assert {2, 3, 4, 5} <= seen <= {1, 2, 3, 4, 5}


def test_ids_are_the_platforms_own_and_unique(whole_book: OrderBook) -> None:
    orders = disguises.order_ids(whole_book.tid)
    assert len(np.unique(orders)) == len(orders)
    assert orders.min() > 2**53
    counts = np.diff(whole_book.line_start)
    gaps = np.diff(np.sort(orders))
    assert gaps.min() > counts.max()
    assert {len(str(one)) for one in (orders.min(), orders.max())} == {19}
    for place in (0, 1000, len(orders) - 1):
        assert disguises.tid_of(str(orders[place])) == whole_book.tid[place]
    assert disguises.tid_of(str(int(orders[0]) + 1)) is None
    assert disguises.tid_of("１") is None


def test_buyers_are_stable_and_nobody_elses_ids(gateway: Gateway, book: OrderBook) -> None:
    buyers: dict[str, set[str]] = {}
    for order in orders_of(gateway):
        tid = disguises.tid_of(order["order_id"])
        household = book.household[book.find_trade(tid or 0)]
        buyers.setdefault(str(household), set()).add(order["doudian_open_id"])
    assert all(len(ids) == 1 for ids in buyers.values())
    assert len({min(ids) for ids in buyers.values()}) == len(buyers)


def test_contacts_are_masked_or_encrypted(gateway: Gateway) -> None:
    for order in orders_of(gateway)[:50]:
        assert order["post_tel"] == order["post_receiver"] == order["post_addr"]["detail"] == ""
        assert "*" in order["mask_post_tel"]
        assert "*" in order["mask_post_receiver"]
        assert order["encrypt_post_tel"] != order["encrypt_post_receiver"]


def test_every_refund_state_is_written(book: OrderBook) -> None:
    states = set()
    for at in (book.refund_requested, book.refund_decided, book.refund_ended):
        for row in np.flatnonzero(at != NEVER).tolist():
            clock = int(at[row])
            state = RefundStatus(int(refund_status(book, np.array([row]), clock)[0]))
            if state in states:
                continue
            states.add(state)
            shop = ShopClock(NOW)
            shop.seconds = clock
            gateway = Gateway(book, TEST_ACCESS, shop, machine_seconds=None)
            asked = unix_seconds(int(book.refund_requested[row]))
            items = data_of(gateway, LIST, start_time=asked, end_time=asked)["items"]
            found = {
                (one["aftersale_info"]["aftersale_status"], one["aftersale_info"]["refund_status"])
                for one in items
            }
            assert {
                RefundStatus.WAIT_SELLER_AGREE: (6, 1),
                RefundStatus.WAIT_BUYER_RETURN_GOODS: (7, 1),
                RefundStatus.SELLER_REFUSE_BUYER: (27, 1),
                RefundStatus.SUCCESS: (12, 3),
                RefundStatus.CLOSED: (28, 1),
            }[state] in found
    assert states == set(RefundStatus)


# --- limits and faults --------------------------------------------------------------------------


def test_limits_refuse_with_the_platforms_code(book: OrderBook) -> None:
    gateway = Gateway(book, TEST_ACCESS, ShopClock(NOW), machine_seconds=None, elapsed=lambda: 0.0)
    gateway.replace_limits(Limits(calls_per_second=1, burst=2))
    assert [answer_to(gateway, SEARCH)["code"] for _ in range(3)] == [10000, 10000, 60000]
    gateway.replace_limits(Limits(daily_quota=1))
    assert answer_to(gateway, SEARCH)["code"] == 10000
    assert refused(answer_to(gateway, SEARCH)) == (60000, "isv.daily-quota-exceeded")


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ({"rate_limited": 1}, (60000, "")),
        ({"service_error": 1}, (20000, "dop.service-error")),
        ({"partly_failed": 1}, (10001, "")),
        ({"token_expired": 1}, (40003, "isv.access-token-expired")),
        ({"daily_quota": 1}, (60000, "isv.daily-quota-exceeded")),
    ],
)
def test_a_fault_refuses_as_often_as_it_is_set(
    gateway: Gateway, faults: dict[str, int], expected: tuple[int, str]
) -> None:
    gateway.replace_faults(Faults(**faults))
    assert refused(answer_to(gateway, SEARCH)) == expected
    assert answer_to(gateway, SEARCH)["code"] == 10000


def test_faults_of_the_transport(gateway: Gateway) -> None:
    gateway.replace_faults(Faults(http_error=HttpError(status=429, retry_after=9), html=1))
    assert gateway.answer("/x", {}, "") == (429, b"", {"Retry-After": "9"})
    status, content, headers = gateway.answer("/x", {}, "")
    assert (status, content[:6]) == (200, b"<html>")
    assert "html" in headers["Content-Type"]
    gateway.replace_faults(Faults(truncate=1))
    with pytest.raises(json.JSONDecodeError):
        json.loads(gateway.answer("/x", {}, "")[1])


def test_the_shop_lives_on_while_one_pages(gateway: Gateway) -> None:
    gateway.replace_faults(Faults(touch_after_page=3, tick_seconds=60))
    before = gateway.clock.seconds
    data_of(gateway, SEARCH, **SUNDAY)
    assert gateway.clock.seconds == before + 60
    touched = [disguises.order_ids(gateway.book.tid[[one]])[0] for one in gateway._touched]
    assert touched
    found = data_of(gateway, "order.orderDetail", shop_order_id=str(touched[0]))
    assert found["shop_order_detail"]["update_time"] == unix_seconds(before)


def test_edits_change_records_on_their_way_out(gateway: Gateway) -> None:
    order = data_of(gateway, SEARCH, **SUNDAY)["shop_order_list"][0]
    item = data_of(gateway, LIST)["items"][0]
    number, aftersale = order["order_id"], item["aftersale_info"]["aftersale_id"]
    gateway.replace_faults(
        Faults(
            edits=[
                Edit(order_id=number, set={"x": 1}, drop=["shop_name"], touch=True),
                Edit(order_id=number, line=1, set={"y": 2}),
                Edit(order_id=number, line=999, set={"z": 2}),
                Edit(aftersale_id=aftersale, set={"refund_amount": "x"}),
            ]
        )
    )
    found = data_of(gateway, "order.orderDetail", shop_order_id=number)["shop_order_detail"]
    assert (found["x"], found["sku_order_list"][0]["y"]) == (1, 2)
    assert "shop_name" not in found
    assert found["update_time"] == unix_seconds(gateway.clock.seconds)
    changed = data_of(gateway, LIST, aftersale_id=aftersale)["items"][0]
    assert changed["aftersale_info"]["refund_amount"] == "x"


def test_routes_stand_at_the_platforms_paths(gateway: Gateway) -> None:
    paths = [getattr(route, "path", "") for route in gateway.routes()]
    assert paths == ["/token/{name}", "/order/{name}", "/afterSale/{name}"]
