"""Coupons worth more than their line: exact, never negative, nothing lost."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.sandbox.money import paid_per_line, yuan, yuan_list

_LINE = st.tuples(st.integers(0, 3_000), st.integers(0, 3_000))
_BASKETS = st.lists(st.lists(_LINE, min_size=1, max_size=6), min_size=1, max_size=6)


def _paid(baskets: list[list[tuple[int, int]]]) -> tuple[list[list[int]], list[int]]:
    lines = [line for basket in baskets for line in basket]
    starts = np.cumsum([0] + [len(basket) for basket in baskets])
    sales, coupons = (np.array(values, dtype=np.int64) for values in zip(*lines, strict=True))
    paid, clamped = paid_per_line(sales, coupons, starts)
    split = [part.tolist() for part in np.split(paid, starts[1:-1])]
    return split, clamped.tolist()


def test_a_coupon_within_its_line_lowers_that_line_only() -> None:
    assert _paid([[(300, 100), (500, 0)]]) == ([[200, 500]], [0])


def test_the_excess_of_a_coupon_lowers_the_other_lines() -> None:
    assert _paid([[(0, 200), (300, 0), (100, 0)]]) == ([[0, 150, 50]], [0])


def test_an_excess_that_does_not_divide_stays_exact() -> None:
    (lines,), clamped = _paid([[(0, 100), (333, 0), (333, 0), (333, 0)]])
    assert sum(lines) == 899
    assert clamped == [0]


def test_a_basket_of_coupons_alone_is_clamped_at_zero() -> None:
    assert _paid([[(100, 150)], [(100, 0)]]) == ([[0], [100]], [50, 0])


@settings(deadline=None)
@given(_BASKETS)
def test_every_basket_is_conserved(baskets: list[list[tuple[int, int]]]) -> None:
    paid, clamped = _paid(baskets)
    for lines, given_lines, given_back in zip(paid, baskets, clamped, strict=True):
        due = sum(sales - coupon for sales, coupon in given_lines)
        assert sum(lines) == due + given_back
        assert given_back == max(-due, 0)
        assert all(
            0 <= line <= max(sales - coupon, 0)
            for line, (sales, coupon) in zip(lines, given_lines, strict=True)
        )


def test_amounts_are_written_with_two_decimals() -> None:
    assert [yuan(0), yuan(5), yuan(1234), yuan(20_000), yuan(12_345_678), yuan(-105)] == [
        "0.00",
        "0.05",
        "12.34",
        "200.00",
        "123456.78",
        "-1.05",
    ]
    fen = np.array([0, 19_999, 20_000, 99_999_999])
    assert yuan_list(fen) == ["0.00", "199.99", "200.00", "999999.99"]
