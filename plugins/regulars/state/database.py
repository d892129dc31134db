"""The database behind recorded state: SQLite by default, PostgreSQL by URL.

Writers come one at a time on both: BEGIN IMMEDIATE on SQLite, an advisory lock on PostgreSQL. So
numbers are given out in the order of commits, and what a writer has just read stays true.

A connection lives as long as one transaction: nothing is kept over a fork, and a killed process
leaves nothing behind but an open transaction that the database rolls back.
"""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from regulars.errors import ConfigError, StateError

LOCK_WAIT_SECONDS = 30.0
"""Seconds to wait for another writer: every transaction here is far shorter."""

CACHE_KIBIBYTES = 64 * 1024
"""Page cache of a SQLite connection: the index of a million message ids fits."""

_WRITER_LOCK = 0x5245_4755_4C41_5253  # "REGULARS": any number that nobody else takes

_DRIVERS = {
    "sqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


class Database:
    """One database, by URL: ``sqlite:///path`` or ``postgresql://user:password@host/name``.

    Raises:
        ConfigError: the URL is malformed or names another kind of database.
    """

    def __init__(self, url: str, *, lock_wait_seconds: float = LOCK_WAIT_SECONDS) -> None:
        self.url = _known_url(url)
        self.dialect = self.url.get_backend_name()
        self.place = _place(self.url)
        """Where it is, for messages: never with a password."""
        if self.dialect == "sqlite":
            self._engine = _sqlite_engine(self.url, lock_wait_seconds)
        else:
            self._engine = _postgresql_engine(self.url, lock_wait_seconds)
        self._writer = self._engine.execution_options(regulars_begin="begin immediate")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One read transaction.

        Raises:
            StateError: the database refused or could not be reached.
        """
        with self._named_errors("read"), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One write transaction, the only one at a time from its beginning to its commit.

        Raises:
            StateError: the database refused, or another writer held it for too long.
        """
        with self._named_errors("written"), self._writer.begin() as connection:
            if self.dialect == "postgresql":
                connection.exec_driver_sql(f"select pg_advisory_xact_lock({_WRITER_LOCK})")
            yield connection

    @contextmanager
    def _named_errors(self, verb: str) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise StateError(
                f"recorded state could not be {verb}: {_reason(error)}",
                where=self.place,
                next_step="check that the database runs, has room and is not held by somebody "
                "else, then run the night again",
            ) from error


def _known_url(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    driver = _DRIVERS.get(parsed.drivername) if parsed is not None else None
    if parsed is None or driver is None:
        raise ConfigError(
            "the URL of recorded state is malformed or names a database that is not known",
            where="REGULARS_STATE_URL",
            next_step="leave it empty for SQLite, or use postgresql://user:password@host/database",
        )
    return parsed.set(drivername=driver)


def _place(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return f"state in {url.database}"
    return f"state in {url.database} on {url.host}"


def _reason(error: SQLAlchemyError) -> str:
    """What the driver says, without statement, parameters or row values."""
    original = getattr(error, "orig", None)
    if isinstance(original, sqlite3.Error):
        return str(original)
    message = getattr(getattr(original, "diag", None), "message_primary", None)
    return str(message or type(original or error).__name__)


def _sqlite_engine(url: URL, lock_wait_seconds: float) -> Engine:
    if not url.database or url.database == ":memory:":
        raise ConfigError(
            "recorded state needs a file: what is decided must survive the process",
            where="REGULARS_STATE_URL",
            next_step="name a file, as in sqlite:////srv/regulars/state.db",
        )
    path = Path(url.database)
    # Contact hashes and tokens live here: nobody but the owner needs to look.
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine = create_engine(
        url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": lock_wait_seconds}
    )

    def prepare(connection: Any, _record: Any) -> None:
        # The driver would begin transactions by its own rules; `begin` below decides instead.
        connection.isolation_level = None
        mode = connection.execute("pragma journal_mode").fetchone()[0]
        if mode != "wal":
            _switch_to_wal(connection, path)
        connection.execute("pragma synchronous = full")
        connection.execute("pragma foreign_keys = on")
        # Message ids are random: with the default of 2 MB a large commit rereads its own index.
        connection.execute(f"pragma cache_size = -{CACHE_KIBIBYTES}")

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(
            connection.get_execution_options().get("regulars_begin", "begin")
        )

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", begin)
    return engine


def _switch_to_wal(connection: Any, path: Path) -> None:
    """Switch the journal once: the busy timeout does not cover two starters that switch at once."""
    with path.with_name(path.name + ".init").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        connection.execute("pragma journal_mode = wal")
        path.chmod(0o600)


def _postgresql_engine(url: URL, lock_wait_seconds: float) -> Engine:
    given = url.query.get("options", "")
    own = f"-c lock_timeout={int(lock_wait_seconds * 1000)} -c synchronous_commit=on"
    return create_engine(
        url,
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"connect_timeout": 10, "options": f"{given} {own}"},
    )
