"""Opening the warehouse: the lock first, then DuckDB, then the marts attached."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from regulars.errors import WarehouseError
from regulars.settings import Settings
from regulars.warehouse.lock import foreign_lock, warehouse_lock

_RETRY_SECONDS = 0.25


@contextmanager
def open_warehouse(
    settings: Settings, *, holder: str, wait: Callable[[float], object] = time.sleep
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A writing connection with the marts attached as ``marts``; UTC session.

    Waits up to ``settings.warehouse_lock_seconds`` for our own lock and as long again for a
    foreign process (a DuckDB shell, a BI tool) that has the file open.

    Raises:
        WarehouseLocked: somebody held it all the while; names the holder where it is known.
        WarehouseError: one of the files is no DuckDB database of this version.
    """
    with warehouse_lock(
        settings.warehouse_path,
        holder=holder,
        wait_seconds=settings.warehouse_lock_seconds,
        wait=wait,
    ):
        connection = connect_patiently(settings, settings.warehouse_path, wait=wait)
        try:
            _attach_patiently(connection, settings, wait)
            yield connection
        finally:
            connection.close()


def _attach_patiently(
    connection: duckdb.DuckDBPyConnection, settings: Settings, wait: Callable[[float], object]
) -> None:
    """Attach the marts, waiting for a foreign process as :func:`connect_patiently` does."""
    waited = 0.0
    while True:
        try:
            connection.execute(f"attach if not exists '{settings.marts_path}' as marts")
            return
        except duckdb.IOException as error:
            _wait_or_raise(error, settings, settings.marts_path, waited, wait)
            waited += _RETRY_SECONDS


def connect_patiently(
    settings: Settings, path: Path, *, wait: Callable[[float], object] = time.sleep
) -> duckdb.DuckDBPyConnection:
    """A writing connection to one DuckDB file; call it with the warehouse's lock held.

    Waits up to ``settings.warehouse_lock_seconds`` for a foreign process that has the file open.

    Raises:
        WarehouseLocked: it had it open all the while; names it where it is known.
        WarehouseError: the file is no DuckDB database of this version.
    """
    waited = 0.0
    while True:
        connection = None
        try:
            connection = duckdb.connect(
                str(path),
                config={
                    "threads": settings.duckdb_threads,
                    "memory_limit": settings.duckdb_memory_limit,
                },
            )
            connection.execute("set TimeZone = 'UTC'")
            return connection
        except duckdb.IOException as error:
            if connection is not None:
                connection.close()
            _wait_or_raise(error, settings, path, waited, wait)
            waited += _RETRY_SECONDS


def _wait_or_raise(
    error: duckdb.IOException,
    settings: Settings,
    path: Path,
    waited: float,
    wait: Callable[[float], object],
) -> None:
    """Wait a moment for whoever holds the file; raise when it is no lock, or patience is over."""
    locked = foreign_lock(str(error))
    if locked is None:
        raise WarehouseError(
            "the warehouse file cannot be opened",
            where=str(path),
            next_step=(
                "delete data/warehouse/ and run the night again: it is rebuilt from "
                "landing and recorded state, and nothing is sent twice"
            ),
        ) from error
    if waited >= settings.warehouse_lock_seconds:
        raise locked from error
    wait(_RETRY_SECONDS)


def remove_warehouse(settings: Settings) -> None:
    """Remove both files, so that they are rebuilt from landing and recorded state (law 6)."""
    for path in (settings.warehouse_path, settings.marts_path):
        path.unlink(missing_ok=True)
        path.with_name(path.name + ".wal").unlink(missing_ok=True)


def remove_half_pair(settings: Settings) -> bool:
    """Remove the warehouse if one of its two files is missing; True if something was removed.

    Warehouse and marts are one thing in two files: with one of them gone, the incremental state
    of the other is a lie. Both are rebuilt from landing and recorded state (law 6).
    """
    pair = (settings.warehouse_path, settings.marts_path)
    present = [path for path in pair if path.exists()]
    if len(present) != 1:
        return False
    remove_warehouse(settings)
    return True
