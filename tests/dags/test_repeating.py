"""Which failures of an extraction Airflow repeats, and which it leaves to people."""

import pytest

from regulars import errors
from regulars.errors import RegularsError

pytestmark = pytest.mark.airflow


def failing(kind: type[RegularsError]):
    def extract_shop(self, run_id, shop):
        raise kind("the platform refuses", where=f"{shop}/orders", next_step="do something")

    return extract_shop


@pytest.fixture
def extract(monkeypatch):
    """Run the task's own function with an extraction that fails."""
    from regulars.night.steps import Night
    from regulars.orchestration import nights

    monkeypatch.setattr(nights, "get_current_context", lambda: {"run_id": "manual"})

    def run(kind):
        monkeypatch.setattr(Night, "extract_shop", failing(kind))
        nights.extract_shop("night-20171001", "north")

    return run


@pytest.mark.parametrize(
    "kind",
    [
        errors.AuthenticationFailed,
        errors.QuotaExhausted,
        errors.SchemaChanged,
        errors.ConfigError,
        errors.VaultKeyError,
    ],
)
def test_what_a_repetition_would_find_again_fails_for_good(extract, kind):
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException) as caught:
        extract(kind)
    for part in ("the platform refuses", "north/orders", "do something"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "kind", [errors.SourceUnavailable, errors.LandingError, errors.StateError, errors.LeaseHeld]
)
def test_what_may_pass_is_repeated(extract, kind):
    with pytest.raises(kind):
        extract(kind)


def test_a_day_of_a_backfill_is_treated_alike(monkeypatch):
    from airflow.sdk.exceptions import AirflowFailException

    from regulars.orchestration import nights

    def refused(*_, **__):
        raise errors.QuotaExhausted("used up", where="north/orders", next_step="wait")

    params = {"shop": "north", "again": False}
    monkeypatch.setattr(nights, "get_current_context", lambda: {"params": params})
    monkeypatch.setattr(nights.backfill, "backfill_span", refused)
    with pytest.raises(AirflowFailException, match="used up"):
        nights.land_span("2017-10-01")
