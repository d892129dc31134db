"""Members that nothing tells apart, as one cell with a count."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OrderCells:
    """Members of one population, as they stood on one day; every array has one entry per cell.

    Attributes:
        repeat_days: x, order days after the first.
        recency_days: t_x, days from the first order day to the last.
        age_days: T, days from the first order day to the day of the snapshot.
        member_count: members in the cell.
        later_days: order days of all of them after the snapshot; 0 where nothing is held back.
        none_count: those of them without any.
    """

    repeat_days: Floats
    recency_days: Floats
    age_days: Floats
    member_count: Floats
    later_days: Floats
    none_count: Floats

    @property
    def members(self) -> float:
        """Members in all cells."""
        return float(self.member_count.sum())


@dataclass(frozen=True)
class SpendCells:
    """Members with repeat order days that brought money; every array has one entry per cell.

    Attributes:
        repeat_days: x, order days after the first, at least 1.
        repeat_amount: what those days brought in all, in the population's currency, above 0.
        member_count: members in the cell.
    """

    repeat_days: Floats
    repeat_amount: Floats
    member_count: Floats
