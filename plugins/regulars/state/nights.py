"""Nights, and how far each stream was read."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update

from regulars.errors import NightError
from regulars.state.database import Database
from regulars.state.schema import decision_batches, nights, watermarks

CHUNK = 1000
"""Keys per query; SQLite binds at most 32,766 values."""


def run_id_of(as_of_date: date) -> str:
    """The one run id of a night."""
    return f"night-{as_of_date:%Y%m%d}"


@dataclass(frozen=True)
class Night:
    """One night.

    Attributes:
        status: ``open`` until its marts are published and its decisions committed, then
            ``completed``.
        manifest_sha256: SHA-256 of the run manifest it was built from.
        digest: digest of the published rows.
        published_file: name of the published marts file.
    """

    run_id: str
    as_of_date: date
    status: str
    opened_at: datetime
    manifest_sha256: str | None
    digest: str | None
    published_file: str | None
    completed_at: datetime | None

    @property
    def is_completed(self) -> bool:
        """Whether everything of this night was done once."""
        return self.status == "completed"


@dataclass(frozen=True)
class Watermark:
    """How far a stream of a shop has been read: everything modified before ``window_end`` (UTC)."""

    platform: str
    shop: str
    stream: str
    window_end: datetime


class Nights:
    """The nights of this installation."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def open(self, as_of_date: date) -> Night:
        """Open the night of ``as_of_date``; an existing one comes back as it stands."""
        with self._database.writing() as connection:
            of_date = nights.c.as_of_date == as_of_date
            if _night(connection, of_date) is None:
                connection.execute(
                    insert(nights).values(
                        run_id=run_id_of(as_of_date),
                        as_of_date=as_of_date,
                        status="open",
                        opened_at=self._clock(),
                    )
                )
            return _as_night(connection.execute(select(nights).where(of_date)).one())

    def get(self, as_of_date: date) -> Night | None:
        """The night of ``as_of_date``, if it was ever opened."""
        with self._database.reading() as connection:
            return _night(connection, nights.c.as_of_date == as_of_date)

    def freeze_manifest(self, run_id: str, sha256: str) -> None:
        """Record the manifest this night is built from.

        A night that failed may be built again from more batches, until its first decision: from
        then on the manifest is what the decisions were taken from.

        Raises:
            NightError: no such night, or it has decided or ended from another manifest.
        """
        with self._database.writing() as connection:
            night = _existing(connection, run_id)
            if night.manifest_sha256 == sha256:
                return
            decided = connection.execute(
                select(func.count()).where(decision_batches.c.run_id == run_id)
            ).scalar_one()
            if night.is_completed or decided:
                raise NightError(
                    "this night has already decided from another manifest",
                    where=run_id,
                    next_step="run it from its recorded manifest in data/runs; newer batches "
                    "belong to the next night or to a restatement",
                )
            connection.execute(
                update(nights).where(nights.c.run_id == run_id).values(manifest_sha256=sha256)
            )

    def complete(self, run_id: str, *, digest: str, published_file: str) -> Night:
        """End the night. Completing it again with the same digest changes nothing.

        Raises:
            NightError: no such night, or it ended with another digest.
        """
        now = self._clock()
        with self._database.writing() as connection:
            night = _existing(connection, run_id)
            if night.is_completed and night.digest != digest:
                raise NightError(
                    f"this night ended with digest {night.digest}, now it has {digest}",
                    where=run_id,
                    next_step="compare its manifest in data/runs with the code and "
                    "configuration of today; a restatement gets a run id of its own",
                )
            if not night.is_completed:
                connection.execute(
                    update(nights)
                    .where(nights.c.run_id == run_id)
                    .values(
                        status="completed",
                        digest=digest,
                        published_file=published_file,
                        completed_at=now,
                    )
                )
            return _existing(connection, run_id)

    def last_completed_date(self) -> date | None:
        """Business date of the newest completed night."""
        with self._database.reading() as connection:
            query = select(func.max(nights.c.as_of_date)).where(nights.c.status == "completed")
            return connection.execute(query).scalar_one()


class Watermarks:
    """How far each stream of each shop has been read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, platform: str, shop: str, stream: str) -> datetime | None:
        """End (UTC, exclusive) of the last window read, None before the first."""
        with self._database.reading() as connection:
            query = select(watermarks.c.window_end).where(_is_mark(platform, shop, stream))
            return connection.execute(query).scalar_one_or_none()

    def advance(self, run_id: str, mark: Watermark) -> None:
        """Move a watermark forward; an earlier end changes nothing."""
        place = _is_mark(mark.platform, mark.shop, mark.stream)
        values = {"window_end": mark.window_end, "run_id": run_id}
        with self._database.writing() as connection:
            query = select(watermarks.c.window_end).where(place)
            stored = connection.execute(query).scalar_one_or_none()
            if stored is None:
                connection.execute(
                    insert(watermarks).values(
                        platform=mark.platform, shop=mark.shop, stream=mark.stream, **values
                    )
                )
            elif mark.window_end > stored:
                connection.execute(update(watermarks).where(place).values(values))


def _night(connection: Connection, condition: ColumnElement[bool]) -> Night | None:
    row = connection.execute(select(nights).where(condition)).one_or_none()
    return None if row is None else _as_night(row)


def _as_night(row: Row[tuple[object, ...]]) -> Night:
    return Night(**dict(row._mapping))


def _existing(connection: Connection, run_id: str) -> Night:
    night = _night(connection, nights.c.run_id == run_id)
    if night is None:
        raise NightError(
            "this night was never opened", where=run_id, next_step="open the night first"
        )
    return night


def _is_mark(platform: str, shop: str, stream: str) -> ColumnElement[bool]:
    return (
        (watermarks.c.platform == platform)
        & (watermarks.c.shop == shop)
        & (watermarks.c.stream == stream)
    )
