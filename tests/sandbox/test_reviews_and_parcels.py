"""Reviews that are made up, and parcels on their way: as the platform lists them."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from regulars.sandbox import parcels
from regulars.sandbox.book import OrderBook
from regulars.sandbox.protocol import PLATFORM_ZONE
from regulars.sandbox.reviews import REVIEWED_SHARE, Reviews, judgement
from regulars.sandbox.server import TEST_ACCESS
from regulars.sandbox.shop import SandboxShop
from tests.sandbox.calls import FULL, NOW, ask, refused

RATES = "taobao.traderates.get"
PARCELS = "taobao.logistics.orders.get"
WAY = "taobao.logistics.trace.get"
SEARCH = "taobao.logistics.trace.search"
RECEIVED = {"rate_type": "get", "role": "buyer", "fields": "tid,oid,result,content,created,nick"}


def reviews(content: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = content.get("trade_rates", {}).get("trade_rate", [])
    return found


def shippings(content: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = content.get("shippings", {}).get("shipping", [])
    return found


@pytest.fixture(scope="module")
def busy_shop(whole_book: OrderBook) -> SandboxShop:
    return SandboxShop(whole_book, TEST_ACCESS, now=NOW, machine_seconds=None)


def test_one_finished_trade_in_eight_has_a_review(whole_book: OrderBook) -> None:
    made = Reviews.of(whole_book)
    assert abs(len(made.trade) / whole_book.trade_count - REVIEWED_SHARE) < 0.01
    assert len(np.unique(made.trade)) == len(made.trade)
    assert (made.created > whole_book.ended[made.trade]).all()
    assert (np.diff(made.created) >= 0).all()
    again = Reviews.of(whole_book)
    assert (made.line == again.line).all()


def test_results_are_mostly_good_and_texts_say_that_they_are_samples(
    busy_shop: SandboxShop,
) -> None:
    listed = [
        one
        for page in range(1, 4)
        for one in reviews(ask(busy_shop, RATES, **RECEIVED, page_size=150, page_no=page))
    ]
    counts = {name: sum(one["result"] == name for one in listed) for name in ("good", "bad")}
    assert 0.8 < counts["good"] / len(listed) < 1
    assert counts["bad"] > 0
    assert {one["content"][:4] for one in listed} == {"【示例】", "此用户没"}
    assert judgement(listed[0]["oid"]) == (listed[0]["result"], listed[0]["content"])


def test_a_review_names_a_line_of_its_trade(shop: SandboxShop) -> None:
    one = reviews(ask(shop, RATES, **RECEIVED))[0]
    trade = ask(shop, FULL, tid=one["tid"], fields="status,end_time,orders.oid,buyer_nick")["trade"]
    assert trade["status"] == "TRADE_FINISHED"
    assert trade["end_time"] < one["created"]
    assert one["oid"] in [order["oid"] for order in trade["orders"]["order"]]
    assert one["nick"] == trade["buyer_nick"]


def test_reviews_come_with_the_clock_and_leave_after_180_days(shop: SandboxShop) -> None:
    october = {"start_date": "2017-10-01 00:00:00"}
    before = ask(shop, RATES, **RECEIVED, **october)["total_results"]
    shop.now = NOW + timedelta(days=7)
    assert ask(shop, RATES, **RECEIVED, **october)["total_results"] > before
    old = {"start_date": "2017-01-01 00:00:00", "end_date": "2017-03-01 00:00:00"}
    assert ask(shop, RATES, **RECEIVED, **old)["total_results"] == 0


def test_a_window_shows_1500_reviews_at_most(busy_shop: SandboxShop) -> None:
    half_a_year = {"start_date": "2017-04-10 00:00:00", "end_date": "2017-10-01 00:00:00"}
    content = ask(busy_shop, RATES, **RECEIVED, **half_a_year, page_size=150, page_no=10)
    assert content["total_results"] == 1_500
    assert len(reviews(content)) == 150
    beyond = ask(busy_shop, RATES, **RECEIVED, **half_a_year, page_size=150, page_no=11)
    assert reviews(beyond) == []


def test_reviews_can_be_asked_for_by_result_trade_and_product(busy_shop: SandboxShop) -> None:
    bad = reviews(ask(busy_shop, RATES, **RECEIVED, result="bad"))
    assert {one["result"] for one in bad} == {"bad"}
    (own,) = reviews(ask(busy_shop, RATES, **RECEIVED, tid=bad[0]["tid"]))
    assert own == bad[0]
    fields = {**RECEIVED, "fields": "num_iid"}
    article = reviews(ask(busy_shop, RATES, **fields))[0]["num_iid"]
    same = reviews(ask(busy_shop, RATES, **fields, num_iid=article))
    assert {one["num_iid"] for one in same} == {article}


def test_this_seller_reviews_nobody(shop: SandboxShop) -> None:
    given = {**RECEIVED, "rate_type": "give", "role": "seller"}
    assert ask(shop, RATES, **given)["total_results"] == 0


@pytest.mark.parametrize(
    ("change", "sub_code"),
    [
        ({"role": ""}, "isv.missing-parameter:role"),
        ({"rate_type": ""}, "isv.missing-parameter:rate_type"),
        ({"fields": ""}, "isv.missing-parameter:fields"),
        ({"role": "anybody"}, "isv.invalid-parameter:role"),
        ({"page_size": 151}, "isv.invalid-parameter:page_size"),
        ({"page_no": 201}, "isv.invalid-parameter:page_no"),
        (
            {"start_date": "2017-10-01 00:00:00", "end_date": "2017-10-01 00:00:00"},
            "isv.invalid-parameter:end_date",
        ),
    ],
)
def test_what_the_platform_refuses_is_refused(
    shop: SandboxShop, change: dict[str, Any], sub_code: str
) -> None:
    assert refused(shop, RATES, **{**RECEIVED, **change})["sub_code"] == sub_code


# --- parcels -------------------------------------------------------------------------------


def test_parcels_are_listed_by_their_shipping(shop: SandboxShop) -> None:
    day = {"start_created": "2017-09-20 00:00:00", "end_created": "2017-09-20 23:59:59"}
    content = ask(shop, PARCELS, fields="tid,created,status,delivery_end", page_size=100, **day)
    listed = shippings(content)
    assert len(listed) == content["total_results"] > 3
    assert all(one["created"].startswith("2017-09-20") for one in listed)
    assert [one["created"] for one in listed] == sorted(
        (one["created"] for one in listed), reverse=True
    )
    # Twelve days later everything has arrived.
    assert {one["status"] for one in listed} == {"ACCEPTED_BY_RECEIVER"}
    assert all("delivery_end" in one for one in listed)


def test_a_parcels_way_grows_with_the_clock(shop: SandboxShop) -> None:
    listed = shippings(
        ask(shop, PARCELS, fields="tid,status,out_sid", start_created="2017-09-25 00:00:00")
    )
    under_way = next(one for one in reversed(listed) if one["status"] == "ACCEPTED")
    lengths = []
    for days in (0, 4, 12):
        shop.now = NOW + timedelta(days=days)
        (way,) = ask(shop, WAY, tid=under_way["tid"])["result"]["transit_step_result"]
        lengths.append(len(way.get("trace_list", {}).get("transit_step_info", [])))
        assert way["out_sid"] == under_way["out_sid"]
    assert lengths[0] < 5
    assert lengths == sorted(lengths)
    assert lengths[-1] == 5
    steps = way["trace_list"]["transit_step_info"]
    assert [step["action"] for step in steps] == ["ACCEPT", "DEPART", "ARRIVE", "DELIVER", "SIGN"]
    assert ask(shop, SEARCH, tid=under_way["tid"])["trace_list"] == way["trace_list"]


def test_every_way_is_in_order_and_ends_with_the_signing(whole_book: OrderBook) -> None:
    trades = parcels.shipped_trades(whole_book, 0, 2**40, 2**40)[::97]
    for trade in trades.tolist():
        times = parcels.step_times(whole_book, trade)
        assert times == sorted(times)
        assert times[-1] == whole_book.signed[trade]
        assert times[0] > whole_book.shipped[trade]


def test_a_trade_that_was_not_shipped_has_no_way(shop: SandboxShop, small_book: OrderBook) -> None:
    trade = int(np.flatnonzero(small_book.shipped > 2**40)[0])
    tid = int(small_book.tid[trade])
    shop.now = datetime(2018, 6, 1, tzinfo=PLATFORM_ZONE)
    assert ask(shop, WAY, tid=tid)["result"] == {}
    assert ask(shop, PARCELS, tid=tid, fields="tid")["total_results"] == 0
    assert refused(shop, WAY, tid=5)["sub_code"] == "isv.trade-not-exist"
    assert refused(shop, WAY)["sub_code"] == "isv.missing-parameter:tid"
