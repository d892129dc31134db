"""Versions of the value models' parameters: recorded once, never changed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from sqlalchemy import Connection, func, insert, select

from regulars.state.database import Database
from regulars.state.schema import value_calibrations, value_models
from regulars.state.streams import take_numbers


@dataclass(frozen=True)
class ValueModelVersion:
    """One attempt to fit a brand's models in one currency, valid from a business date on.

    Attributes:
        version: counts from 1 per brand and currency.
        valid_from: business date as of which it was fitted.
        readiness: ``ready``, ``cohort``, ``withheld`` or ``failed``.
        reason: why it is not ready; None when it is.
        first_order_date, last_order_date: the window of the orders it was fitted on.
        buyer_count, repeat_buyer_count: members of the population.
        cell_count: cells that they were fitted as; 0 where no fit was tried.
        mean_order_value: mean net value of an order day, in the currency.
        r, alpha_days, a, b: purchase model; None where there is none, as with all that follow.
        spend_p, spend_q, spend_v: spend model, v in the currency.
        spend_reason: why there is no spend model though there is a purchase model.
        value_correlation: correlation of order days and mean value.
        holdout_days: days held back in the test.
        brier_score, auc_rate, calibration_error_rate: results of the test.
        cycle_days: the usual gap between two order days.
        cycle_gap_count: completed gaps that it rests on.
    """

    brand: str
    currency: str
    version: int
    valid_from: date
    readiness: str
    reason: str | None
    first_order_date: date
    last_order_date: date
    buyer_count: int
    repeat_buyer_count: int
    cell_count: int
    mean_order_value: float
    holdout_days: int
    cycle_days: float | None = None
    cycle_gap_count: int = 0
    r: float | None = None
    alpha_days: float | None = None
    a: float | None = None
    b: float | None = None
    log_likelihood: float | None = None
    is_at_bound: bool = False
    spend_p: float | None = None
    spend_q: float | None = None
    spend_v: float | None = None
    spend_log_likelihood: float | None = None
    spend_reason: str | None = None
    value_correlation: float | None = None
    brier_score: float | None = None
    auc_rate: float | None = None
    calibration_error_rate: float | None = None


@dataclass(frozen=True)
class ValueCalibration:
    """What came of the members of one bucket, beside what was predicted.

    Attributes:
        horizon_days: days that were watched, up to the version's ``valid_from``.
        bucket_kind: ``all``, ``frequency`` or ``decile``.
        bucket: number of the bucket; 0 for all.
        predicted_orders, predicted_nones: None without a prediction.
    """

    horizon_days: int
    bucket_kind: str
    bucket: int
    member_count: int
    actual_order_count: int
    actual_none_count: int
    predicted_orders: float | None
    predicted_nones: float | None


class ValueModels:
    """Versions of value models and their calibration tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self, model: ValueModelVersion, calibrations: Sequence[ValueCalibration]
    ) -> ValueModelVersion:
        """Append an attempt as the next version of its brand and currency, with its table.

        An attempt that is equal to the newest version in everything, date included, is that
        version: a night that is run again records nothing.

        Args:
            model: the attempt; its number is given here.
            calibrations: its calibration table.

        Returns:
            The version as recorded.
        """
        key = {"brand": model.brand, "currency": model.currency}
        with self._database.writing() as connection:
            newest = _newest(connection, **key)
            number = newest.version if newest else 0
            if newest == replace(model, version=number):
                return replace(model, version=number)
            recorded = replace(model, version=number + 1)
            seq = take_numbers(connection, "state__value_models", 1)
            connection.execute(insert(value_models).values(seq=seq, **vars(recorded)))
            if calibrations:
                first = take_numbers(connection, "state__value_calibrations", len(calibrations))
                connection.execute(
                    insert(value_calibrations),
                    [
                        {"seq": first + place, **key, "version": recorded.version, **vars(one)}
                        for place, one in enumerate(calibrations)
                    ],
                )
        return recorded

    def newest(self, brand: str, currency: str) -> ValueModelVersion | None:
        """The newest attempt, whatever it came to; None when there was none."""
        with self._database.reading() as connection:
            return _newest(connection, brand, currency)

    def has_conclusive(self, brand: str, currency: str, until: date | None) -> bool:
        """Whether some attempt did not fail: what stays in force when the next one does.

        Args:
            brand: of the population.
            currency: of the population.
            until: business date of the last completed night; what a night that was never
                completed has fitted may have seen what was taken out since. None: no such night.
        """
        if until is None:
            return False
        query = select(func.count()).where(
            value_models.c.brand == brand,
            value_models.c.currency == currency,
            value_models.c.readiness != "failed",
            value_models.c.valid_from <= until,
        )
        with self._database.reading() as connection:
            return bool(connection.execute(query).scalar_one())


def _newest(connection: Connection, brand: str, currency: str) -> ValueModelVersion | None:
    columns = [column for column in value_models.c if column.name != "seq"]
    query = (
        select(*columns)
        .where(value_models.c.brand == brand, value_models.c.currency == currency)
        .order_by(value_models.c.version.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else ValueModelVersion(**dict(row._mapping))
