"""The value models' step of a night: fit what is due, record it, say what it came to.

A population is a brand's buyers in one currency. Its parameters are an input of the night's scores
and recorded as a version: a replay reads the versions of its manifest and fits nothing.
"""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from regulars.state import StateStore, ValueCalibration, ValueModelVersion
from regulars.warehouse import control

STREAMS_OF_VALUE = ("state__value_models", "state__value_calibrations")

_POPULATIONS = (
    "select * from warehouse.intermediate.int_value__populations order by brand, currency"
)
_ORDER_CELLS = """
    select horizon_days, cast(repeat_day_count as double) as repeat_days,
        cast(recency_days as double) as recency_days, cast(age_days as double) as age_days,
        cast(member_count as double) as member_count,
        cast(later_day_count as double) as later_days, cast(none_count as double) as none_count
    from warehouse.intermediate.int_value__order_cells
    where brand = ? and currency = ?
    order by all
"""
_SPEND_CELLS = """
    select cast(repeat_day_count as double) as repeat_days,
        cast(repeat_net_amount as double) as repeat_amount,
        cast(member_count as double) as member_count
    from warehouse.intermediate.int_value__spend_cells
    where brand = ? and currency = ?
    order by all
"""
_CYCLES = """
    select gap_count, cycle_days from warehouse.intermediate.int_value__cycles
    where brand = ? and currency = ?
"""


def record_due_models(
    connection: Any,
    state: StateStore,
    as_of_date: date,
    last_completed: date | None,
    say: Callable[[str], None],
) -> list[ValueModelVersion]:
    """Fit and record the models of every population that is due; those recorded.

    Nothing that the data are like stops it: a population that cannot be fitted is recorded with
    the reason, and what was in force before stays in force.

    Args:
        connection: the warehouse, with the members' models built.
        state: where versions are recorded.
        as_of_date: business date of the night.
        last_completed: business date of the last completed night.
        say: takes a line for whoever watches.
    """
    recorded = []
    for population in control.iter_rows(connection, _POPULATIONS):
        newest = state.value_models.newest(population["brand"], population["currency"])
        if is_due(newest, population, as_of_date, last_completed):
            version = _attempt(connection, state, population, as_of_date, last_completed)
            say(sentence(version))
            recorded.append(version)
    return recorded


def is_due(
    newest: ValueModelVersion | None,
    population: dict[str, Any],
    as_of_date: date,
    last_completed: date | None,
) -> bool:
    """Whether a population is fitted tonight: on the calendar, and once it has become ready.

    Args:
        newest: its newest attempt.
        population: its row of int_value__populations.
        as_of_date: business date of the night.
        last_completed: business date of the last completed night.
    """
    if newest is None:
        return True
    # Recorded by a night that failed afterwards: what it saw may have been wrong.
    if last_completed is None or newest.valid_from > last_completed:
        return True
    has_become_ready = newest.cell_count == 0 and population["reason"] is None
    waited = as_of_date - newest.valid_from
    return has_become_ready or waited >= timedelta(days=population["refit_days"])


def sentence(version: ValueModelVersion) -> str:
    """What an attempt came to, for the night's report."""
    name = f"value model of {version.brand} in {version.currency}, version {version.version}"
    if version.readiness == "ready":
        return (
            f"{name}: fitted on {version.buyer_count:,} members, "
            f"Brier score {version.brier_score:.3f}, AUC {version.auc_rate:.2f}"
        )
    ends = {
        "cohort": "averages of the cohort take its place",
        "withheld": "fitted but not published, averages of the cohort take its place",
        "failed": "not fitted, the version before stays in force",
    }
    return f"{name}: {version.reason}; {ends[version.readiness]}"


def _attempt(
    connection: Any,
    state: StateStore,
    population: dict[str, Any],
    as_of_date: date,
    last_completed: date | None,
) -> ValueModelVersion:
    from regulars.value.fitting import Limits, fit_population

    key = (population["brand"], population["currency"])
    orders, cell_count = _read_orders(connection, key)
    limits = Limits(
        holdout_days=population["holdout_days"],
        min_auc_rate=population["min_auc_rate"],
        max_calibration_error_rate=population["max_calibration_error_rate"],
        largest_bucket=population["frequency_bucket_max"],
    )
    fit = fit_population(
        orders,
        _read_spend(connection, key),
        limits,
        refused=population["reason"],
        has_good=state.value_models.has_conclusive(*key, until=last_completed),
    )
    cycle = connection.execute(_CYCLES, list(key)).fetchone() or (0, None)
    parameters: dict[str, Any] = {}
    if fit.purchases is not None:
        parameters.update(vars(fit.purchases))
    if fit.spend is not None:
        spend = fit.spend
        parameters.update(spend_p=spend.p, spend_q=spend.q, spend_v=spend.v)
        parameters.update(spend_log_likelihood=spend.log_likelihood)
    if fit.score is not None:
        tested = fit.score
        parameters.update(brier_score=tested.brier, auc_rate=tested.auc)
        parameters.update(calibration_error_rate=tested.calibration_error)
    model = ValueModelVersion(
        brand=key[0],
        currency=key[1],
        version=0,
        valid_from=as_of_date,
        readiness=fit.readiness,
        reason=fit.reason,
        first_order_date=population["first_order_date"],
        last_order_date=population["last_order_date"],
        buyer_count=population["buyer_count"],
        repeat_buyer_count=population["repeat_buyer_count"],
        cell_count=cell_count if population["reason"] is None else 0,
        mean_order_value=population["mean_order_value"],
        holdout_days=limits.holdout_days,
        cycle_days=cycle[1],
        cycle_gap_count=cycle[0],
        spend_reason=fit.spend_reason,
        value_correlation=fit.correlation,
        **parameters,
    )
    buckets = [ValueCalibration(**vars(bucket)) for bucket in fit.buckets]
    return state.value_models.record(model, buckets)


def _read_orders(connection: Any, key: tuple[str, str]) -> tuple[dict[int, Any], int]:
    """Cells by horizon, and how many there are of today's."""
    from regulars.value.cells import OrderCells
    from regulars.value.fitting import TODAY

    columns = control.read_columns(connection, _ORDER_CELLS, key)
    horizons = columns.pop("horizon_days")
    found = {}
    for horizon in sorted({int(one) for one in horizons}):
        inside = horizons == horizon
        found[horizon] = OrderCells(**{name: column[inside] for name, column in columns.items()})
    return found, len(found[TODAY].member_count) if TODAY in found else 0


def _read_spend(connection: Any, key: tuple[str, str]) -> Any:
    from regulars.value.cells import SpendCells

    return SpendCells(**control.read_columns(connection, _SPEND_CELLS, key))
