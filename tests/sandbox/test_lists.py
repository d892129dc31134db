"""Lists and single records: windows, paging, fields, wrapping, masks."""

from datetime import datetime
from typing import Any

import numpy as np
import orjson
import pytest

from regulars.sandbox.book import OrderBook
from regulars.sandbox.protocol import PLATFORM_ZONE
from regulars.sandbox.server import TEST_ACCESS
from regulars.sandbox.shop import SandboxShop
from regulars.sandbox.timeline import Outcome
from tests.sandbox.calls import (
    FULL,
    INCREMENT,
    NOW,
    REFUND,
    REFUNDS,
    SOLD,
    SUNDAY,
    answered,
    ask,
    refunds,
    refused,
    trades,
)


def _all(shop: SandboxShop, method: str, **parameters: Any) -> list[dict[str, Any]]:
    size = int(parameters.get("page_size", 40))
    total = ask(shop, method, **parameters)["total_results"]
    found = []
    for page in range(1, -(-total // size) + 1):
        content = ask(shop, method, page_no=page, **parameters)
        found += refunds(content) if method == REFUNDS else trades(content)
    assert len(found) == total
    return found


def test_modified_trades_come_newest_first_and_each_once(shop: SandboxShop) -> None:
    found = _all(shop, INCREMENT, fields="tid,modified", page_size=7, **SUNDAY)
    assert len(found) > 20
    assert len({trade["tid"] for trade in found}) == len(found)
    times = [trade["modified"] for trade in found]
    assert times == sorted(times, reverse=True)
    assert all(time.startswith("2017-10-01 ") for time in times)


def test_both_ends_of_a_window_are_included(shop: SandboxShop) -> None:
    (newest, *_, oldest) = _all(shop, INCREMENT, fields="tid,modified", **SUNDAY)
    exact = _all(
        shop,
        INCREMENT,
        fields="tid",
        start_modified=oldest["modified"],
        end_modified=newest["modified"],
    )
    assert {newest["tid"], oldest["tid"]} <= {trade["tid"] for trade in exact}


def test_only_the_current_version_is_served(shop: SandboxShop) -> None:
    before = {trade["tid"]: trade for trade in _all(shop, INCREMENT, fields="tid,status", **SUNDAY)}
    shop.now = datetime(2017, 10, 20, tzinfo=PLATFORM_ZONE)
    after = _all(shop, INCREMENT, fields="tid,status", **SUNDAY)
    assert {trade["tid"] for trade in after} < before.keys()
    assert len(after) < len(before) / 2
    tid = next(tid for tid, trade in before.items() if trade["status"] == "WAIT_SELLER_SEND_GOODS")
    content = ask(shop, FULL, fields="status,modified", tid=tid)["trade"]
    assert content["status"] != "WAIT_SELLER_SEND_GOODS"
    assert content["modified"] > "2017-10-02"


def test_nothing_of_the_future_is_served(shop: SandboxShop) -> None:
    shop.now = datetime(2017, 10, 1, 12, tzinfo=PLATFORM_ZONE)
    for trade in _all(shop, INCREMENT, fields="modified,pay_time,consign_time,end_time", **SUNDAY):
        assert max(trade.values()) <= "2017-10-01 12:00:00"
    tomorrow = int(np.flatnonzero(shop.book.created > shop._clock)[0])
    error = refused(shop, FULL, fields="tid", tid=int(shop.book.tid[tomorrow]))
    assert error["sub_code"] == "isv.trade-not-exist"


def test_pages_have_forty_records_unless_asked_otherwise(shop: SandboxShop) -> None:
    shop.now = datetime(2017, 12, 1, tzinfo=PLATFORM_ZONE)
    assert len(trades(ask(shop, SOLD, fields="tid"))) == 40
    assert len(trades(ask(shop, SOLD, fields="tid", page_size=100))) == 100


def test_has_next_replaces_the_total(shop: SandboxShop) -> None:
    total = ask(shop, INCREMENT, fields="tid", **SUNDAY)["total_results"]
    last = -(-total // 10)
    pages = [
        ask(
            shop, INCREMENT, fields="tid", page_size=10, page_no=page, use_has_next="true", **SUNDAY
        )
        for page in (1, last, last + 1)
    ]
    assert [page["has_next"] for page in pages] == [True, False, False]
    assert not any("total_results" in page for page in pages)
    assert "trades" not in pages[2]


def test_a_full_last_page_has_no_next(shop: SandboxShop) -> None:
    total = ask(shop, INCREMENT, fields="tid", **SUNDAY)["total_results"]
    assert total <= 100
    page = ask(shop, INCREMENT, fields="tid", page_size=total, use_has_next="true", **SUNDAY)
    assert page["has_next"] is False
    assert len(trades(page)) == total


def test_a_window_is_at_most_one_day(shop: SandboxShop) -> None:
    start = "2017-10-01 00:00:00"
    day = {"fields": "tid", "start_modified": start}
    ask(shop, INCREMENT, end_modified="2017-10-02 00:00:00", **day)
    for end in ("2017-10-02 00:00:01", start, "2017-09-30 00:00:00"):
        error = refused(shop, INCREMENT, end_modified=end, **day)
        assert (error["code"], error["sub_code"]) == (41, "isv.invalid-parameter:end_modified")


def test_modifications_are_kept_for_three_months(shop: SandboxShop) -> None:
    def window(start: str, end: str) -> dict[str, str]:
        return {"fields": "tid", "start_modified": start, "end_modified": end}

    ask(shop, INCREMENT, **window("2017-07-02 02:00:00", "2017-07-02 03:00:00"))
    error = refused(shop, INCREMENT, **window("2017-07-02 01:59:59", "2017-07-02 03:00:00"))
    assert error["sub_code"] == "isv.invalid-parameter:start_modified"


def test_three_months_before_the_end_of_a_long_month(small_book: OrderBook) -> None:
    shop = SandboxShop(
        small_book,
        TEST_ACCESS,
        now=datetime(2017, 5, 31, tzinfo=PLATFORM_ZONE),
        machine_seconds=None,
    )
    window = {"fields": "tid", "end_modified": "2017-02-28 12:00:00"}
    ask(shop, INCREMENT, start_modified="2017-02-28 00:00:00", **window)
    refused(shop, INCREMENT, start_modified="2017-02-27 23:59:59", **window)


def test_created_trades_reach_back_three_months_at_most(shop: SandboxShop) -> None:
    found = _all(
        shop, SOLD, fields="tid,created", page_size=100, start_created="2017-01-01 00:00:00"
    )
    times = [trade["created"] for trade in found]
    assert times == sorted(times, reverse=True)
    assert times[-1] >= "2017-07-02 02:00:00"
    assert times[0] <= "2017-10-02 02:00:00"
    october = _all(shop, SOLD, fields="tid", start_created="2017-10-01 00:00:00")
    assert {trade["tid"] for trade in october} == {
        trade["tid"] for trade in found if trade["created"] >= "2017-10-01"
    }


def test_numbers_are_json_integers_and_amounts_text(shop: SandboxShop) -> None:
    content = ask(shop, INCREMENT, fields="tid,payment,orders", page_size=100, **SUNDAY)
    for trade in trades(content):
        assert isinstance(trade["tid"], int)
        assert trade["tid"] > 2**53
        lines = trade["orders"]["order"]
        assert all(isinstance(line["oid"], int) for line in lines)
        assert all(isinstance(line["num_iid"], int) for line in lines)
        amounts = [trade["payment"], *(line["divide_order_fee"] for line in lines)]
        assert all(amount.split(".")[1].isdigit() and amount[-3] == "." for amount in amounts)


def _fen(amount: str) -> int:
    return int(amount.replace(".", ""))


def test_money_of_trades_and_lines_adds_up(shop: SandboxShop) -> None:
    found = _all(
        shop,
        SOLD,
        fields="payment,total_fee,discount_fee,post_fee,adjust_fee,orders",
        page_size=100,
    )
    shared = 0
    for trade in found:
        lines = trade["orders"]["order"]
        assert _fen(trade["payment"]) == _fen(trade["total_fee"]) - _fen(trade["discount_fee"])
        assert _fen(trade["payment"]) == sum(_fen(line["divide_order_fee"]) for line in lines)
        assert _fen(trade["total_fee"]) == sum(_fen(line["total_fee"]) for line in lines)
        for line in lines:
            share = _fen(line.get("part_mjz_discount", "0.00"))
            shared += share
            assert _fen(line["payment"]) == _fen(line["total_fee"]) - _fen(line["discount_fee"])
            assert _fen(line["divide_order_fee"]) == _fen(line["payment"]) - share
        if len(lines) == 1:
            assert lines[0]["payment"] == trade["payment"]
    assert shared > 0


def test_single_line_trades_carry_the_item_themselves(shop: SandboxShop) -> None:
    found = _all(shop, SOLD, fields="tid,num,num_iid,price,orders", page_size=100)
    single = [trade for trade in found if len(trade["orders"]["order"]) == 1]
    several = [trade for trade in found if len(trade["orders"]["order"]) > 1]
    assert single
    assert several
    for trade in single:
        (line,) = trade["orders"]["order"]
        assert line["oid"] == trade["tid"]
        assert [trade[name] for name in ("num", "num_iid", "price")] == [
            line[name] for name in ("num", "num_iid", "price")
        ]
    for trade in several:
        assert trade["num"] == 0
        assert "num_iid" not in trade
        oids = [line["oid"] for line in trade["orders"]["order"]]
        assert oids == list(range(trade["tid"] + 1, trade["tid"] + len(oids) + 1))


def test_only_fields_asked_for_and_with_a_value_are_returned(shop: SandboxShop) -> None:
    found = _all(shop, INCREMENT, fields="tid,end_time,no_such_field", page_size=100, **SUNDAY)
    assert {frozenset(trade) for trade in found} == {
        frozenset(("tid",)),
        frozenset(("tid", "end_time")),
    }
    (trade, *_) = trades(ask(shop, INCREMENT, fields="orders.oid,orders.title", **SUNDAY))
    assert trade.keys() == {"orders"}
    assert all(line.keys() == {"oid", "title"} for line in trade["orders"]["order"])


def test_lists_leave_out_what_only_the_full_record_has(shop: SandboxShop) -> None:
    fields = "tid,tid_str,sign_time,trade_from,orders.oid_str,orders.oid"
    (listed, *_) = trades(ask(shop, SOLD, fields=fields, status="TRADE_FINISHED"))
    assert listed.keys() == {"tid", "orders"}
    full = ask(shop, FULL, fields=fields, tid=listed["tid"])["trade"]
    assert full["tid_str"] == str(full["tid"])
    assert full["sign_time"]
    assert [line["oid_str"] for line in full["orders"]["order"]] == [
        str(line["oid"]) for line in listed["orders"]["order"]
    ]


def test_buyers_are_masked_and_the_addressee_needs_all_its_fields(shop: SandboxShop) -> None:
    needs = "receiver_name,receiver_address,created,receiver_mobile,receiver_phone"
    (trade, *_) = trades(ask(shop, INCREMENT, fields=f"buyer_nick,oaid,{needs}", **SUNDAY))
    assert trade["buyer_open_uid"].startswith("AA")  # comes with the nick
    assert all("*" in trade[name] for name in ("buyer_nick", "receiver_name", "receiver_address"))
    assert trade["receiver_mobile"].startswith("*******")
    assert len(trade["oaid"]) > 20
    (partly, *_) = trades(ask(shop, INCREMENT, fields="oaid,receiver_name,created", **SUNDAY))
    assert "oaid" not in partly


def test_lists_filter_by_status_type_and_buyer(shop: SandboxShop) -> None:
    everything = _all(shop, SOLD, fields="tid,status,buyer_nick", page_size=100)
    finished = _all(shop, SOLD, fields="tid,status", page_size=100, status="TRADE_FINISHED")
    assert len(finished) == sum(trade["status"] == "TRADE_FINISHED" for trade in everything)
    closed = _all(shop, SOLD, fields="tid,status", page_size=100, status="ALL_CLOSED")
    assert {trade["status"] for trade in closed} == {"TRADE_CLOSED", "TRADE_CLOSED_BY_TAOBAO"}
    assert _all(shop, SOLD, fields="tid", type="fenxiao,cod") == []
    assert len(_all(shop, SOLD, fields="tid", page_size=100, type="fixed,cod")) == len(everything)
    buyer = everything[0]["buyer_open_uid"]
    assert len(_all(shop, SOLD, fields="tid", page_size=100, buyer_open_uid=buyer)) == sum(
        trade["buyer_open_uid"] == buyer for trade in everything
    )
    assert _all(shop, SOLD, fields="tid", buyer_open_uid="AAnobody") == []


def test_simplify_drops_the_envelope_and_the_wrappers(shop: SandboxShop) -> None:
    body = orjson.loads(
        answered(shop, INCREMENT, fields="tid,orders.oid", simplify="true", **SUNDAY).body
    )
    assert isinstance(body["trades"], list)
    assert isinstance(body["trades"][0]["orders"], list)


def test_an_empty_shop_answers_with_no_list_at_all() -> None:
    shop = SandboxShop(OrderBook.sample(households=0), TEST_ACCESS, now=NOW, machine_seconds=None)
    for method in (INCREMENT, REFUNDS, SOLD):
        content = ask(shop, method, fields="tid,orders", **SUNDAY)
        assert content.keys() == {"total_results", "request_id"}
        assert content["total_results"] == 0


def test_the_seller_receives_money_only_when_a_trade_finishes(shop: SandboxShop) -> None:
    found = _all(shop, SOLD, fields="status,payment,received_payment", page_size=100)
    for trade in found:
        if trade["status"] != "TRADE_FINISHED":
            assert trade["received_payment"] == "0.00"
    received = [
        trade["received_payment"] == trade["payment"]
        for trade in found
        if trade["status"] == "TRADE_FINISHED"
    ]
    assert 0.95 < sum(received) / len(received) < 1


def test_refunds_follow_their_trade(shop: SandboxShop) -> None:
    shop.now = datetime(2017, 12, 1, tzinfo=PLATFORM_ZONE)
    fields = (
        "refund_id,tid,oid,total_fee,refund_fee,payment,status,created,modified,good_status,"
        "has_good_return,order_status,refund_phase,dispute_type,reason,num,buyer_open_uid,title"
    )
    found = _all(shop, REFUNDS, fields=fields, page_size=30)
    assert len(found) > 30
    times = [refund["modified"] for refund in found]
    assert times == sorted(times, reverse=True)
    for refund in found:
        assert isinstance(refund["refund_id"], str)
        assert _fen(refund["total_fee"]) - _fen(refund["refund_fee"]) == _fen(refund["payment"])
        trade = ask(shop, FULL, fields="modified,status,orders", tid=refund["tid"])["trade"]
        (line,) = (line for line in trade["orders"]["order"] if line["oid"] == refund["oid"])
        assert line["refund_id"] == refund["refund_id"]
        assert line["refund_status"] == refund["status"]
        assert trade["status"] == refund["order_status"]
        assert trade["modified"] >= refund["modified"]
        assert (refund["refund_phase"] == "aftersale") == refund["has_good_return"]
        same = ask(shop, REFUND, fields=fields, refund_id=refund["refund_id"])["refund"]
        assert same == refund


def test_refunds_are_listed_by_window_and_status(shop: SandboxShop) -> None:
    shop.now = datetime(2017, 12, 1, tzinfo=PLATFORM_ZONE)
    everything = _all(shop, REFUNDS, fields="refund_id,modified,status", page_size=100)
    window = {"start_modified": "2017-10-01 00:00:00", "end_modified": "2017-10-31 23:59:59"}
    october = _all(shop, REFUNDS, fields="refund_id,modified", page_size=100, **window)
    assert [refund["refund_id"] for refund in october] == [
        refund["refund_id"] for refund in everything if refund["modified"][:7] == "2017-10"
    ]
    closed = _all(shop, REFUNDS, fields="status", page_size=100, status="CLOSED")
    assert 0 < len(closed) == sum(refund["status"] == "CLOSED" for refund in everything)
    assert _all(shop, REFUNDS, fields="status", status="NO_SUCH_STATUS") == []


def test_unknown_refunds_are_refused(shop: SandboxShop) -> None:
    assert refused(shop, REFUND, fields="tid", refund_id="1")["sub_code"] == "isv.refund-not-exist"
    assert refused(shop, REFUND, fields="tid", refund_id="x")["sub_code"] == "isv.refund-not-exist"
    later = int(np.flatnonzero(shop.book.refund_requested > shop._clock)[0])
    number = int(shop.book.refund_id[later])
    error = refused(shop, REFUND, fields="tid", refund_id=number)
    assert error["sub_code"] == "isv.refund-not-exist"


@pytest.mark.parametrize(
    ("outcome", "line_status"),
    [(Outcome.CLOSED, "TRADE_CLOSED"), (Outcome.LATE_REFUNDED, "TRADE_FINISHED")],
)
def test_a_refunded_line_is_closed_unless_the_trade_had_finished(
    shop: SandboxShop, outcome: Outcome, line_status: str
) -> None:
    shop.now = datetime(2018, 3, 1, tzinfo=PLATFORM_ZONE)
    row = int(np.flatnonzero(shop.book.outcome[shop.book.refund_trade] == outcome)[0])
    tid = int(shop.book.tid[shop.book.refund_trade[row]])
    trade = ask(shop, FULL, fields="received_payment,payment,orders", tid=tid)["trade"]
    (line, *_) = (line for line in trade["orders"]["order"] if "refund_id" in line)
    assert line["status"] == line_status
    refunded = int(
        shop.book.refund_fee[shop.book.refund_trade == shop.book.refund_trade[row]].sum()
    )
    kept = _fen(trade["payment"]) - refunded if outcome == Outcome.LATE_REFUNDED else 0
    assert _fen(trade["received_payment"]) == kept
