"""One population's attempt: fit, test on the days held back, and say whether to publish."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from regulars.value.backtest import Bucket, Score, decile_buckets, frequency_buckets, score
from regulars.value.cells import OrderCells, SpendCells
from regulars.value.maximum import FitFailed
from regulars.value.purchases import PurchaseModel, fit_purchases
from regulars.value.spend import SpendModel, fit_spend, value_correlation

TODAY = 0
"""The horizon of the cells that hold nothing back."""


@dataclass(frozen=True)
class Limits:
    """What a fit is held against; every number is a row of seed value_parameters.

    Attributes:
        holdout_days: days held back for the test.
        min_auc_rate: smallest AUC that is published.
        max_calibration_error_rate: largest calibration error that is published.
        largest_bucket: repeat order days of the open frequency bucket.
    """

    holdout_days: int
    min_auc_rate: float
    max_calibration_error_rate: float
    largest_bucket: int


@dataclass(frozen=True)
class Fit:
    """What an attempt came to.

    Attributes:
        readiness: ``ready``; ``cohort`` (what the population did itself takes the model's place);
            ``withheld`` (fitted, but the test was not passed: as cohort); ``failed`` (the version
            before stays in force).
        reason: why it is not ready; None when it is.
        purchases: parameters of the purchase model; None without a fit.
        spend: parameters of the spend model; None without a fit.
        spend_reason: why there is none though there is a purchase model.
        correlation: of order days and mean value; the spend model takes it to be 0.
        score: result of the test; None without one.
        buckets: the calibration table.
    """

    readiness: str
    reason: str | None
    purchases: PurchaseModel | None = None
    spend: SpendModel | None = None
    spend_reason: str | None = None
    correlation: float | None = None
    score: Score | None = None
    buckets: tuple[Bucket, ...] = ()


def fit_population(
    orders: Mapping[int, OrderCells],
    spend: SpendCells,
    limits: Limits,
    *,
    refused: str | None,
    has_good: bool,
) -> Fit:
    """Fit the models of one population and test them; never raises for what the data are like.

    Args:
        orders: cells by horizon: the members as they stood so many days ago; 0 is today.
        spend: cells of what members with repeat order days spend.
        limits: what the fit is held against.
        refused: why the population is not to be fitted at all; None when it is.
        has_good: whether an earlier version may stay in force when this attempt fails.
    """
    if refused is not None:
        return Fit("cohort", refused, buckets=_observed(orders, limits))
    try:
        with np.errstate(all="ignore"):
            return _fit(orders, spend, limits)
    except FitFailed as failure:
        reason = failure.reason
    except (ArithmeticError, ValueError):
        reason = "not_computable"
    if has_good:
        return Fit("failed", reason)
    return Fit("cohort", reason, buckets=_observed(orders, limits))


def _fit(orders: Mapping[int, OrderCells], spend: SpendCells, limits: Limits) -> Fit:
    purchases = fit_purchases(orders[TODAY])
    past = orders.get(limits.holdout_days)
    if past is None:
        return Fit("withheld", "no_backtest", purchases, buckets=_observed(orders, limits))
    past_model = fit_purchases(past)
    tested = score(past, limits.holdout_days, past_model)
    spend_model, spend_reason = _fit_spend(spend)
    reason = (
        # Members who are all alike: what the data tell of the differences is nothing.
        "purchases_at_bound"
        if purchases.is_at_bound or past_model.is_at_bound
        else _shortcoming(tested, limits)
    )
    return Fit(
        readiness="ready" if reason is None else "withheld",
        reason=reason,
        purchases=purchases,
        spend=spend_model,
        spend_reason=spend_reason,
        correlation=value_correlation(spend) if spend.repeat_days.size else None,
        score=tested,
        buckets=(
            *_observed(orders, limits, past_model),
            *decile_buckets(past, limits.holdout_days, past_model),
        ),
    )


def _fit_spend(cells: SpendCells) -> tuple[SpendModel | None, str | None]:
    try:
        return fit_spend(cells), None
    except FitFailed as failure:
        return None, failure.reason


def _shortcoming(tested: Score, limits: Limits) -> str | None:
    if tested.auc is None:
        return "no_backtest"
    if tested.auc < limits.min_auc_rate:
        return "poor_discrimination"
    if tested.calibration_error > limits.max_calibration_error_rate:
        return "poor_calibration"
    return None


def _observed(
    orders: Mapping[int, OrderCells], limits: Limits, past_model: PurchaseModel | None = None
) -> tuple[Bucket, ...]:
    """What came of the members of every snapshot, beside what was predicted where it was."""
    found: list[Bucket] = []
    for horizon, cells in sorted(orders.items()):
        if horizon != TODAY:
            model = past_model if horizon == limits.holdout_days else None
            found += frequency_buckets(cells, horizon, limits.largest_bucket, model)
    return tuple(found)
