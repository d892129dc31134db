"""Everything that can be made to go wrong, and what the access control does by itself."""

from datetime import timedelta
from functools import cache
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.sandbox.book import OrderBook
from regulars.sandbox.faults import Faults
from regulars.sandbox.limits import Limits
from regulars.sandbox.server import TEST_ACCESS
from regulars.sandbox.shop import SandboxShop
from tests.sandbox.calls import (
    FULL,
    INCREMENT,
    NOW,
    REFUNDS,
    SUNDAY,
    answered,
    ask,
    refunds,
    refused,
    trades,
)


def _set(shop: SandboxShop, **faults: Any) -> None:
    shop.replace_faults(Faults.model_validate(faults))


def _listed(shop: SandboxShop, **parameters: Any) -> dict[str, Any]:
    return ask(shop, INCREMENT, **{"fields": "tid,modified", **SUNDAY, **parameters})


def test_a_throttled_call_names_the_seconds_of_the_ban(shop: SandboxShop) -> None:
    _set(shop, throttle={"calls": 2, "seconds": 7})
    for _ in range(2):
        error = refused(shop, INCREMENT, fields="tid", **SUNDAY)
        assert error["code"] == 7
        assert error["sub_code"] == "accesscontrol.limited-by-api-access-count"
        assert error["sub_msg"] == "This ban will last for 7 more seconds"
    assert _listed(shop)["total_results"] > 0


def test_counted_faults_end_by_themselves(shop: SandboxShop) -> None:
    _set(shop, session_expired=1, system_busy=1)
    expired = refused(shop, INCREMENT, fields="tid", **SUNDAY)
    assert (expired["code"], expired["sub_code"]) == (27, "session-expired")
    busy = refused(shop, INCREMENT, fields="tid", **SUNDAY)
    assert (busy["code"], busy["sub_code"]) == (15, "isp.remote-service-error")
    assert _listed(shop)["total_results"] > 0


def test_http_errors_pages_and_cut_answers_are_no_json(shop: SandboxShop) -> None:
    _set(shop, http_error={"status": 429, "retry_after": 3}, html=1, truncate=1)
    too_many = answered(shop, INCREMENT, fields="tid", **SUNDAY)
    assert (too_many.status, too_many.headers) == (429, {"Retry-After": "3"})
    page = answered(shop, INCREMENT, fields="tid", **SUNDAY)
    assert page.content_type.startswith("text/html")
    cut = answered(shop, INCREMENT, fields="tid", **SUNDAY)
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(cut.body)
    assert _listed(shop)["total_results"] > 0


def test_a_slow_answer_is_delayed_once(shop: SandboxShop) -> None:
    _set(shop, slow={"calls": 1, "seconds": 4.5})
    delays = [answered(shop, INCREMENT, fields="tid", **SUNDAY).delay_seconds for _ in range(2)]
    assert delays == [4.5, 0.0]


def test_a_row_can_come_twice(shop: SandboxShop) -> None:
    plain = trades(_listed(shop))
    _set(shop, repeat_row=1)
    assert trades(_listed(shop)) == [*plain, plain[-1]]
    assert trades(_listed(shop)) == plain


@pytest.mark.parametrize(
    ("style", "container"), [("absent", None), ("object", {}), ("list", {"trade": []})]
)
def test_an_empty_list_is_written_in_every_known_way(
    shop: SandboxShop, style: str, container: object
) -> None:
    _set(shop, empty_list=style)
    content = _listed(shop, page_no=999)
    assert content.get("trades") == container


def test_chosen_records_can_be_changed(shop: SandboxShop) -> None:
    first, second, third, *_ = trades(_listed(shop))
    _set(
        shop,
        edits=[
            {"tid": first["tid"], "set": {"status": "TRADE_ON_THE_MOON", "payment": "12.345"}},
            {"tid": second["tid"], "drop": ["created"], "set": {"nobody_knows": "x"}},
            {"tid": third["tid"], "line": 1, "set": {"num": "one"}, "drop": ["title"]},
            {"tid": third["tid"], "line": 500, "set": {"num": "far"}},
        ],
    )
    changed = trades(_listed(shop, fields="tid,status,payment,created,orders"))
    assert changed[0]["status"] == "TRADE_ON_THE_MOON"
    assert changed[0]["payment"] == "12.345"
    assert "created" not in changed[1]
    assert changed[1]["nobody_knows"] == "x"
    assert changed[2]["orders"]["order"][0]["num"] == "one"
    assert "title" not in changed[2]["orders"]["order"][0]
    assert "nobody_knows" not in changed[3]
    full = ask(shop, FULL, fields="tid,status", tid=first["tid"])["trade"]
    assert full["status"] == "TRADE_ON_THE_MOON"


def test_every_trade_and_single_refunds_can_be_changed(shop: SandboxShop) -> None:
    content = ask(shop, REFUNDS, fields="refund_id,refund_fee")
    number = refunds(content)[0]["refund_id"]
    _set(
        shop,
        edits=[
            {"set": {"new_field": 1}},
            {"refund_id": number, "set": {"refund_fee": "9999.00"}},
        ],
    )
    assert all(trade["new_field"] == 1 for trade in trades(_listed(shop)))
    first, second, *_ = refunds(ask(shop, REFUNDS, fields="refund_id,refund_fee"))
    assert first["refund_fee"] == "9999.00"
    assert second["refund_fee"] != "9999.00"
    assert "new_field" not in second


def test_a_touched_trade_is_modified_now_and_leaves_its_old_window(shop: SandboxShop) -> None:
    before = trades(_listed(shop, page_size=100))
    moved = before[5]["tid"]
    _set(shop, edits=[{"tid": moved, "touch": True, "set": {"buyer_open_uid": "AAother"}}])
    assert [trade["tid"] for trade in trades(_listed(shop, page_size=100))] == [
        trade["tid"] for trade in before if trade["tid"] != moved
    ]
    now = trades(
        _listed(shop, start_modified="2017-10-02 00:00:00", end_modified="2017-10-02 23:00:00")
    )[0]
    assert now == {"tid": moved, "modified": "2017-10-02 02:00:00", "buyer_open_uid": "AAother"}
    assert ask(shop, FULL, fields="modified", tid=moved)["trade"]["modified"] == now["modified"]


def test_a_touch_is_forgotten_when_the_trade_moves_on(shop: SandboxShop) -> None:
    moved = trades(_listed(shop))[0]["tid"]
    _set(shop, edits=[{"tid": moved, "touch": True}])
    shop.now = NOW + timedelta(days=60)
    later = ask(shop, FULL, fields="modified", tid=moved)["trade"]["modified"]
    assert later > "2017-10-02 02:00:00"
    monday = {"start_modified": "2017-10-02 00:00:00", "end_modified": "2017-10-02 23:00:00"}
    listed = trades(_listed(shop, page_size=100, **monday))
    assert moved not in [trade["tid"] for trade in listed]
    shop.now = NOW - timedelta(hours=1)
    earlier = ask(shop, FULL, fields="modified", tid=moved)["trade"]["modified"]
    assert earlier < "2017-10-02 01:00:01"


def _walk(shop: SandboxShop, size: int, *, backwards: bool) -> set[int]:
    total = _listed(shop, page_size=size)["total_results"]
    pages = list(range(1, -(-total // size) + 1))
    found: set[int] = set()
    for page in reversed(pages) if backwards else pages:
        content = _listed(shop, page_size=size, page_no=page)
        found |= {trade["tid"] for trade in trades(content)}
    return found


def _shifting_shop(book: OrderBook, touched: int) -> SandboxShop:
    shop = SandboxShop(book, TEST_ACCESS, now=NOW, machine_seconds=None)
    _set(shop, touch_after_page=touched)
    return shop


@cache
def _sixty_buyers() -> OrderBook:
    return OrderBook.sample(households=60)


@settings(max_examples=20, deadline=None)
@given(size=st.integers(1, 20), touched=st.integers(1, 5))
def test_the_last_page_backwards_loses_nothing_while_pages_shift(size: int, touched: int) -> None:
    book = _sixty_buyers()
    still = SandboxShop(book, TEST_ACCESS, now=NOW, machine_seconds=None)
    everything = _walk(still, 100, backwards=True)
    shop = _shifting_shop(book, touched)
    found = _walk(shop, size, backwards=True)
    moved = {int(book.tid[trade]) for trade in shop._touched}
    # Those that left the window are in the next one, whatever page they were on.
    assert everything - moved <= found
    assert moved


def test_the_first_page_forwards_loses_trades_while_pages_shift(small_book: OrderBook) -> None:
    everything = _walk(_shifting_shop(small_book, 0), 100, backwards=True)
    shop = _shifting_shop(small_book, 3)
    found = _walk(shop, 5, backwards=False)
    moved = {int(small_book.tid[trade]) for trade in shop._touched}
    assert everything - moved - found


def test_the_book_moves_on_while_one_pages(small_book: OrderBook) -> None:
    shop = _shifting_shop(small_book, 0)
    _set(shop, tick_seconds=36_000)
    first = _listed(shop)
    assert shop.now == NOW + timedelta(hours=10)
    ask(shop, REFUNDS, fields="refund_id")
    assert shop.now == NOW + timedelta(hours=20)
    assert _listed(shop)["total_results"] < first["total_results"]


class _Stopwatch:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def _limited(book: OrderBook, **limits: Any) -> tuple[SandboxShop, _Stopwatch]:
    watch = _Stopwatch()
    shop = SandboxShop(
        book,
        TEST_ACCESS,
        now=NOW,
        limits=Limits.model_validate(limits),
        machine_seconds=None,
        elapsed=watch,
    )
    return shop, watch


def test_too_many_calls_a_second_are_banned_for_a_while(small_book: OrderBook) -> None:
    shop, watch = _limited(small_book, calls_per_second=2, burst=3, ban_seconds=10)
    for _ in range(3):
        _listed(shop)
    error = refused(shop, INCREMENT, fields="tid", **SUNDAY)
    assert error["sub_msg"] == "This ban will last for 10 more seconds"
    watch.seconds = 6.5
    error = refused(shop, INCREMENT, fields="tid", **SUNDAY)
    assert error["sub_msg"] == "This ban will last for 4 more seconds"
    ask(shop, REFUNDS, fields="tid")  # a ban closes one method
    watch.seconds = 10
    _listed(shop)


def test_a_slow_caller_is_never_banned(small_book: OrderBook) -> None:
    shop, watch = _limited(small_book, calls_per_second=2, burst=1)
    for call in range(10):
        watch.seconds = call * 0.5
        _listed(shop)


def test_the_daily_quota_opens_again_on_the_shops_next_day(small_book: OrderBook) -> None:
    shop, _ = _limited(small_book, daily_quota=2)
    _listed(shop)
    ask(shop, REFUNDS, fields="tid")
    error = refused(shop, INCREMENT, fields="tid", **SUNDAY)
    assert (error["code"], error["sub_code"]) == (
        7,
        "accesscontrol.limited-by-app-access-count",
    )
    shop.now = NOW + timedelta(hours=22)
    _listed(shop)


def test_new_limits_forget_old_bans(small_book: OrderBook) -> None:
    shop, _ = _limited(small_book, calls_per_second=1, burst=1, ban_seconds=100)
    _listed(shop)
    refused(shop, INCREMENT, fields="tid", **SUNDAY)
    shop.replace_limits(Limits())
    _listed(shop)
