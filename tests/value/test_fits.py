"""The two fits against published parameters and per-customer predictions."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.value.fitting import Limits, fit_population
from regulars.value.maximum import FitFailed, maximise
from regulars.value.purchases import (
    PurchaseModel,
    alive_probability,
    expected_orders,
    fit_purchases,
    no_order_probability,
    purchase_likelihood,
)
from regulars.value.spend import fit_spend, spend_likelihood, value_correlation
from tests.value.cdnow import HORIZON_DAYS, read_expected
from tests.value.populations import cdnow_spending, cdnow_standings, order_cells, spend_cells

# Published, rounded (Fader, Hardie and Lee 2005): .243, 4.414 weeks, .793, 2.426, -9582.4.
PUBLISHED_PURCHASES = (0.2425945, 4.4136020, 0.7929220, 2.4259064)
PUBLISHED_SPENDING = (6.24957, 3.74422, 15.44352)


@pytest.fixture(scope="module")
def purchases() -> PurchaseModel:
    return fit_purchases(order_cells(cdnow_standings()))


def test_the_purchase_model_of_cdnow_is_the_published_one(purchases: PurchaseModel) -> None:
    weekly = (purchases.r, purchases.alpha_days / 7, purchases.a, purchases.b)
    assert weekly == pytest.approx(PUBLISHED_PURCHASES, abs=5e-7)
    repeats = sum(x for x, *_ in cdnow_standings())
    weekly_likelihood = purchases.log_likelihood + repeats * np.log(7)
    assert weekly_likelihood == pytest.approx(-9582.42921, abs=1e-5)
    assert not purchases.is_at_bound


def test_the_spend_model_of_cdnow_is_the_published_one() -> None:
    cells = spend_cells(cdnow_spending())
    model = fit_spend(cells)
    assert (model.p, model.q, model.v) == pytest.approx(PUBLISHED_SPENDING, abs=1e-5)
    assert model.log_likelihood == pytest.approx(-4055.9177, abs=1e-4)
    assert model.p * model.v / (model.q - 1) == pytest.approx(35.17, abs=0.005)
    assert value_correlation(cells) == pytest.approx(0.1139, abs=5e-5)


def test_every_customer_of_cdnow_is_predicted_as_published(purchases: PurchaseModel) -> None:
    expected = list(read_expected().values())
    rows = list(cdnow_standings())
    alone = [order_cells([row]) for row in rows]
    alive = [float(alive_probability(purchases, cell)[0]) for cell in alone]
    orders = [float(expected_orders(purchases, cell, HORIZON_DAYS)[0]) for cell in alone]
    assert alive == pytest.approx([row["p_alive"] for row in expected], abs=1e-6)
    assert orders == pytest.approx([row["exp_orders_39w"] for row in expected], abs=1e-6)


def test_vectors_of_the_workbook() -> None:
    weekly = PurchaseModel(0.243, 4.414, 0.793, 2.426, 0.0, False)
    member = order_cells([(2, 0, 0, 0)])
    member = type(member)(
        *(np.array([value]) for value in (2.0, 30.43, 38.86)),
        *(np.array([value]) for value in (1.0, 0.0, 0.0)),
    )
    assert expected_orders(weekly, member, 39.0)[0] == pytest.approx(1.226, abs=5e-4)
    newcomer = order_cells([(0, 0, 0, 0)])
    assert no_order_probability(weekly, newcomer, 39.0)[0] == pytest.approx(0.5737864, abs=1e-7)
    weekly = PurchaseModel(0.2425929, 4.4135315, 0.7928861, 2.4257531, 0.0, False)
    horizons = (0.1429, 1, 3, 31.8571, 32, 78)
    known = (0.0078, 0.0532, 0.1506, 1.0405, 1.0437, 1.8576)
    found = [expected_orders(weekly, newcomer, float(days))[0] for days in horizons]
    assert found == pytest.approx(known, abs=5e-4)


def test_the_order_of_members_changes_no_digit() -> None:
    members, spending = cdnow_standings(), cdnow_spending()
    backwards = fit_purchases(order_cells(members[::-1]))
    assert backwards == fit_purchases(order_cells(members))
    assert fit_spend(spend_cells(spending[::-1])) == fit_spend(spend_cells(spending))


def test_grouping_changes_nothing_but_rounding(purchases: PurchaseModel) -> None:
    rows = np.array(cdnow_standings(), dtype=np.float64)
    ones, nothing = np.ones(len(rows)), np.zeros(len(rows))
    cells = order_cells(cdnow_standings())
    assert len(cells.age_days) < len(rows)
    single = fit_purchases(type(cells)(rows[:, 0], rows[:, 1], rows[:, 2], ones, nothing, nothing))
    assert vars(single) == pytest.approx(vars(purchases), rel=1e-7)


@pytest.mark.parametrize("which", ["purchases", "spending"])
def test_the_gradient_is_that_of_the_likelihood(which: str) -> None:
    objective, at = (
        (purchase_likelihood(order_cells(cdnow_standings())), np.log([0.3, 40.0, 0.7, 3.0]))
        if which == "purchases"
        else (spend_likelihood(spend_cells(cdnow_spending())), np.log([5.0, 3.0, 20.0]))
    )
    gradient = objective(at)[1]
    for index in range(at.size):
        shift = np.zeros_like(at)
        shift[index] = 1e-5
        slope = (objective(at + shift)[0] - objective(at - shift)[0]) / 2e-5
        assert slope == pytest.approx(gradient[index], abs=1e-8)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([(0, 0, age, 0) for age in range(600)], "no_repeat_orders"),
        ([(1, 0, 0, 0)] * 600, "no_time_passed"),
    ],
)
def test_purchases_that_tell_nothing_are_refused(
    members: list[tuple[int, int, int, int]], reason: str
) -> None:
    with pytest.raises(FitFailed, match=reason):
        fit_purchases(order_cells(members))


@pytest.mark.parametrize(
    ("members", "reason"),
    [([], "no_spending"), ([(2, 20.0)] * 500, "spending_at_bound")],
)
def test_spending_that_tells_nothing_is_refused(
    members: list[tuple[int, float]], reason: str
) -> None:
    with pytest.raises(FitFailed, match=reason):
        fit_spend(spend_cells(members))


def test_a_search_that_finds_no_top_says_so() -> None:
    def slope(at: np.ndarray) -> tuple[float, np.ndarray]:
        return float("nan"), np.full_like(at, np.nan)

    with pytest.raises(FitFailed, match="not_converged"):
        maximise(slope, [[0.0], [1.0]], np.array([-5.0]), np.array([5.0]))


parameters = st.builds(
    PurchaseModel,
    r=st.floats(0.05, 15),
    alpha_days=st.floats(1, 500),
    a=st.floats(0.05, 10),
    b=st.floats(0.05, 50),
    log_likelihood=st.just(0.0),
    is_at_bound=st.just(False),
)


@settings(deadline=None, max_examples=60)
@given(model=parameters, x=st.integers(1, 60), age=st.integers(60, 900), data=st.data())
def test_who_ordered_later_is_likelier_to_be_there(
    model: PurchaseModel, x: int, age: int, data: st.DataObject
) -> None:
    earlier = data.draw(st.integers(x, age))
    later = data.draw(st.integers(earlier, age))
    cells = [order_cells([(x, recency, age, 0)]) for recency in (earlier, later)]
    alive = [float(alive_probability(model, cell)[0]) for cell in cells]
    silent = [float(no_order_probability(model, cell, 90)[0]) for cell in cells]
    coming = [float(expected_orders(model, cell, 90)[0]) for cell in cells]
    assert 0 <= alive[0] <= alive[1] <= 1
    assert 0 <= silent[1] <= silent[0] <= 1
    assert -1e-9 <= coming[0] <= coming[1] * (1 + 1e-12) + 1e-12


@settings(deadline=None, max_examples=60)
@given(model=parameters, x=st.integers(0, 60), age=st.integers(60, 900))
def test_a_longer_horizon_brings_more_orders_and_less_silence(
    model: PurchaseModel, x: int, age: int
) -> None:
    cell = order_cells([(x, age if x else 0, age, 0)])
    coming = [float(expected_orders(model, cell, days)[0]) for days in (30, 90, 365)]
    silent = [float(no_order_probability(model, cell, days)[0]) for days in (30, 90, 365)]
    assert coming == sorted(coming)
    assert silent == sorted(silent, reverse=True)
    # Whoever orders at all, orders at least once.
    assert all(
        orders >= (1 - none) * (1 - 1e-6) for orders, none in zip(coming, silent, strict=True)
    )


def alike(seed: int) -> list[tuple[int, int, int, int]]:
    """Members who all leave with the same probability after each order day."""
    random = Random(seed)
    members = []
    for _ in range(1500):
        age, rate, day = random.randint(200, 500), random.gammavariate(0.5, 0.05), 0.0
        days: set[int] = set()
        while random.random() > 0.3 and (day := day + random.expovariate(max(rate, 1e-9))) < age:
            days.add(int(day))
        days.discard(0)
        members.append((len(days), max(days, default=0), age, 0))
    return members


@pytest.mark.parametrize("seed", range(3))
def test_members_who_are_all_alike_get_no_model(seed: int) -> None:
    cells = order_cells(alike(seed))
    limits = Limits(
        holdout_days=90, min_auc_rate=0.0, max_calibration_error_rate=1.0, largest_bucket=7
    )
    fit = fit_population(
        {0: cells, 90: cells}, spend_cells(cdnow_spending()), limits, refused=None, has_good=True
    )
    assert (fit.readiness, fit.reason) == ("withheld", "purchases_at_bound")
    assert fit.purchases is not None and fit.purchases.is_at_bound
