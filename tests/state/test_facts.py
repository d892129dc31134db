from dataclasses import replace
from datetime import date

import pytest

from regulars.errors import StateError
from regulars.state import StateStore, ThresholdVersion

RECENCY = ThresholdVersion(1, "recency", 5.0, 12.5, 30.0, 77.0, date(2017, 1, 1), 2469, "demo")


def test_a_fact_is_kept_until_the_next(state: StateStore) -> None:
    assert state.facts.get("fingerprints") is None
    state.facts.put("fingerprints", {"fct_orders": "a", "会员": [1, None]})
    assert state.facts.get("fingerprints") == {"fct_orders": "a", "会员": [1, None]}
    state.facts.put("fingerprints", {})
    assert state.facts.get("fingerprints") == {}


def test_a_threshold_version_is_recorded_once(state: StateStore) -> None:
    frequency = replace(RECENCY, dimension="frequency")
    assert state.thresholds.record([RECENCY, frequency]) == 2
    assert state.thresholds.record([RECENCY]) == 0
    with pytest.raises(StateError, match="version 1 of recency"):
        state.thresholds.record([replace(RECENCY, q80=78.0)])


def test_the_newest_version_of_each_dimension_is_found(state: StateStore) -> None:
    second = replace(RECENCY, version=2, valid_from=date(2017, 4, 1))
    foreign = replace(RECENCY, version=3, brand="other")
    frequency = replace(RECENCY, dimension="frequency")
    state.thresholds.record([RECENCY, second, foreign, frequency])
    assert state.thresholds.newest("demo") == {"frequency": frequency, "recency": second}
    assert state.thresholds.newest("nobody") == {}
