"""What JD's gateway refuses, lists and forgets; called as any client would, without the source."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from jd.api.base import sign

from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import ShopClock, wall_seconds
from regulars.sandbox.faults import HttpError
from regulars.sandbox.platforms.jd import Edit, Faults, Gateway, Tokens
from regulars.sandbox.platforms.jd.orders import NEVER_PAID, NOT_SET, STATES, order_ids
from regulars.sandbox.protocol import PLATFORM_ZONE, Access
from regulars.sandbox.timeline import Outcome

ACCESS = Access("sandbox", "sandbox-secret", "sandbox-token")
NOW = datetime(2017, 10, 2, 2, 0, tzinfo=PLATFORM_ZONE)
MACHINE = datetime(2026, 11, 21, 4, 0, tzinfo=UTC).timestamp()
SEARCH = "jingdong.pop.order.search"
SERVICES = "jingdong.asc.serviceAndRefund.view"
REFUND = "jingdong.b2c.shop.aftersales.refund.get"
DAY = {"start_date": "2017-10-01 00:00:00", "end_date": "2017-10-01 23:59:59"}
MONEY = (
    "orderId,orderTotalPrice,orderSellerPrice,sellerDiscount,balanceUsed,orderPayment,"
    "freightPrice,itemInfoList,couponDetailList"
)


@pytest.fixture(scope="module")
def book() -> OrderBook:
    return OrderBook.sample(households=120, until=date(2017, 10, 3))


@pytest.fixture
def gateway(book: OrderBook) -> Gateway:
    return Gateway(book, ACCESS, ShopClock(NOW), machine_seconds=lambda: MACHINE)


def parameters(name: str, business: dict[str, Any], **changes: str | None) -> dict[str, str]:
    """A signed call; a change to None leaves the parameter out."""
    call = {
        "method": name,
        "app_key": ACCESS.app_key,
        "access_token": ACCESS.session,
        "timestamp": "2026-11-21 12:00:00",
        "v": "2.0",
        "360buy_param_json": json.dumps(business),
        **changes,
    }
    sent = {key: value for key, value in call.items() if value is not None}
    return {"sign": sign(ACCESS.app_secret, sent), **sent}


def call(gateway: Gateway, name: str, business: dict[str, Any], **changes: Any) -> dict[str, Any]:
    answer = gateway.answer(parameters(name, business, **changes))
    assert answer.status == 200
    value: dict[str, Any] = json.loads(answer.body)
    return value


def searched(gateway: Gateway, **business: Any) -> dict[str, Any]:
    asked = {
        **DAY,
        "order_state": "ALL",
        "optional_fields": "orderId,modified,orderState",
        "page": "1",
        "page_size": "100",
        "source_id": "JOS",
        **business,
    }
    asked = {name: value for name, value in asked.items() if value is not None}
    body = call(gateway, SEARCH, asked)["jingdong_pop_order_search_responce"]
    assert body["code"] == "0"
    result: dict[str, Any] = body["searchorderinfo_result"]
    return result


def listed(gateway: Gateway, **business: Any) -> dict[str, Any]:
    body = call(gateway, SERVICES, {"pageNumber": 1, "pageSize": 50, **business})
    result: dict[str, Any] = body["jingdong_asc_serviceAndRefund_view_responce"]["pageResult"]
    return result


# --- protocol -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"method": None}, "14"),
        ({"method": "jingdong.pop.order.nothing"}, "15"),
        ({"v": None}, "4"),
        ({"v": "1.0"}, "5"),
        ({"timestamp": None}, "7"),
        ({"timestamp": "yesterday"}, "8"),
        ({"timestamp": "2026-11-21 12:06:01"}, "8"),
        ({"timestamp": "2026-11-21 11:53:59"}, "8"),
        ({"timestamp": "2026-02-30 12:00:00"}, "8"),
        ({"app_key": None}, "20"),
        ({"app_key": "other"}, "21"),
        ({"access_token": None}, "18"),
        ({"access_token": "other"}, "19"),
    ],
)
def test_a_call_is_refused_with_the_platforms_code(
    gateway: Gateway, changes: dict[str, str | None], code: str
) -> None:
    assert call(gateway, SEARCH, {}, **changes)["error_response"]["code"] == code


@pytest.mark.parametrize(
    "timestamp",
    [
        "2026-11-21 12:06:00",
        "2026-11-21 11:54:00",
        "2026-11-21 12:00:00.000+0800",
        "2026-11-21 04:00:00.000+0000",
        "2026-11-20 23:00:00.123-0500",
    ],
)
def test_a_timestamp_may_carry_milliseconds_and_its_own_offset(
    gateway: Gateway, timestamp: str
) -> None:
    assert "error_response" not in call(gateway, SEARCH, {}, timestamp=timestamp)


@pytest.mark.parametrize(
    ("damage", "code"),
    [({"sign": ""}, "11"), ({"sign": "0" * 32}, "12"), ({"extra": "unsigned"}, "12")],
)
def test_everything_that_is_sent_must_be_signed(
    gateway: Gateway, damage: dict[str, str], code: str
) -> None:
    answer = gateway.answer({**parameters(SEARCH, {}), **damage})
    assert json.loads(answer.body)["error_response"]["code"] == code


def test_refusals_may_come_without_their_wrapper(gateway: Gateway) -> None:
    gateway.replace_faults(Faults(is_bare=True))
    assert call(gateway, SEARCH, {}, access_token="other")["code"] == "19"


def test_the_days_quota_is_counted_by_the_shops_day(book: OrderBook) -> None:
    gateway = Gateway(book, ACCESS, ShopClock(NOW), daily_quota=2, machine_seconds=lambda: MACHINE)
    codes = [call(gateway, SEARCH, {}).get("error_response", {}).get("code") for _ in range(3)]
    assert codes == [None, None, "2"]
    gateway.clock.tick(86_400)
    assert "error_response" not in call(gateway, SEARCH, {})


# --- token ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hours_left", "is_renewed"), [(25, False), (24, True), (1, True), (0, False), (-1, False)]
)
def test_a_token_is_renewed_in_its_last_24_hours_only(hours_left: int, is_renewed: bool) -> None:
    tokens = Tokens(ACCESS, "refresh", expires_at=MACHINE + hours_left * 3600)
    form = {
        "app_key": ACCESS.app_key,
        "app_secret": ACCESS.app_secret,
        "grant_type": "refresh_token",
        "refresh_token": "refresh",
    }
    assert ("access_token" in tokens.renew(form, MACHINE)) is is_renewed
    assert (tokens.current != ACCESS.session) is is_renewed


@pytest.mark.parametrize(
    "changes",
    [{"app_secret": "other"}, {"refresh_token": "other"}, {"grant_type": "authorization_code"}],
)
def test_a_renewal_needs_app_and_refresh_token(changes: dict[str, str]) -> None:
    tokens = Tokens(ACCESS, "refresh")
    form = {
        "app_key": ACCESS.app_key,
        "app_secret": ACCESS.app_secret,
        "grant_type": "refresh_token",
        "refresh_token": "refresh",
        **changes,
    }
    assert "access_token" not in tokens.renew(form, MACHINE)
    assert tokens.current == ACCESS.session


def test_an_expired_token_is_refused(book: OrderBook) -> None:
    tokens = Tokens(ACCESS, expires_at=MACHINE)
    gateway = Gateway(book, ACCESS, ShopClock(NOW), tokens=tokens, machine_seconds=lambda: MACHINE)
    assert call(gateway, SEARCH, {})["error_response"]["code"] == "19"


# --- order search ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("business", "number"),
    [
        ({"start_date": None}, "1002"),
        ({"start_date": "2017-10-01"}, "1002"),
        ({"end_date": "2017-09-30 00:00:00"}, "1005"),
        ({"start_date": "2017-08-31 23:59:58"}, "1006"),
        ({"start_date": "2017-07-02 01:59:59", "end_date": "2017-07-03 00:00:00"}, "1007"),
        ({"order_state": None}, "1009"),
        ({"order_state": "1,2"}, "1004"),
        ({"order_state": "ALL,FINISHED_L"}, "1004"),
        ({"optional_fields": ""}, "1009"),
        ({"optional_fields": None}, "1009"),
        ({"page": 1}, "1003"),
        ({"page": "0"}, "1004"),
        ({"page_size": 100}, "1003"),
        ({"page_size": "101"}, "1004"),
    ],
)
def test_a_search_is_refused_inside_its_result(
    gateway: Gateway, business: dict[str, Any], number: str
) -> None:
    verdict = searched(gateway, **business)["apiResult"]
    assert (verdict["success"], verdict["numberCode"]) == (False, number)


def test_a_calendar_month_and_three_months_of_depth_are_the_limits(gateway: Gateway) -> None:
    month = {"start_date": "2017-09-01 23:59:59"}
    assert searched(gateway, **month)["apiResult"]["success"]
    deepest = {"start_date": "2017-07-02 02:00:00", "end_date": "2017-07-03 00:00:00"}
    assert searched(gateway, **deepest)["apiResult"]["success"]
    created = {"start_date": "2017-01-01 00:00:00", "end_date": "2017-01-31 00:00:00"}
    assert searched(gateway, **created, dateType=1)["orderTotal"] > 0


def test_an_order_older_than_the_depth_is_listed_when_it_is_modified(gateway: Gateway) -> None:
    old = 0
    gateway.clock.seconds = wall_seconds(datetime(2017, 10, 1, 12, 0, tzinfo=PLATFORM_ZONE))
    gateway.touch(old)
    number = str(order_ids(gateway.book.basket[[old]])[0])
    assert number in {one["orderId"] for one in searched(gateway)["orderInfoList"]}


def test_pages_cover_the_list_in_either_order(gateway: Gateway) -> None:
    total = searched(gateway)["orderTotal"]
    assert total > 40
    up = [
        one
        for page in range(1, -(-total // 9) + 1)
        for one in searched(gateway, page=str(page), page_size="9")["orderInfoList"]
    ]
    times = [one["modified"] for one in up]
    assert times == sorted(times)
    assert len({one["orderId"] for one in up}) == total
    down = searched(gateway, sortType=1)["orderInfoList"]
    assert [one["modified"] for one in down] == times[::-1]


@pytest.mark.parametrize("beyond", ["nothing", "failure", "total"])
def test_a_page_beyond_the_end_is_answered_as_wished(gateway: Gateway, beyond: Any) -> None:
    gateway.replace_faults(Faults(beyond_end=beyond))
    result = searched(gateway, page="90")
    assert result["orderInfoList"] == []
    assert result["apiResult"]["success"] is (beyond != "failure")
    assert (result["orderTotal"] > 0) is (beyond == "total")


def test_only_the_wanted_members_come(gateway: Gateway) -> None:
    (first, *_) = searched(gateway, optional_fields="modified,pin")["orderInfoList"]
    assert set(first) == {"modified"}


def test_states_add_up_and_aliases_mean_the_same(gateway: Gateway) -> None:
    total = searched(gateway)["orderTotal"]
    by_state = {state: searched(gateway, order_state=state)["orderTotal"] for state in STATES}
    assert sum(by_state.values()) == total
    assert searched(gateway, order_state=",".join(STATES))["orderTotal"] == total
    assert searched(gateway, order_state="WanCheng")["orderTotal"] == by_state["FINISHED_L"] > 0
    assert searched(gateway, order_state="PAUSE,WAIT_SEND_CODE")["orderTotal"] == 0


def test_an_order_walks_through_its_states(gateway: Gateway) -> None:
    book = gateway.book
    order = int(np.flatnonzero(book.outcome == Outcome.CLOSED)[0])
    asked = int(book.refund_requested[book.refund_trade == order][0])
    seen = []
    for moment in (book.created, book.paid, asked, book.ended):
        gateway.clock.seconds = int(moment if isinstance(moment, int) else moment[order])
        number = int(order_ids(book.basket[[order]])[0])
        body = call(
            gateway,
            "jingdong.pop.order.get",
            {
                "order_id": number,
                "optional_fields": "orderState,orderEndTime,paymentConfirmTime,modified",
            },
        )
        one = body["jingdong_pop_order_get_responce"]["orderDetailInfo"]["orderInfo"]
        is_open = one["orderEndTime"] == NOT_SET
        seen.append((one["orderState"], one["paymentConfirmTime"] == NEVER_PAID, is_open))
    assert seen == [
        ("NOT_PAY", True, True),
        ("WAIT_SELLER_STOCK_OUT", False, True),
        ("LOCKED", False, True),
        ("TRADE_CANCELED", False, False),
    ]


def test_the_money_of_every_order_adds_up_to_the_book(gateway: Gateway) -> None:
    book = gateway.book
    index = {str(number): place for place, number in enumerate(order_ids(book.basket).tolist())}
    records = [
        one
        for page in "123"
        for one in searched(
            gateway, start_date="2017-09-02 00:00:00", page=page, optional_fields=MONEY
        )["orderInfoList"]
    ]
    with_balance = with_card = 0
    for one in records:
        fen = {name: _fen(one[name]) for name in MONEY.split(",")[1:7]}
        coupons = [(_fen(c["couponPrice"]), c["couponType"][:2]) for c in one["couponDetailList"]]
        own = sum(amount for amount, kind in coupons if kind == "30")
        card = sum(amount for amount, kind in coupons if kind == "52")
        others = sum(amount for amount, kind in coupons if kind != "30")
        lines = sum(_fen(i["jdPrice"]) * int(i["itemTotal"]) for i in one["itemInfoList"])
        assert fen["orderTotalPrice"] == lines
        assert fen["sellerDiscount"] == own
        assert fen["orderSellerPrice"] == lines - own
        assert fen["orderPayment"] == lines - own - others - fen["balanceUsed"]
        paid = int(book.trade_paid[index[one["orderId"]]])
        assert fen["orderPayment"] + fen["balanceUsed"] + card == paid
        with_balance += fen["balanceUsed"] > 0
        with_card += card > 0
    assert with_balance
    assert with_card


def _fen(text: str) -> int:
    whole, _, part = text.partition(".")
    assert len(part) == 2
    return int(whole) * 100 + int(part)


def test_every_value_of_an_order_is_a_string(gateway: Gateway) -> None:
    (one, *_) = searched(gateway, optional_fields=MONEY + ",consigneeInfo,storeId")["orderInfoList"]
    plain = [value for value in one.values() if not isinstance(value, list | dict)]
    nested = [v for item in one["itemInfoList"] for v in item.values()]
    assert all(isinstance(value, str) for value in [*plain, *nested])


def test_only_the_encrypting_methods_bring_ciphertext(gateway: Gateway) -> None:
    def consignee(method: str) -> dict[str, Any]:
        asked = {
            **DAY, "order_state": "ALL", "optional_fields": "consigneeInfo",
            "page": "1", "page_size": "1",
        }  # fmt: skip
        body = call(gateway, method, asked)[method.replace(".", "_") + "_responce"]
        found: dict[str, Any] = body["searchorderinfo_result"]["orderInfoList"][0]["consigneeInfo"]
        return found

    assert "encrypt_mobile" not in consignee(SEARCH)
    assert len(consignee("jingdong.pop.order.enSearch")["encrypt_mobile"]) > 24


def test_ids_are_the_platforms_own_and_unique() -> None:
    book = OrderBook.sample(households=250)
    numbers = order_ids(book.basket)
    assert len(np.unique(numbers)) == book.trade_count
    assert len(set(map(len, map(str, numbers.tolist())))) == 1
    assert not np.isin(numbers, book.tid).any()


# --- after-sales ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("business", "code"),
    [
        ({}, "1008"),
        ({"pageSize": 51, "orderId": 1}, "1004"),
        ({"pageNumber": "1", "orderId": 1}, "1004"),
        (
            {"applyTimeBegin": "2017-09-20 00:00:00", "applyTimeEnd": "2017-09-27 00:00:01"},
            "1006",
        ),
        (
            {"approveTimeBegin": "2017-09-20 00:00:00", "approveTimeEnd": "2017-09-30 00:00:01"},
            "1006",
        ),
        ({"applyTimeBegin": "2017-09-20 00:00:00"}, "1002"),
    ],
)
def test_a_list_of_services_is_refused_inside_its_result(
    gateway: Gateway, business: dict[str, Any], code: str
) -> None:
    result = listed(gateway, **business)
    assert (result["success"], result["code"]) == (False, code)


def weeks(gateway: Gateway) -> Iterator[dict[str, Any]]:
    days = ("09-08", "09-15", "09-22", "09-29", "10-03")
    for begin, end in pairwise(f"2017-{day} 00:00:00" for day in days):
        span = {"applyTimeBegin": begin, "applyTimeEnd": end}
        yield from listed(gateway, **span)["data"]


def test_services_show_what_is_known_by_now_and_their_amounts(gateway: Gateway) -> None:
    services = list(weeks(gateway))
    assert {one["status"] for one in services} == {10, 13, 14}
    for one in services:
        bill = one["sameOrderServiceBill"]
        body = call(gateway, REFUND, {"afsServiceId": bill["serviceId"]})
        result = body["jingdong_b2c_shop_aftersales_refund_get_responce"]["result"]
        if "afsRefundId" not in one:
            assert (result["success"], result["errorCode"]) == (False, "1013")
            continue
        assert (result["success"], result["errorCode"]) == (True, "200")
        assert result["data"]["orderId"] == bill["orderId"]
        is_done = one["status"] == 13
        assert ("afsActualRefundDetail" in result["data"]) is is_done
        assert ("completeTime" in one) is is_done


def test_orders_cancelled_before_shipment_have_no_service(gateway: Gateway) -> None:
    book = gateway.book
    cancelled = book.refund_trade[book.outcome[book.refund_trade] == Outcome.CLOSED]
    gone = [int(number) for number in order_ids(book.basket[np.unique(cancelled)])]
    assert gone
    for number in gone[:20]:
        assert listed(gateway, orderId=number)["totalCount"] == 0


def test_a_refund_that_nobody_asked_for_yet_is_unknown(gateway: Gateway) -> None:
    for service in (1, gateway._services.ids.tolist()[-1]):
        gateway.clock.seconds = 0
        body = call(gateway, REFUND, {"afsServiceId": service})
        result = body["jingdong_b2c_shop_aftersales_refund_get_responce"]["result"]
        assert (result["success"], result["errorCode"]) == (False, "1012")


# --- faults ---------------------------------------------------------------------------------


def test_faults_happen_as_often_as_they_are_set(gateway: Gateway) -> None:
    gateway.replace_faults(
        Faults(http_error=HttpError(status=429, retry_after=3), html=1, truncate=1, cut=1)
    )
    answers = [gateway.answer(parameters(SEARCH, {})) for _ in range(5)]
    assert (answers[0].status, answers[0].headers) == (429, {"Retry-After": "3"})
    assert answers[1].body.startswith(b"<html>")
    assert len(answers[2].body) < len(answers[4].body)
    assert int(answers[3].headers["Content-Length"]) == len(answers[3].body) + 1
    assert json.loads(answers[4].body)


def test_edits_change_one_record_or_one_line(gateway: Gateway) -> None:
    first = searched(gateway)["orderInfoList"][0]["orderId"]
    edits = [
        Edit(order_id=first, set={"orderState": "ON_THE_MOON"}),
        Edit(order_id=first, line=1, drop=["skuId"]),
    ]
    gateway.replace_faults(Faults(edits=edits))
    fields = "orderId,orderState,itemInfoList"
    records = searched(gateway, optional_fields=fields)["orderInfoList"]
    changed = [one for one in records if one["orderState"] == "ON_THE_MOON"]
    assert [one["orderId"] for one in changed] == [first]
    assert "skuId" not in changed[0]["itemInfoList"][0]
