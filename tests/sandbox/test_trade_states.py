"""A trade is a function of itself and the clock."""

from datetime import date
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.sandbox.book import OrderBook, day_start
from regulars.sandbox.journey import Purchases
from regulars.sandbox.timeline import (
    DAY,
    HOUR,
    MINUTE,
    NEVER,
    OUTCOME_SHARES,
    Outcome,
    RefundStatus,
)
from regulars.sandbox.wire import TRADE_STATUS, refund_status, trade_status


def _status(book: OrderBook, trade: int, clock: int) -> str:
    return TRADE_STATUS[int(trade_status(book, np.array([trade]), clock)[0])]


def _first(book: OrderBook, outcome: Outcome) -> int:
    return int(np.flatnonzero(book.outcome == outcome)[0])


def test_a_usual_trade_passes_through_every_state(whole_book: OrderBook) -> None:
    trade = _first(whole_book, Outcome.FINISHED)
    created, paid, shipped, ended = (
        int(times[trade])
        for times in (whole_book.created, whole_book.paid, whole_book.shipped, whole_book.ended)
    )
    assert _status(whole_book, trade, created) == "WAIT_BUYER_PAY"
    assert _status(whole_book, trade, paid - 1) == "WAIT_BUYER_PAY"
    assert _status(whole_book, trade, paid) == "WAIT_SELLER_SEND_GOODS"
    assert _status(whole_book, trade, shipped) == "WAIT_BUYER_CONFIRM_GOODS"
    assert _status(whole_book, trade, ended - 1) == "WAIT_BUYER_CONFIRM_GOODS"
    assert _status(whole_book, trade, ended) == "TRADE_FINISHED"


def test_an_unpaid_trade_is_closed_by_the_platform(whole_book: OrderBook) -> None:
    trade = _first(whole_book, Outcome.UNPAID)
    created = int(whole_book.created[trade])
    assert whole_book.paid[trade] == whole_book.shipped[trade] == NEVER
    assert DAY <= whole_book.ended[trade] - created < DAY + HOUR
    assert _status(whole_book, trade, int(whole_book.ended[trade]) - 1) == "WAIT_BUYER_PAY"
    assert _status(whole_book, trade, int(whole_book.ended[trade])) == "TRADE_CLOSED_BY_TAOBAO"
    assert trade not in whole_book.refund_trade


def test_a_cancelled_trade_is_refunded_in_full_before_shipping(whole_book: OrderBook) -> None:
    closed = np.flatnonzero(whole_book.outcome == Outcome.CLOSED)
    fees = np.zeros(whole_book.trade_count, dtype=np.int64)
    np.add.at(fees, whole_book.refund_trade, whole_book.refund_fee)
    assert (fees[closed] == whole_book.trade_paid[closed]).all()
    assert (whole_book.shipped[closed] == NEVER).all()
    assert _status(whole_book, int(closed[0]), int(whole_book.ended[closed[0]])) == "TRADE_CLOSED"


@pytest.mark.parametrize(
    ("outcome", "is_late"),
    [
        (Outcome.PARTLY_REFUNDED, False),
        (Outcome.REFUND_REFUSED, False),
        (Outcome.LATE_REFUNDED, True),
    ],
)
def test_one_line_is_refunded_before_or_after_the_trade_finished(
    whole_book: OrderBook, outcome: Outcome, is_late: bool
) -> None:
    rows = np.flatnonzero(whole_book.outcome[whole_book.refund_trade] == outcome)
    trades = whole_book.refund_trade[rows]
    assert len(np.unique(trades)) == len(trades)
    assert (whole_book.refund_fee[rows] > 0).all()
    assert (whole_book.refund_fee[rows] <= whole_book.line_paid[whole_book.refund_line[rows]]).all()
    late = whole_book.refund_requested[rows] > whole_book.ended[trades]
    assert (late == is_late).all()
    if not is_late:
        assert (whole_book.refund_requested[rows] > whole_book.signed[trades]).all()
        assert (whole_book.refund_ended[rows] < whole_book.ended[trades]).all()


def test_some_lines_are_refunded_in_part_only(whole_book: OrderBook) -> None:
    rows = np.flatnonzero(whole_book.outcome[whole_book.refund_trade] == Outcome.PARTLY_REFUNDED)
    paid = whole_book.line_paid[whole_book.refund_line[rows]]
    in_part = whole_book.refund_fee[rows] < paid
    assert 0.3 < in_part.mean() < 0.7


def test_a_refund_passes_through_its_states(whole_book: OrderBook) -> None:
    def states(outcome: Outcome) -> list[RefundStatus]:
        row = int(np.flatnonzero(whole_book.outcome[whole_book.refund_trade] == outcome)[0])
        instants = [
            int(times[row])
            for times in (
                whole_book.refund_requested,
                whole_book.refund_decided,
                whole_book.refund_ended,
            )
            if times[row] != NEVER
        ]
        return [
            RefundStatus(int(refund_status(whole_book, np.array([row]), clock)[0]))
            for clock in instants
        ]

    asked = RefundStatus.WAIT_SELLER_AGREE
    returning = RefundStatus.WAIT_BUYER_RETURN_GOODS
    refused = RefundStatus.SELLER_REFUSE_BUYER
    assert states(Outcome.CLOSED) == [asked, RefundStatus.SUCCESS]
    assert states(Outcome.PARTLY_REFUNDED) == [asked, RefundStatus.SUCCESS]
    assert states(Outcome.LATE_REFUNDED) == [asked, returning, RefundStatus.SUCCESS]
    assert states(Outcome.REFUND_REFUSED) == [asked, refused, RefundStatus.CLOSED]


def test_transitions_follow_each_other(whole_book: OrderBook) -> None:
    book = whole_book
    paid = book.paid != NEVER
    wait = (book.paid - book.created)[paid]
    assert wait.min() >= MINUTE
    assert wait.max() < 30 * MINUTE
    shipped = book.shipped != NEVER
    assert (book.paid < book.shipped)[shipped].all()
    assert (book.shipped < book.signed)[shipped].all()
    assert (book.signed < book.ended)[shipped].all()
    usual = shipped & (book.outcome == Outcome.FINISHED)
    assert (book.ended - book.shipped)[usual].max() <= 10 * DAY
    decided = book.refund_decided != NEVER
    assert (book.refund_requested < book.refund_ended).all()
    assert (book.refund_requested < book.refund_decided)[decided].all()
    assert (book.refund_decided < book.refund_ended)[decided].all()


def test_shares_of_the_outcomes_are_as_configured(whole_book: OrderBook) -> None:
    for outcome, share in OUTCOME_SHARES.items():
        found = np.mean(whole_book.outcome == outcome)
        assert found == pytest.approx(share, rel=0.12)


def test_every_outcome_shows_in_a_usual_week(whole_book: OrderBook) -> None:
    start = day_start(date(2017, 10, 1))
    week = (whole_book.created >= start) & (whole_book.created < start + 7 * DAY)
    assert set(whole_book.outcome[week].tolist()) == {outcome.value for outcome in Outcome}


def test_free_baskets_finish_and_baskets_with_coupons_are_paid(whole_book: OrderBook) -> None:
    free = whole_book.trade_paid == 0
    assert free.sum() == 527
    assert (whole_book.outcome[free] == Outcome.FINISHED).all()
    coupons = (
        whole_book.trade_goods
        - np.add.reduceat(whole_book.line_item_discount, whole_book.line_start[:-1])
        - whole_book.trade_paid
    )
    assert not (whole_book.outcome[coupons > 0] == Outcome.UNPAID).any()


@cache
def _two_buyers() -> OrderBook:
    return OrderBook.sample(households=2)


_INSTANTS = st.integers(day_start(date(2017, 1, 1)), day_start(date(2018, 2, 1)))


@settings(max_examples=40, deadline=None)
@given(_INSTANTS, st.integers(0, 40 * DAY), st.integers(-5 * DAY, 40 * DAY))
def test_the_index_finds_what_a_plain_search_finds(
    start: int, length: int, clock_lead: int
) -> None:
    book = _two_buyers()
    end, clock = start + length, start + length + clock_lead
    found, times = book.trade_events.modified_between(start, end, clock)
    expected = {}
    for trade in range(book.trade_count):
        own = [
            int(values[trade])
            for values in (book.created, book.paid, book.shipped, book.signed, book.ended)
        ]
        for row in np.flatnonzero(book.refund_trade == trade).tolist():
            own += [
                int(values[row])
                for values in (book.refund_requested, book.refund_decided, book.refund_ended)
            ]
        reached = [instant for instant in own if instant <= clock]
        if reached and start <= max(reached) <= end:
            expected[trade] = max(reached)
    assert dict(zip(found.tolist(), times.tolist(), strict=True)) == expected
    assert (np.diff(times) >= 0).all()
    assert book.trade_events.modified_at(found, clock).tolist() == times.tolist()


def test_newest_modifications_of_many_and_of_few_trades_agree(whole_book: OrderBook) -> None:
    clock = day_start(date(2017, 10, 1))
    existing = np.flatnonzero(whole_book.created <= clock)
    many = whole_book.trade_events.modified_at(existing, clock)
    few = whole_book.trade_events.modified_at(existing[:50], clock)
    assert many[:50].tolist() == few.tolist()


def test_the_book_is_a_function_of_the_purchases() -> None:
    rows = {
        "basket": [7_000_000_001, 7_000_000_001, 7_000_000_000],
        "household": [3, 3, 9],
        "store": [1, 1, 1],
        "product": [20, 10, 10],
        "quantity": [2, 1, 1],
        "created": [1_000, 1_000, 2_000],
        "sales": [500, 100, 300],
        "retail_discount": [50, 0, 0],
        "coupon_discount": [0, 150, 0],
        "match_discount": [0, 0, 10],
    }
    columns = {name: np.array(values, dtype=np.int64) for name, values in rows.items()}
    backwards = {name: values[::-1] for name, values in columns.items()}
    book, same = (OrderBook.build(Purchases.ordered(**given)) for given in (columns, backwards))
    assert book.basket.tolist() == [7_000_000_001, 7_000_000_000]
    assert book.article.tolist() == [10, 20]
    assert book.article_title.tolist() == ["Item 10", "Item 20"]
    assert book.line_goods.tolist() == [100, 550, 310]
    assert book.line_paid.tolist() == [0, 450, 300]
    assert book.trade_paid.tolist() == [450, 300]
    assert book.tid.tolist() == same.tid.tolist()
    assert book.ended.tolist() == same.ended.tolist()


def test_an_empty_book_has_no_trades() -> None:
    book = OrderBook.sample(households=0)
    assert book.trade_count == 0
    assert book.find_trade(1) is None
    assert len(book.trade_events.modified_between(0, 2**40, 2**40)[0]) == 0
