"""Predicted against what came: a model fitted on the past, tested on days that were held back."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regulars.value.cells import Floats, OrderCells
from regulars.value.purchases import PurchaseModel, expected_orders, no_order_probability

DECILES = 10


@dataclass(frozen=True)
class Bucket:
    """Members of a snapshot that belong together, and what came of them.

    Attributes:
        horizon_days: days from the snapshot to the business date.
        bucket_kind: ``all``, ``frequency`` (by repeat order days) or ``decile`` (by predicted
            probability of no order, 1 the smallest).
        bucket: number of the bucket; 0 for all.
        member_count: members.
        actual_order_count: their order days within the horizon.
        actual_none_count: those of them without any.
        predicted_orders: the same as predicted; None without a prediction.
        predicted_nones: the same as predicted; None without a prediction.
    """

    horizon_days: int
    bucket_kind: str
    bucket: int
    member_count: int
    actual_order_count: int
    actual_none_count: int
    predicted_orders: float | None
    predicted_nones: float | None


@dataclass(frozen=True)
class Score:
    """How good the predicted probabilities of no order were.

    Attributes:
        brier: mean squared distance from what came (0 or 1); smaller is better.
        auc: share of pairs, one with and one without an order, that were put in the right order.
        calibration_error: mean distance, over deciles, of predicted share and actual share.
    """

    brier: float
    auc: float | None
    calibration_error: float


def frequency_buckets(
    cells: OrderCells,
    horizon_days: int,
    largest: int,
    model: PurchaseModel | None = None,
) -> list[Bucket]:
    """One bucket per number of repeat order days, the last one open, and one of all members.

    Args:
        cells: members as they stood, with what came within the horizon.
        horizon_days: days that were held back.
        largest: the open bucket.
        model: fitted on the same snapshot; None where there is no prediction.
    """
    bucket = np.minimum(cells.repeat_days, largest).astype(np.int64)
    predicted = None
    if model is not None:
        predicted = (
            expected_orders(model, cells, horizon_days) * cells.member_count,
            no_order_probability(model, cells, horizon_days) * cells.member_count,
        )
    whole = _buckets(cells, horizon_days, "all", np.zeros_like(bucket), predicted)
    return [*whole, *_buckets(cells, horizon_days, "frequency", bucket, predicted)]


def decile_buckets(cells: OrderCells, horizon_days: int, model: PurchaseModel) -> list[Bucket]:
    """One bucket per tenth of the members by predicted probability of no order; equals together."""
    chance = no_order_probability(model, cells, horizon_days)
    predicted = (
        expected_orders(model, cells, horizon_days) * cells.member_count,
        chance * cells.member_count,
    )
    return _buckets(cells, horizon_days, "decile", _deciles(chance, cells.member_count), predicted)


def score(cells: OrderCells, horizon_days: int, model: PurchaseModel) -> Score:
    """Brier score, AUC and calibration error of the probabilities of no order."""
    chance = no_order_probability(model, cells, horizon_days)
    none, some = cells.none_count, cells.member_count - cells.none_count
    members = cells.members
    brier = float((none * (1 - chance) ** 2 + some * chance**2).sum()) / members
    tenths = decile_buckets(cells, horizon_days, model)
    distance = sum(abs((one.predicted_nones or 0.0) - one.actual_none_count) for one in tenths)
    return Score(
        brier=float(f"{brier:.8f}"),
        auc=_auc(chance, none, some),
        calibration_error=float(f"{distance / members:.8f}"),
    )


def _auc(chance: Floats, none: Floats, some: Floats) -> float | None:
    """Share of pairs in the right order, ties half; None when there is no pair."""
    pairs = float(none.sum()) * float(some.sum())
    if pairs == 0:
        return None
    _, where = np.unique(chance, return_inverse=True)
    nones, somes = np.bincount(where, weights=none), np.bincount(where, weights=some)
    below = np.cumsum(somes) - somes
    return float(f"{float((nones * (below + somes / 2)).sum()) / pairs:.8f}")


def _deciles(chance: Floats, member_count: Floats) -> NDArray[np.int64]:
    """1 to 10 by the share of members below; equal probabilities stand together."""
    _, where = np.unique(chance, return_inverse=True)
    members = np.bincount(where, weights=member_count)
    below = np.cumsum(members) - members
    tenth = 1 + np.minimum(DECILES - 1, np.floor(DECILES * below / members.sum()))
    result: NDArray[np.int64] = tenth.astype(np.int64)[where]
    return result


def _buckets(
    cells: OrderCells,
    horizon_days: int,
    kind: str,
    bucket: NDArray[np.int64],
    predicted: tuple[Floats, Floats] | None,
) -> list[Bucket]:
    found = []
    for number in np.unique(bucket):
        inside = bucket == number
        orders, nones = (
            (float(f"{float(one[inside].sum()):.6f}") for one in predicted)
            if predicted is not None
            else (None, None)
        )
        found.append(
            Bucket(
                horizon_days=horizon_days,
                bucket_kind=kind,
                bucket=int(number),
                member_count=int(cells.member_count[inside].sum()),
                actual_order_count=int(cells.later_days[inside].sum()),
                actual_none_count=int(cells.none_count[inside].sum()),
                predicted_orders=orders,
                predicted_nones=nones,
            )
        )
    return found
