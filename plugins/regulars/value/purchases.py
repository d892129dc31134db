"""BG/NBD (Fader, Hardie and Lee 2005): how often members order, and whether they have left.

While a member is there, orders come at random at a rate of its own; after every order day it leaves
for good with a probability of its own. Rates are spread over the members like Gamma(r, alpha),
probabilities like Beta(a, b). Time is in days throughout.
"""

from dataclasses import dataclass

import numpy as np

from regulars.value.cells import Floats, OrderCells
from regulars.value.maximum import FitFailed, Maximum, Objective, maximise

# r, alpha (days), a, b. Wider than any shop; beyond r = 20 members have one and the same rate, and
# the series that SQL adds up would lose its digits. Beyond a = 50 everybody leaves alike, and its
# terms would leave the range of a double.
_LOWER = np.log([1e-4, 0.1, 1e-4, 1e-4])
_UPPER = np.log([20.0, 1e5, 50.0, 1e4])


@dataclass(frozen=True)
class PurchaseModel:
    """Parameters of a population, in days, and how well they fit.

    Attributes:
        r: shape of the rates.
        alpha_days: scale of the rates, in days.
        a: first shape of the probabilities to leave.
        b: second shape.
        log_likelihood: of all members together.
        is_at_bound: a parameter stands at the edge of what is allowed.
    """

    r: float
    alpha_days: float
    a: float
    b: float
    log_likelihood: float
    is_at_bound: bool


def fit_purchases(cells: OrderCells) -> PurchaseModel:
    """Fit the four parameters by maximum likelihood.

    Raises:
        FitFailed: nobody came back (``no_repeat_orders``), nobody was watched for a day
            (``no_time_passed``), or no maximum was reached (``not_converged``).
    """
    if not np.any(cells.repeat_days > 0):
        raise FitFailed("no_repeat_orders")
    if not np.any(cells.age_days > 0):
        raise FitFailed("no_time_passed")
    members = cells.members
    mean_age = float((cells.age_days * cells.member_count).sum()) / members
    found = _fit(purchase_likelihood(cells), mean_age)
    # Ten digits: what is recorded is what scores, on every platform.
    r, alpha, a, b = (float(f"{value:.10g}") for value in np.exp(found.at))
    value = float(f"{found.value * members:.12g}")
    return PurchaseModel(r, alpha, a, b, value, found.is_at_bound)


def _fit(likelihood: Objective, mean_age: float) -> Maximum:
    starts = [
        np.log([shape, scale * mean_age, a, b])
        for shape, scale, a, b in (
            (0.5, 0.2, 0.5, 2.0),
            (1.0, 1.0, 1.0, 1.0),
            (2.0, 0.1, 0.1, 5.0),
            (0.1, 0.5, 2.0, 2.0),
        )
    ]
    return maximise(likelihood, [start.tolist() for start in starts], _LOWER, _UPPER)


def purchase_likelihood(cells: OrderCells) -> Objective:
    """Mean log-likelihood of a member and its gradient, as a function of the parameters' logs."""
    from scipy.special import gammaln, psi

    x, recency, age = cells.repeat_days, cells.recency_days, cells.age_days
    share = cells.member_count / cells.members
    # Gamma functions depend on x alone, of which there are few.
    counts, where = np.unique(x, return_inverse=True)
    at_count = np.bincount(where, weights=share)
    repeats = x > 0

    def evaluate(at: Floats) -> tuple[float, Floats]:
        r, alpha, a, b = np.exp(at)
        log_age, log_recency = np.log(alpha + age), np.log(alpha + recency)
        stays = -(r + x) * log_age
        with np.errstate(divide="ignore"):
            leaves = np.where(
                repeats,
                np.log(a) - np.log(np.where(repeats, b + x - 1, 1.0)) - (r + x) * log_recency,
                -np.inf,
            )
        either = np.logaddexp(stays, leaves)
        gone = np.exp(leaves - either)
        here = 1 - gone
        of_count = (
            gammaln(r + counts)
            - gammaln(r)
            + r * np.log(alpha)
            + gammaln(a + b)
            + gammaln(b + counts)
            - gammaln(b)
            - gammaln(a + b + counts)
        )
        value = float((at_count * of_count).sum() + (share * either).sum())
        lost_time = here * log_age + gone * log_recency
        lost_scale = (r + x) * (here / (alpha + age) + gone / (alpha + recency))
        by_r = at_count @ (psi(r + counts) - psi(r) + np.log(alpha)) - share @ lost_time
        by_alpha = r / alpha - share @ lost_scale
        by_a = at_count @ (psi(a + b) - psi(a + b + counts)) + (share @ gone) / a
        by_b = at_count @ (
            psi(a + b) + psi(b + counts) - psi(b) - psi(a + b + counts)
        ) - share @ np.where(repeats, gone / np.where(repeats, b + x - 1, 1.0), 0.0)
        return value, np.array([r * by_r, alpha * by_alpha, a * by_a, b * by_b])

    return evaluate


def alive_probability(model: PurchaseModel, cells: OrderCells) -> Floats:
    """P(alive) of each cell's members."""
    x = cells.repeat_days
    ratio = np.log(model.alpha_days + cells.age_days) - np.log(
        model.alpha_days + cells.recency_days
    )
    odds = model.a / np.where(x > 0, model.b + x - 1, 1.0) * np.exp((model.r + x) * ratio)
    return np.where(x > 0, 1 / (1 + odds), 1.0)


def no_order_probability(model: PurchaseModel, cells: OrderCells, days: float) -> Floats:
    """P(no order within ``days``) of each cell's members."""
    age = model.alpha_days + cells.age_days
    silent = np.exp((model.r + cells.repeat_days) * (np.log(age) - np.log(age + days)))
    result: Floats = 1 - alive_probability(model, cells) * (1 - silent)
    return result


def expected_orders(model: PurchaseModel, cells: OrderCells, days: float) -> Floats:
    """Expected order days within ``days`` of each cell's members."""
    from scipy.special import hyp2f1

    a = model.a if abs(model.a - 1) > 1e-9 else 1 + 1e-9
    x = cells.repeat_days
    z = days / (model.alpha_days + cells.age_days + days)
    c = a + model.b + x - 1
    series = hyp2f1(a + model.b - 1 - model.r, a - 1, c, z)
    result: Floats = (
        alive_probability(model, cells) * c / (a - 1) * (1 - np.power(1 - z, a - 1) * series)
    )
    return result
