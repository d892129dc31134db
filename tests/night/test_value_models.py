"""When a population is fitted, and what a night says of it."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from tests.state.test_value_models import READY

from regulars.night.value_models import is_due, sentence

FITTED = replace(READY, version=1, brier_score=0.125, auc_rate=0.75)
POPULATION = {"reason": None, "refit_days": 30}
UNREADY = {"reason": "too_few_buyers", "refit_days": 30}


def test_a_population_that_was_never_tried_is_due() -> None:
    assert is_due(None, UNREADY, FITTED.valid_from, FITTED.valid_from - timedelta(days=1))


@pytest.mark.parametrize(("days", "due"), [(1, False), (29, False), (30, True), (31, True)])
def test_the_calendar_decides_between_two_fits(days: int, due: bool) -> None:
    as_of = FITTED.valid_from + timedelta(days=days)
    assert is_due(FITTED, POPULATION, as_of, as_of - timedelta(days=1)) is due
    refused = replace(FITTED, readiness="cohort", reason="too_few_buyers", cell_count=0)
    assert is_due(refused, UNREADY, as_of, as_of - timedelta(days=1)) is due


def test_what_was_not_tried_is_due_on_the_night_it_becomes_ready() -> None:
    refused = replace(FITTED, readiness="cohort", reason="too_few_buyers", cell_count=0)
    tomorrow = FITTED.valid_from + timedelta(days=1)
    assert is_due(refused, POPULATION, tomorrow, FITTED.valid_from)


@pytest.mark.parametrize("readiness", ["failed", "withheld", "cohort"])
def test_what_was_tried_in_vain_waits_for_the_calendar(readiness: str) -> None:
    vain = replace(FITTED, readiness=readiness, reason="not_converged")
    tomorrow = FITTED.valid_from + timedelta(days=1)
    assert not is_due(vain, POPULATION, tomorrow, FITTED.valid_from)


@pytest.mark.parametrize("last", [None, FITTED.valid_from - timedelta(days=1)])
def test_what_a_night_recorded_that_failed_later_is_fitted_again(last: date | None) -> None:
    assert is_due(FITTED, POPULATION, FITTED.valid_from, last)
    assert not is_due(FITTED, POPULATION, FITTED.valid_from, FITTED.valid_from)


def test_a_night_says_what_a_fit_came_to() -> None:
    assert "2,357 members, Brier score 0.125, AUC 0.75" in sentence(FITTED)
    for readiness, said in (
        ("cohort", "averages of the cohort"),
        ("withheld", "not published"),
        ("failed", "the version before stays in force"),
    ):
        line = sentence(replace(FITTED, readiness=readiness, reason="not_converged"))
        assert "not_converged" in line
        assert said in line
