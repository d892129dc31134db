from dataclasses import replace
from datetime import date, timedelta

from regulars.state import StateStore, ValueCalibration, ValueModelVersion

READY = ValueModelVersion(
    brand="demo",
    currency="CNY",
    version=0,
    valid_from=date(2017, 10, 1),
    readiness="ready",
    reason=None,
    first_order_date=date(2017, 1, 1),
    last_order_date=date(2017, 9, 30),
    buyer_count=2357,
    repeat_buyer_count=946,
    cell_count=1016,
    mean_order_value=36.5,
    holdout_days=90,
    r=0.2425945224,
    alpha_days=30.89521413,
    a=0.7929220172,
    b=2.425906777,
)
BUCKETS = [
    ValueCalibration(90, "all", 0, 2357, 1882, 1673, 1653.41, 1700.0),
    ValueCalibration(30, "frequency", 1, 439, 306, 300, None, None),
]


def record_value_model(state: StateStore) -> ValueModelVersion:
    """Record one attempt with its table."""
    return state.value_models.record(READY, BUCKETS)


def test_an_attempt_gets_the_next_number_of_its_population(state: StateStore) -> None:
    assert record_value_model(state).version == 1
    later = replace(READY, valid_from=date(2017, 11, 1), r=0.25)
    assert state.value_models.record(later, []).version == 2
    assert state.value_models.record(replace(READY, currency="USD"), []).version == 1
    assert state.value_models.newest("demo", "CNY") == replace(later, version=2)
    assert state.value_models.newest("demo", "JPY") is None


def test_a_night_that_is_run_again_records_nothing(state: StateStore) -> None:
    first = record_value_model(state)
    assert record_value_model(state) == first
    heads = state.stream_heads()
    assert (heads["state__value_models"], heads["state__value_calibrations"]) == (1, 2)


def test_what_was_recorded_is_read_as_a_stream(state: StateStore) -> None:
    record_value_model(state)
    (model,) = state.iter_stream("state__value_models", 0, 9)
    assert (model["version"], model["r"], model["is_at_bound"]) == (1, READY.r, False)
    tables = list(state.iter_stream("state__value_calibrations", 0, 9))
    assert [(row["version"], row["bucket_kind"], row["predicted_nones"]) for row in tables] == [
        (1, "all", 1700.0),
        (1, "frequency", None),
    ]


def test_only_an_attempt_that_did_not_fail_can_stay_in_force(state: StateStore) -> None:
    until = READY.valid_from
    assert not state.value_models.has_conclusive("demo", "CNY", until)
    failed = replace(READY, readiness="failed", reason="not_converged")
    state.value_models.record(failed, [])
    assert not state.value_models.has_conclusive("demo", "CNY", until)
    cohort = replace(READY, readiness="cohort", reason="too_few_buyers")
    state.value_models.record(cohort, [])
    assert state.value_models.has_conclusive("demo", "CNY", until)
    # What only a night that was never completed has seen stays in force for nobody.
    assert not state.value_models.has_conclusive("demo", "CNY", until - timedelta(days=1))
    assert not state.value_models.has_conclusive("demo", "CNY", None)
