"""Gamma-Gamma (Fader and Hardie 2013): what an order day of a member brings.

What a member spends on an order day varies like Gamma(p, nu) around a mean of its own, and the nu
of all members like Gamma(q, v). Only order days after the first count, as in the purchase model.
"""

from dataclasses import dataclass

import numpy as np

from regulars.value.cells import Floats, SpendCells
from regulars.value.maximum import FitFailed, Objective, maximise

# p, q, and v in means of the population, so that no currency is far away.
_LOWER = np.log([1e-3, 1e-3, 1e-4])
_UPPER = np.log([1e4, 1e4, 1e5])


@dataclass(frozen=True)
class SpendModel:
    """Parameters of a population, and how well they fit.

    Attributes:
        p: shape of an order day's value.
        q: shape of the members' means.
        v: their scale, in the population's currency.
        log_likelihood: of all members together.
    """

    p: float
    q: float
    v: float
    log_likelihood: float


def fit_spend(cells: SpendCells) -> SpendModel:
    """Fit the three parameters by maximum likelihood.

    Raises:
        FitFailed: nobody spent anything (``no_spending``), everybody spends the same or without
            limit to their spread (``spending_at_bound``), the mean is infinite
            (``infinite_mean``), or no maximum was reached (``not_converged``).
    """
    if cells.repeat_days.size == 0:
        raise FitFailed("no_spending")
    members = float(cells.member_count.sum())
    means = cells.repeat_amount / cells.repeat_days
    unit = float((means * cells.member_count).sum()) / members
    scaled = SpendCells(cells.repeat_days, cells.repeat_amount / unit, cells.member_count)
    starts = ([1.5, 1.2, 0.9], [0.0, 0.7, 0.0], [3.0, 2.0, 2.0], [0.5, 3.0, 3.0])
    found = maximise(spend_likelihood(scaled), starts, _LOWER, _UPPER)
    if found.is_at_bound:
        raise FitFailed("spending_at_bound")
    p, q, v = np.exp(found.at) * [1.0, 1.0, unit]
    if q <= 1:
        raise FitFailed("infinite_mean")
    value = found.value * members - members * float(np.log(unit))
    p, q, v = (float(f"{one:.10g}") for one in (p, q, v))
    return SpendModel(p, q, v, float(f"{value:.12g}"))


def spend_likelihood(cells: SpendCells) -> Objective:
    """Mean log-likelihood of a member and its gradient, as a function of the parameters' logs."""
    from scipy.special import gammaln, psi

    x, amount = cells.repeat_days, cells.repeat_amount
    share = cells.member_count / cells.member_count.sum()
    log_mean, log_x = np.log(amount / x), np.log(x)
    counts, where = np.unique(x, return_inverse=True)
    at_count = np.bincount(where, weights=share)

    def evaluate(at: Floats) -> tuple[float, Floats]:
        p, q, v = np.exp(at)
        log_whole = np.log(v + amount)
        of_count = gammaln(p * counts + q) - gammaln(p * counts) - gammaln(q) + q * np.log(v)
        of_cell = (p * x - 1) * log_mean + p * x * log_x - (p * x + q) * log_whole
        value = float((at_count * of_count).sum() + (share * of_cell).sum())
        by_p = at_count @ (counts * (psi(p * counts + q) - psi(p * counts))) + share @ (
            x * (log_mean + log_x - log_whole)
        )
        by_q = at_count @ (psi(p * counts + q) - psi(q) + np.log(v)) - share @ log_whole
        by_v = q / v - share @ ((p * x + q) / (v + amount))
        return value, np.array([p * by_p, q * by_q, v * by_v])

    return evaluate


def value_correlation(cells: SpendCells) -> float | None:
    """Correlation of repeat order days and mean value, which the model takes to be 0.

    None where either does not vary.
    """
    share = cells.member_count / cells.member_count.sum()
    days = cells.repeat_days - share @ cells.repeat_days
    means = cells.repeat_amount / cells.repeat_days
    means = means - share @ means
    spread = float(np.sqrt((share @ days**2) * (share @ means**2)))
    return float(f"{float(share @ (days * means)) / spread:.6f}") if spread > 0 else None
