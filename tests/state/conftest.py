"""Every state test runs on SQLite and on a real PostgreSQL."""

import shutil
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from regulars.state import StateStore
from regulars.state.schema import metadata
from tests.servers import new_postgresql_url, postgresql_database  # noqa: F401
from tests.state.rows import ManualClock

_SEEDED = {
    "schema_version": "",
    "stream_heads": "update stream_heads set head = 0",
    "leases": "delete from leases; insert into leases (name) values ('night')",
}
_RESET = "; ".join(
    _SEEDED.get(table, f"delete from {table}")
    for table in metadata.tables
    if _SEEDED.get(table) != ""
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database to copy."""
    path = tmp_path_factory.mktemp("template") / "state.db"
    StateStore(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_url(new_postgresql_url: Callable[[], str]) -> str:  # noqa: F811
    """A migrated PostgreSQL schema to empty."""
    url = new_postgresql_url()
    StateStore(url)
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def state_url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a migrated database without rows."""
    if dialect == "sqlite":
        path = tmp_path / "state.db"
        shutil.copy(request.getfixturevalue("migrated_file"), path)
        return f"sqlite:///{path}"
    url: str = request.getfixturevalue("migrated_url")
    with psycopg.connect(url, autocommit=True) as connection:
        # Past the triggers that keep the ledger append-only: only a superuser can.
        connection.execute("set session_replication_role = replica")
        connection.execute(_RESET)
    return url


@pytest.fixture
def empty_url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database without tables."""
    if dialect == "sqlite":
        return f"sqlite:///{tmp_path / 'empty' / 'state.db'}"
    new_url: Callable[[], str] = request.getfixturevalue("new_postgresql_url")
    return new_url()


@pytest.fixture
def state(state_url: str, clock: ManualClock) -> StateStore:
    return StateStore(state_url, clock=clock)
