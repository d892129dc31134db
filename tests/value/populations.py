"""Populations to fit on: the CDNOW sample, and made-up ones."""

from collections import Counter
from collections.abc import Iterable

import numpy as np

from regulars.value.cells import OrderCells, SpendCells
from tests.value.cdnow import read_expected

Standing = tuple[int, int, int, int]
"""x, t_x, T, and order days afterwards."""


def order_cells(members: Iterable[Standing]) -> OrderCells:
    """Members grouped into cells, as SQL does it."""
    counted: dict[tuple[int, int, int], list[int]] = {}
    for x, recency, age, later in members:
        counts = counted.setdefault((x, recency, age), [0, 0, 0])
        counts[0] += 1
        counts[1] += later
        counts[2] += later == 0
    keys = np.array(sorted(counted), dtype=np.float64).reshape(-1, 3)
    counts_of = np.array([counted[key] for key in sorted(counted)], dtype=np.float64)
    return OrderCells(*keys.T, *counts_of.reshape(-1, 3).T)


def spend_cells(members: Iterable[tuple[int, float]]) -> SpendCells:
    """Members (x, what their repeat days brought) grouped into cells, as SQL does it."""
    counted = Counter(members)
    keys = np.array(sorted(counted), dtype=np.float64).reshape(-1, 2)
    counts = np.array([counted[key] for key in sorted(counted)], dtype=np.float64)
    return SpendCells(*keys.T, counts)


def cdnow_standings() -> list[Standing]:
    """CDNOW's customers at the end of the calibration period."""
    return [
        tuple(int(row[name]) for name in ("frequency", "t_x_days", "T_days", "holdout_orders"))
        for row in read_expected().values()
    ]  # type: ignore[misc]


def cdnow_spending() -> list[tuple[int, float]]:
    """x and repeat amount of CDNOW's customers who came back."""
    rows = read_expected().values()
    return [
        (int(row["frequency"]), round(row["frequency"] * row["repeat_avg_value"], 2))
        for row in rows
        if row["frequency"]
    ]
