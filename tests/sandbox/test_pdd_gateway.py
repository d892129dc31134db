"""Pinduoduo's gateway keeps the platform's rules: what it refuses, and what it answers."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import orjson
import pytest

from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import wall_seconds
from regulars.sandbox.faults import HttpError
from regulars.sandbox.platforms.pdd import (
    FIRST_REFRESH_TOKEN,
    PUBLISHED_LIMITS,
    Edit,
    PddFaults,
    PddGateway,
    PddLimits,
)
from regulars.sandbox.platforms.pdd.protocol import three_months_before
from regulars.sandbox.platforms.pdd.wire import Writer, basket_of, order_sn
from regulars.sandbox.protocol import PLATFORM_ZONE
from regulars.sandbox.timeline import NEVER, Outcome
from tests.sandbox.pdd_calls import (
    END,
    MACHINE,
    NOW,
    ORDERS,
    REFUND_WINDOW,
    REFUNDS,
    START,
    WINDOW,
    call,
    code_of,
    gateway,
    listed,
    signed,
    unix,
)

REFRESH = "pdd.pop.auth.token.refresh"


@pytest.fixture(scope="module")
def book() -> OrderBook:
    return OrderBook.sample(households=250)


@pytest.fixture
def shop(book: OrderBook) -> PddGateway:
    return gateway(book)


# --- the protocol -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"type": None}, 10001),
        ({"type": "pdd.order.status.get"}, 10017),
        ({"client_id": None}, 10001),
        ({"client_id": "somebody"}, 10016),
        ({"timestamp": None}, 10001),
        ({"timestamp": MACHINE - 601}, 10001),
        ({"timestamp": MACHINE + 601}, 10001),
        ({"timestamp": MACHINE * 1000}, 10001),
        ({"timestamp": "2026-11-21 12:00:00"}, 10001),
        ({"data_type": "XML"}, 10001),
        ({"data_type": "json"}, 10001),
        ({"version": "V2"}, 10001),
        ({"sign": ""}, 10001),
        ({"sign": "0" * 32}, 20004),
        ({"secret": "another"}, 20004),
        ({"access_token": None}, 10001),
        ({"access_token": "another"}, 20032),
    ],
)
def test_a_call_that_breaks_a_rule_is_refused(
    shop: PddGateway, changes: dict[str, Any], code: int
) -> None:
    assert code_of(call(shop, ORDERS, WINDOW, **changes)) == code


def test_a_timestamp_ten_minutes_off_is_accepted(shop: PddGateway) -> None:
    for off in (-600, 600):
        assert "order_sn_increment_get_response" in call(
            shop, ORDERS, WINDOW, timestamp=MACHINE + off
        )


def test_the_refused_parameter_is_named_as_the_documentation_shows(shop: PddGateway) -> None:
    error = call(shop, ORDERS, WINDOW, type=None)["error_response"]
    assert error["error_msg"] == "公共参数错误:type"
    assert error["request_id"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"end_updated_at": START + 1801}, 21001),
        ({"end_updated_at": START - 1}, 21001),
        ({"start_updated_at": None}, 21002),
        ({"end_updated_at": None}, 21002),
        ({"start_updated_at": "2017-10-01 18:00:00"}, 21001),
        ({"order_status": None}, 21002),
        ({"order_status": 4}, 21001),
        ({"refund_status": 6}, 21001),
        ({"is_lucky_flag": None}, 21002),
        ({"is_lucky_flag": 3}, 21001),
        ({"page": 0}, 21001),
        ({"page_size": 101}, 21001),
        ({"page_size": 0}, 21001),
        ({"trade_type": 2}, 21001),
        ({"use_has_next": "True"}, 21001),
    ],
)
def test_a_list_asked_against_its_rules_is_refused(
    shop: PddGateway, changes: dict[str, Any], code: int
) -> None:
    assert code_of(call(shop, ORDERS, {**WINDOW, **changes})) == code


def test_half_an_hour_exactly_is_accepted(shop: PddGateway) -> None:
    assert END - START == 1800
    assert listed(shop)["total_count"] >= 0


def test_parameters_come_as_form_query_or_json_or_mixed(shop: PddGateway) -> None:
    parameters = signed(ORDERS, {**WINDOW, "use_has_next": "false"})
    form = "&".join(f"{name}={value}" for name, value in parameters.items())
    names = ("type", "client_id", "access_token", "timestamp", "data_type", "sign")
    query = "&".join(f"{name}={parameters[name]}" for name in names)
    rest = "&".join(f"{n}={v}" for n, v in parameters.items() if n not in names)
    natural = {**parameters, **WINDOW, "use_has_next": False, "timestamp": MACHINE}
    answers = [
        shop.answer("", form.encode()),
        shop.answer(form, b""),
        shop.answer(query, rest.encode()),
        shop.answer("", orjson.dumps(natural), "application/json"),
        shop.answer(query, orjson.dumps({**WINDOW, "use_has_next": False}), "application/json"),
    ]
    bodies = [orjson.loads(answer.body) for answer in answers]
    lists = [one["order_sn_increment_get_response"]["order_sn_list"] for one in bodies]
    assert lists[0]
    assert all(one == lists[0] for one in lists)


@pytest.mark.parametrize("body", [b"{", b"[]"])
def test_a_body_that_is_no_json_object_is_refused(shop: PddGateway, body: bytes) -> None:
    answer = orjson.loads(shop.answer("", body, "application/json").body)
    assert code_of(answer) == 10000


def test_only_post_is_answered(shop: PddGateway) -> None:
    assert code_of(orjson.loads(shop.answer("", b"", verb="GET").body)) == 10002


# --- tokens and limits ------------------------------------------------------------------------


def test_an_expired_token_is_refused_until_it_is_renewed(shop: PddGateway) -> None:
    shop.replace_faults(PddFaults(token_expired=1))
    assert [code_of(call(shop, ORDERS, WINDOW)) for _ in range(2)] == [10019, 10019]
    renew = {"refresh_token": FIRST_REFRESH_TOKEN}
    body = call(shop, REFRESH, renew, access_token=None)["pop_auth_token_refresh_response"]
    assert "order_sn_increment_get_response" in call(
        shop, ORDERS, WINDOW, access_token=body["access_token"]
    )
    assert code_of(call(shop, ORDERS, WINDOW)) == 10019
    # A refresh token serves once.
    assert code_of(call(shop, REFRESH, renew, access_token=None)) == 10000


def test_too_many_calls_within_a_span_are_refused(book: OrderBook) -> None:
    now = [0.0]
    limits = PddLimits(spans=PUBLISHED_LIMITS)
    shop = gateway(book, limits=limits, elapsed=lambda: now[0])
    for _ in range(100):
        assert "refund_increment_get_response" in call(shop, REFUNDS, REFUND_WINDOW)
    assert code_of(call(shop, REFUNDS, REFUND_WINDOW)) == 70031
    assert "order_sn_increment_get_response" in call(shop, ORDERS, WINDOW)
    now[0] = 10.0
    assert "refund_increment_get_response" in call(shop, REFUNDS, REFUND_WINDOW)


def test_an_app_in_its_test_phase_has_so_many_calls_a_day(shop: PddGateway) -> None:
    shop.replace_limits(PddLimits(test_phase_calls=2))
    answers = [call(shop, ORDERS, WINDOW) for _ in range(3)]
    assert code_of(answers[2]) == 70036
    shop.clock.tick(86_400)
    assert "order_sn_increment_get_response" in call(shop, ORDERS, WINDOW)


@pytest.mark.parametrize(
    ("fault", "code"), [("too_often", 70031), ("busy", 52101), ("closed", 52103)]
)
def test_a_counted_fault_passes(shop: PddGateway, fault: str, code: int) -> None:
    shop.replace_faults(PddFaults.model_validate({fault: 2}))
    assert [code_of(call(shop, ORDERS, WINDOW)) for _ in range(2)] == [code, code]
    assert "order_sn_increment_get_response" in call(shop, ORDERS, WINDOW)


def test_answers_can_be_no_answers(shop: PddGateway) -> None:
    form = "&".join(f"{name}={value}" for name, value in signed(ORDERS, WINDOW).items()).encode()
    shop.replace_faults(PddFaults(http_error=HttpError(calls=1, status=429, retry_after=9)))
    first = shop.answer("", form)
    assert (first.status, first.headers) == (429, {"Retry-After": "9"})
    shop.replace_faults(PddFaults(html=1, truncate=1))
    assert shop.answer("", form).body.startswith(b"<html>")
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(shop.answer("", form).body)
    shop.replace_faults(PddFaults(cut=1))
    cut = shop.answer("", form)
    assert int(cut.headers["Content-Length"]) > len(cut.body)


# --- orders -----------------------------------------------------------------------------------


def test_the_list_holds_the_windows_orders_in_their_present_version(
    shop: PddGateway, book: OrderBook
) -> None:
    answer = listed(shop)
    clock = wall_seconds(NOW)
    start, end = START + 8 * 3600, END + 8 * 3600
    trades, _ = book.trade_events.modified_between(start, end, clock)
    records = answer["order_sn_list"]
    assert 0 < len(records) == answer["total_count"] == len(trades)
    sns = {order_sn(int(book.basket[t]), int(book.created[t])) for t in trades}
    assert {one["order_sn"] for one in records} == sns
    assert all(START <= unix(one["updated_at"]) <= END for one in records)
    moments = [one["updated_at"] for one in records]
    assert moments == sorted(moments, reverse=True)


def test_pages_and_has_next(shop: PddGateway) -> None:
    whole = listed(shop)["order_sn_list"]
    parts = [listed(shop, page=page, page_size=2) for page in range(1, len(whole) // 2 + 2)]
    assert [one for part in parts for one in part["order_sn_list"]] == whole
    first = listed(shop, page_size=2, use_has_next="true")
    assert first["has_next"] is True
    assert "total_count" not in first
    assert listed(shop, page=50)["order_sn_list"] == []


def test_amounts_add_up_and_equal_the_books(book: OrderBook) -> None:
    writer = Writer(book, wall_seconds(NOW))
    trades = range(0, book.trade_count, 53)
    for trade, record in zip(trades, writer.orders(trades, [0] * len(trades), "list"), strict=True):
        fen = {name: round(float(value) * 100) for name, value in record.items() if is_fen(name)}
        assert fen["pay_amount"] == book.trade_paid[trade]
        assert fen["goods_amount"] - fen["discount_amount"] + fen["postage"] == fen["pay_amount"]
        parts = ("platform_discount", "seller_discount", "capital_free_discount")
        assert sum(fen[name] for name in parts) == fen["discount_amount"]
        items = [
            round(float(i["goods_price"]) * 100) * i["goods_count"] for i in record["item_list"]
        ]
        assert sum(items) == fen["goods_amount"]


def is_fen(name: str) -> bool:
    return name.endswith(("_amount", "_discount")) or name == "postage"


def test_amounts_come_as_numbers_where_wanted(book: OrderBook) -> None:
    (text,) = Writer(book, wall_seconds(NOW)).orders([0], [0], "list")
    (number,) = Writer(book, wall_seconds(NOW), has_numbers=True).orders([0], [0], "list")
    assert isinstance(text["pay_amount"], str)
    assert isinstance(number["pay_amount"], float)
    assert f"{number['pay_amount']:.2f}" == text["pay_amount"]


def test_an_orders_states_follow_the_clock(book: OrderBook) -> None:
    seen: Counter[tuple[int, int, int]] = Counter()
    for trade in range(book.trade_count):
        if book.outcome[trade] == Outcome.FINISHED and trade % 40:
            continue
        lines = slice(book.line_start[trade], book.line_start[trade + 1])
        rows = book.refund_of_line[lines]
        rows = rows[rows >= 0]
        moments = [int(book.created[trade]), int(book.paid[trade]), int(book.shipped[trade])]
        moments += [int(book.ended[trade])]
        for times in (book.refund_requested, book.refund_decided, book.refund_ended):
            moments += times[rows].tolist()
        for moment in moments:
            if moment != NEVER:
                state = Writer(book, moment).statuses(trade)
                seen[state["order_status"], state["confirm_status"], state["refund_status"]] += 1
    assert set(seen) == {
        (1, 0, 1),  # not paid
        (1, 2, 1),  # never paid
        (1, 1, 1),  # to be shipped
        (1, 1, 2),  # a refund is asked for before shipping
        (1, 1, 4),  # refunded before shipping
        (2, 1, 1),
        (2, 1, 2),
        (2, 1, 4),
        (3, 1, 1),
        (3, 1, 2),
        (3, 1, 4),
    }


def test_contacts_are_ciphertext_and_only_while_the_order_is_to_be_shipped(
    book: OrderBook,
) -> None:
    writer = Writer(book, wall_seconds(NOW))
    trades = range(max(0, book.trade_count // 2), book.trade_count, 7)
    seen = Counter()
    for record in writer.orders(trades, [0] * len(trades), "list"):
        is_open = record["order_status"] == 1 and not record["risk_control_status"]
        assert bool(record["receiver_phone"]) is is_open
        assert record["receiver_phone"] == "" or record["receiver_phone"].startswith("~AgAAAA")
        assert not {"buyer_id", "open_uid", "buyer_open_uid"} & record.keys()
        seen[is_open, record["risk_control_status"]] += 1
    assert seen[True, 0]
    assert seen[False, 0]


def test_an_order_dealt_more_than_three_months_ago_is_not_listed(book: OrderBook) -> None:
    shop = gateway(book)
    clock = wall_seconds(NOW)
    depth = three_months_before(clock)
    old = int(np.flatnonzero(book.paid < depth)[-1])
    young = int(np.flatnonzero((book.paid >= depth) & (book.paid < clock))[0])
    shop.touch(old)
    shop.touch(young)
    window = {"start_updated_at": unix("2017-10-02 01:50:00")}
    window["end_updated_at"] = window["start_updated_at"] + 1800
    sns = {one["order_sn"] for one in listed(shop, **window)["order_sn_list"]}
    known = {t: order_sn(int(book.basket[t]), int(book.created[t])) for t in (old, young)}
    assert known[young] in sns
    assert known[old] not in sns


@pytest.mark.parametrize(
    ("now", "then"),
    [("2017-10-02", "2017-07-02"), ("2017-05-31", "2017-02-28"), ("2017-03-15", "2016-12-15")],
)
def test_three_months_are_calendar_months(now: str, then: str) -> None:
    clocks = [
        wall_seconds(datetime.fromisoformat(day).replace(tzinfo=PLATFORM_ZONE))
        for day in (now, then)
    ]
    assert three_months_before(clocks[0]) == clocks[1]


def test_lists_may_lag(shop: PddGateway, book: OrderBook) -> None:
    trade = int(np.flatnonzero(book.created < wall_seconds(NOW))[-1])
    shop.touch(trade)
    window = {"start_updated_at": unix("2017-10-02 01:45:00")}
    window["end_updated_at"] = window["start_updated_at"] + 1800
    sn = order_sn(int(book.basket[trade]), int(book.created[trade]))

    def shown() -> set[str]:
        return {
            one["order_sn"]
            for one in listed(shop, **window)["order_sn_list"]
            if one["updated_at"] == "2017-10-02 02:00:00"
        }

    assert sn in shown()
    shop.replace_faults(PddFaults(lag_seconds=60))
    assert sn not in shown()
    shop.clock.tick(60)
    assert sn in shown()


def test_filters_choose(shop: PddGateway) -> None:
    every = listed(shop)["order_sn_list"]
    for status in (1, 2, 3):
        chosen = listed(shop, order_status=status)["order_sn_list"]
        assert chosen == [one for one in every if one["order_status"] == status]
    assert listed(shop, refund_status=4)["total_count"] == len(
        [one for one in every if one["refund_status"] == 4]
    )
    assert listed(shop, is_lucky_flag=2)["total_count"] == 0
    assert listed(shop, trade_type=1)["total_count"] == 0


def test_orders_by_the_time_of_the_deal(shop: PddGateway, book: OrderBook) -> None:
    start = unix("2017-10-01 00:00:00")
    asked = {**WINDOW, "start_confirm_at": start, "end_confirm_at": start + 86_400}
    body = call(shop, "pdd.order.list.get", asked)["order_list_get_response"]
    paid = book.paid - 8 * 3600
    assert body["total_count"] == np.count_nonzero((paid >= start) & (paid <= start + 86_400))
    basic = call(shop, "pdd.order.basic.list.get", asked)["order_basic_list_get_response"]
    assert basic["total_count"] == body["total_count"]
    assert "receiver_phone" in body["order_list"][0]
    assert "receiver_phone" not in basic["order_list"][0]
    too_long = {**asked, "end_confirm_at": start + 86_401}
    assert code_of(call(shop, "pdd.order.list.get", too_long)) == 21001


def test_one_order_in_full(shop: PddGateway) -> None:
    record = listed(shop)["order_sn_list"][0]
    method = "pdd.order.information.get"
    body = call(shop, method, {"order_sn": record["order_sn"]})["order_info_get_response"]
    assert body["order_info"].items() >= record.items()
    assert "*" in body["order_info"]["receiver_phone_mask"]
    for unknown in ("", "171001-000000000000000", "nonsense"):
        assert code_of(call(shop, method, {"order_sn": unknown})) == 21001


def test_order_numbers_are_unique_and_give_the_basket_back(book: OrderBook) -> None:
    pairs = list(zip(book.basket.tolist(), book.created.tolist(), strict=True))[::11]
    sns = [order_sn(basket, created) for basket, created in pairs]
    assert len(set(sns)) == len(sns)
    assert [basket_of(sn) for sn in sns] == [basket for basket, _ in pairs]
    assert all(len(sn) == 22 and sn[6] == "-" for sn in sns)


# --- refunds ----------------------------------------------------------------------------------


def refunds(shop: PddGateway, **changes: Any) -> list[dict[str, Any]]:
    body = call(shop, REFUNDS, {**REFUND_WINDOW, **changes})["refund_increment_get_response"]
    assert body["total_count"] == len(body["refund_list"])
    return list(body["refund_list"])


def test_there_is_no_status_for_all_refunds(shop: PddGateway) -> None:
    assert code_of(call(shop, REFUNDS, {**REFUND_WINDOW, "after_sales_status": 1})) == 21001
    assert code_of(call(shop, REFUNDS, {**REFUND_WINDOW, "after_sales_status": None})) == 21002
    assert code_of(call(shop, REFUNDS, {**REFUND_WINDOW, "after_sales_status": 34})) == 21001


def test_older_apps_may_ask_for_all_refunds(book: OrderBook) -> None:
    shop = gateway(book, has_all_refunds=True)
    statuses = (*range(2, 13), 0)
    window: dict[str, Any] = {}
    for hour in range(24):
        start = unix("2017-10-01 00:00:00") + 3600 * hour
        window = {"start_updated_at": start, "end_updated_at": start + 1800}
        apart = [one for s in statuses for one in refunds(shop, after_sales_status=s, **window)]
        at_once = refunds(shop, after_sales_status=1, **window)
        assert sorted(one["id"] for one in apart) == sorted(one["id"] for one in at_once)


def test_refunds_of_one_order_ignore_the_other_filters(shop: PddGateway, book: OrderBook) -> None:
    row = int(np.flatnonzero(book.refund_ended < wall_seconds(NOW - timedelta(days=3)))[0])
    trade = int(book.refund_trade[row])
    sn = order_sn(int(book.basket[trade]), int(book.created[trade]))
    found = refunds(shop, order_sn=sn, after_sales_status=33)
    assert {one["order_sn"] for one in found} == {sn}
    assert refunds(shop, order_sn="nonsense") == []


def test_refunds_say_how_they_stand(shop: PddGateway, book: OrderBook) -> None:
    seen: Counter[tuple[int, int]] = Counter()
    for row in range(len(book.refund_line)):
        for times in (book.refund_requested, book.refund_decided, book.refund_ended):
            if times[row] != NEVER:
                (record,) = Writer(book, int(times[row])).refunds([row], [int(times[row])])
                seen[record["after_sales_type"], record["after_sales_status"]] += 1
                assert int(record["id"]) > 2**53
    assert set(seen) == {(2, 2), (2, 6), (2, 10), (2, 12), (3, 3), (3, 7), (3, 10)}


def test_refund_times_come_in_unix_seconds_where_wanted(book: OrderBook) -> None:
    row = int(np.flatnonzero(book.refund_requested < wall_seconds(NOW))[0])
    moment = int(book.refund_requested[row])
    (wall,) = Writer(book, moment).refunds([row], [moment])
    (seconds,) = Writer(book, moment, has_unix_times=True).refunds([row], [moment])
    assert unix(wall["updated_time"]) == int(seconds["updated_time"])


# --- edits ------------------------------------------------------------------------------------


def test_edits_change_what_they_name(shop: PddGateway) -> None:
    first, second = (one["order_sn"] for one in listed(shop)["order_sn_list"][:2])
    edits = [
        Edit(order_sn=first, set={"pay_amount": "1.00"}, drop=["postage"]),
        Edit(order_sn=second, item=1, set={"goods_name": "茶"}),
        Edit(order_sn=second, item=999, set={"goods_name": "no"}),
    ]
    shop.replace_faults(PddFaults(edits=edits))
    records = {one["order_sn"]: one for one in listed(shop)["order_sn_list"]}
    assert records[first]["pay_amount"] == "1.00"
    assert "postage" not in records[first]
    assert records[second]["item_list"][0]["goods_name"] == "茶"
    shop.replace_faults(PddFaults(edits=[Edit(order_sn=first, touch=True)]))
    assert first not in {one["order_sn"] for one in listed(shop)["order_sn_list"]}
