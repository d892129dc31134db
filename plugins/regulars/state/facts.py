"""Small recorded facts by name (JSON), and versions of thresholds."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import func, insert, select, update

from regulars.errors import StateError
from regulars.state.database import Database
from regulars.state.schema import facts, threshold_versions
from regulars.state.streams import take_numbers


class Facts:
    """Named JSON values, such as the sealed access tokens that a platform renewed."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def get(self, name: str) -> Any:
        """The value of ``name``, None when it was never recorded."""
        with self._database.reading() as connection:
            query = select(facts.c.value).where(facts.c.name == name)
            value = connection.execute(query).scalar_one_or_none()
        return None if value is None else json.loads(value)

    def put(self, name: str, value: Any) -> None:
        """Record ``value`` (anything JSON can hold) under ``name``, in place of the last one."""
        text = json.dumps(value, sort_keys=True, ensure_ascii=False)
        now = self._clock()
        with self._database.writing() as connection:
            stored = connection.execute(
                update(facts).where(facts.c.name == name).values(value=text, recorded_at=now)
            )
            if stored.rowcount == 0:
                connection.execute(insert(facts).values(name=name, value=text, recorded_at=now))


@dataclass(frozen=True)
class ThresholdVersion:
    """Quintile cut points of one dimension, valid from a business date on.

    Attributes:
        version: counts from 1 per brand and dimension.
        dimension: ``recency``, ``frequency``, or ``monetary:`` and a currency; ``monetary`` alone
            is of all currencies together, as the first versions were recorded.
        q20, q40, q60, q80: the cut points, in the unit of the dimension (days, orders, currency).
        customer_count: how many customers they were computed from.
    """

    version: int
    dimension: str
    q20: float
    q40: float
    q60: float
    q80: float
    valid_from: date
    customer_count: int
    brand: str


class Thresholds:
    """Versions of thresholds: recorded once, never changed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, versions: Iterable[ThresholdVersion]) -> int:
        """Append versions; the same one again changes nothing.

        Returns:
            How many were new.

        Raises:
            StateError: a version was recorded before with other values.
        """
        recorded = 0
        with self._database.writing() as connection:
            for version in versions:
                columns = [threshold_versions.c[name] for name in vars(version)]
                stored = connection.execute(
                    select(*columns).where(
                        threshold_versions.c.brand == version.brand,
                        threshold_versions.c.dimension == version.dimension,
                        threshold_versions.c.version == version.version,
                    )
                ).one_or_none()
                if stored is None:
                    seq = take_numbers(connection, "state__threshold_versions", 1)
                    connection.execute(insert(threshold_versions).values(seq=seq, **vars(version)))
                    recorded += 1
                elif ThresholdVersion(**dict(stored._mapping)) != version:
                    raise StateError(
                        f"version {version.version} of {version.dimension} is recorded with other "
                        "values",
                        where=f"brand {version.brand}",
                        next_step="record the new cut points as the next version",
                    )
        return recorded

    def newest(self, brand: str) -> dict[str, ThresholdVersion]:
        """The newest version of each dimension of ``brand``, by dimension."""
        latest = (
            select(
                threshold_versions.c.dimension, func.max(threshold_versions.c.version).label("v")
            )
            .where(threshold_versions.c.brand == brand)
            .group_by(threshold_versions.c.dimension)
            .subquery()
        )
        columns = [column for column in threshold_versions.c if column.name != "seq"]
        query = (
            select(*columns)
            .join(
                latest,
                (latest.c.dimension == threshold_versions.c.dimension)
                & (latest.c.v == threshold_versions.c.version),
            )
            .where(threshold_versions.c.brand == brand)
            .order_by(threshold_versions.c.dimension)
        )
        with self._database.reading() as connection:
            rows = [ThresholdVersion(**dict(row._mapping)) for row in connection.execute(query)]
        return {row.dimension: row for row in rows}
