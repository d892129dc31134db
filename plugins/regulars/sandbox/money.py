"""Exact money of the sandbox: whole fen (1/100 yuan), never a float."""

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]

_TEXTS = tuple(f"{fen // 100}.{fen % 100:02d}" for fen in range(20_000))


def yuan(fen: int) -> str:
    """An amount as platforms write it: yuan with two decimals."""
    if 0 <= fen < len(_TEXTS):
        return _TEXTS[fen]
    sign, size = ("-", -fen) if fen < 0 else ("", fen)
    return f"{sign}{size // 100}.{size % 100:02d}"


def yuan_list(fen: Int64s) -> list[str]:
    """:func:`yuan` of each amount."""
    if len(fen) and fen.min() >= 0 and fen.max() < len(_TEXTS):
        return list(map(_TEXTS.__getitem__, fen.tolist()))
    return [yuan(value) for value in fen.tolist()]


def paid_per_line(sales: Int64s, coupons: Int64s, line_start: Int64s) -> tuple[Int64s, Int64s]:
    """What the customer paid for each line: sales less coupons, exact and never negative.

    A coupon may be worth more than its line. The excess then lowers the basket's other lines in
    proportion to what is left of them, so that the basket's sum stays exact to the fen. A basket
    whose coupons exceed its sales is clamped at 0.

    Args:
        sales: fen per line, not negative.
        coupons: fen per line, not negative.
        line_start: index of each basket's first line, and the number of lines at the end.

    Returns:
        Paid fen per line, and the fen by which each basket was clamped (0 for nearly all).
    """
    starts, counts = line_start[:-1], np.diff(line_start)
    left = sales - coupons
    positive = np.maximum(left, 0)
    weight = np.add.reduceat(positive, starts)
    excess = weight - np.add.reduceat(left, starts)
    clamped = np.maximum(excess - weight, 0)
    spilled = np.repeat(excess - clamped, counts)
    whole = np.repeat(np.maximum(weight, 1), counts)
    # Cumulated shares, rounded down: their differences add up to the excess exactly, and none is
    # larger than its line because the excess is not larger than the whole.
    running = np.cumsum(positive)
    up_to = running - np.repeat(running[starts] - positive[starts], counts)
    share = spilled * up_to // whole - spilled * (up_to - positive) // whole
    return positive - share, clamped
