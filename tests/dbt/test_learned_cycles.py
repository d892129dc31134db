"""Learned cycles against independent estimators: numpy's quantiles, Kaplan-Meier by fractions."""

from collections.abc import Iterator
from datetime import date, timedelta
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.dbt.compiled import CompiledModels
from tests.dbt.project import Project

pytestmark = pytest.mark.slow

AS_OF = date(2018, 1, 1)
HORIZON = 180

# Days ago of a purchase, and days to the next one; None while it has not come.
purchases = st.lists(
    st.integers(0, 400).flatmap(
        lambda ago: st.tuples(st.just(ago), st.one_of(st.none(), st.integers(0, ago)))
    ),
    min_size=1,
    max_size=40,
)


@pytest.fixture(scope="module")
def models(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CompiledModels]:
    compiled = CompiledModels(project, tmp_path_factory.mktemp("cycles"), ["mart_product_cycles"])
    compiled.give(
        "warehouse.ops.run",
        {"run_id": "varchar", "as_of_date": "date", "previous_as_of_date": "date"},
        [("run", AS_OF, None)],
    )
    compiled.give(
        "marts.main.dim_products",
        {
            "brand": "varchar", "product_group": "varchar", "category": "varchar",
            "cycle_days": "integer", "repurchase": "varchar",
        },
        [("b", "tea", "drinks", None, "yes")],
    )  # fmt: skip
    for name in ("cycle_median_min_gaps", "cycle_tail_min_gaps"):
        compiled.set_seed("lifecycle_parameters", name, "1")
    yield compiled


def _kaplan_meier(rows: list[tuple[int, int | None]]) -> tuple[int | None, Fraction]:
    """Median (None while half have not returned) and share returned by the horizon."""
    survival, median, at_horizon = Fraction(1), None, Fraction(1)
    durations = [(ago if gap is None else gap, gap is not None) for ago, gap in rows]
    for time in sorted({duration for duration, _ in durations}):
        at_risk = sum(duration >= time for duration, _ in durations)
        events = sum(duration == time and happened for duration, happened in durations)
        survival *= 1 - Fraction(events, at_risk)
        if median is None and survival <= Fraction(1, 2):
            median = time
        if time <= HORIZON:
            at_horizon = survival
    return median, 1 - at_horizon


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(purchases)
def test_cycles_are_those_of_numpy_and_of_kaplan_and_meier(
    models: CompiledModels, rows: list[tuple[int, int | None]]
) -> None:
    models.give(
        "warehouse.intermediate.int_members__product_purchases",
        {
            "brand": "varchar", "product_group": "varchar", "is_repurchasable": "boolean",
            "purchase_date": "date", "gap_days": "integer",
        },
        [("b", "tea", True, AS_OF - timedelta(days=ago), gap) for ago, gap in rows],
    )  # fmt: skip
    models.build()
    [(gaps, watched, p50, p75, p80, p90, median, returned, last_day)] = models.rows(
        """
        select
            gap_count, watched_count, gap_p50_days, gap_p75_days, gap_p80_days, gap_p90_days,
            km_median_days, km_returned_share, active_last_day
        from marts.main.mart_product_cycles
        """
    )
    watchable = [(ago, gap) for ago, gap in rows if ago >= HORIZON]
    completed = [gap for _, gap in watchable if gap is not None and gap <= HORIZON]
    assert gaps == len(completed)
    assert watched == len(watchable)
    if completed:
        expected = np.quantile(completed, [0.5, 0.75, 0.8, 0.9])
        assert [float(p) for p in (p50, p75, p80, p90)] == pytest.approx(expected, abs=1e-4)
        assert last_day == np.ceil(round(float(expected[2]), 9))
    else:
        assert (p50, p80, last_day) == (None, None, None)
    expected_median, expected_share = _kaplan_meier(rows)
    assert median == expected_median
    assert float(returned) == pytest.approx(float(expected_share), abs=1e-6)
