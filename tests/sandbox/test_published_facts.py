"""The book holds the real data: its published counts and sums, exact to the fen."""

from datetime import date

import numpy as np

from regulars.sandbox import disguise
from regulars.sandbox.book import OrderBook, day_start
from regulars.sandbox.wire import wall_texts


def test_counts_are_those_of_the_data(whole_book: OrderBook) -> None:
    assert whole_book.trade_count == 155_848
    assert len(whole_book.line_paid) == 1_469_307
    assert len(np.unique(whole_book.household)) == 2_469
    assert len(np.unique(whole_book.store)) == 457
    assert len(whole_book.article) == 68_509


def test_sums_are_conserved_to_the_fen(whole_book: OrderBook) -> None:
    sales = 459_603_958
    item_discounts = 79_165_064 + 454_265
    coupons = 2_635_990
    assert whole_book.line_goods.sum() == sales + item_discounts
    assert whole_book.line_item_discount.sum() == item_discounts
    assert whole_book.line_paid.sum() == sales - coupons + whole_book.clamped.sum()
    assert whole_book.trade_paid.sum() == whole_book.line_paid.sum()
    assert whole_book.line_paid.min() >= 0


def test_few_baskets_are_clamped_at_zero(whole_book: OrderBook) -> None:
    assert np.count_nonzero(whole_book.clamped) == 19
    assert whole_book.clamped.sum() == 2_658
    assert not whole_book.trade_paid[whole_book.clamped > 0].any()


def test_the_year_is_the_stores_own_wall_clock(whole_book: OrderBook) -> None:
    first, last = wall_texts(whole_book.created[[0, -1]])
    assert (first, last) == ("2017-01-01 06:53:26", "2017-12-31 23:01:20")


def test_january_has_the_published_baskets_households_and_sales(whole_book: OrderBook) -> None:
    january = whole_book.created < day_start(date(2017, 2, 1))
    lines = np.repeat(january, np.diff(whole_book.line_start))
    sales = (whole_book.line_goods - whole_book.line_item_discount)[lines].sum()
    assert np.count_nonzero(january) == 12_807
    assert len(np.unique(whole_book.household[january])) == 1_983
    assert sales == 37_330_023


def test_nine_months_are_the_history_drop(whole_book: OrderBook) -> None:
    history = whole_book.created < day_start(date(2017, 10, 1))
    assert np.count_nonzero(history) == 116_769
    assert whole_book.line_start[np.count_nonzero(history)] == 1_095_564


def test_ids_are_unique_and_too_large_for_a_double(whole_book: OrderBook) -> None:
    counts = np.diff(whole_book.line_start)
    positions = np.arange(1, counts.sum() + 1) - np.repeat(whole_book.line_start[:-1], counts)
    oids = disguise.line_ids(
        np.repeat(whole_book.tid, counts), positions, np.repeat(counts, counts)
    )
    for numbers in (whole_book.tid, oids, whole_book.refund_id):
        assert np.diff(np.sort(numbers)).min() > 0
        assert numbers.min() > 2**53
        assert numbers.max() < 10**19
    # A client that reads ids as doubles is found out.
    assert np.count_nonzero(whole_book.tid.astype(np.float64).astype(np.int64) != whole_book.tid)


def test_lines_of_a_trade_are_ordered_by_product(whole_book: OrderBook) -> None:
    same_trade = np.ones(len(whole_book.line_article) - 1, dtype=bool)
    same_trade[whole_book.line_start[1:-1] - 1] = False
    assert (np.diff(whole_book.line_article)[same_trade] > 0).all()


def test_a_buyer_has_one_opaque_id(whole_book: OrderBook) -> None:
    households = np.unique(whole_book.household).tolist()
    uids = [disguise.buyer_open_uid(household) for household in households]
    assert len(set(uids)) == len(uids)
    assert all(len(uid) == 24 and uid.startswith("AA") for uid in uids)


def test_phone_numbers_are_unassigned_and_three_pairs_share_one(whole_book: OrderBook) -> None:
    households = np.unique(whole_book.household).tolist()
    phones = [disguise.phone(household) for household in households]
    assert all(len(phone) == 11 and phone.startswith("12") for phone in phones)
    assert len(set(phones)) == len(phones) - 3


def test_the_prepared_copy_equals_a_cut_of_itself(whole_book: OrderBook) -> None:
    sample = OrderBook.sample(households=5)
    kept = np.isin(whole_book.household, np.unique(whole_book.household)[:5])
    assert sample.tid.tolist() == whole_book.tid[kept].tolist()
    assert sample.trade_paid.tolist() == whole_book.trade_paid[kept].tolist()
    assert sample.ended.tolist() == whole_book.ended[kept].tolist()
    assert sample.refund_id.tolist() == [
        number
        for number, trade in zip(
            whole_book.refund_id.tolist(), whole_book.refund_trade.tolist(), strict=True
        )
        if kept[trade]
    ]
