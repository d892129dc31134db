"""Keeping the warehouse small: old versions leave raw, free space leaves the files.

Raw is a copy: landing keeps every version, and staging has taken in whatever a good night consumed.
So nothing that a night builds reads a pruned row, except a staging model that is built from
scratch; for it the rows are loaded again first (:func:`regulars.warehouse.load.reload_batches`).
``ops.pruned_batches`` says of which batches rows are gone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from regulars.errors import WarehouseError
from regulars.settings import Settings
from regulars.sources import payload_model, raw_streams, source_names
from regulars.sources.payloads import PayloadModel
from regulars.warehouse.publish import fsync
from regulars.warehouse.session import open_warehouse
from regulars.warehouse.tables import create_tables

_FREE_SHARE = 0.25
"""Share of a file's blocks (0..1) that may lie free before the file is written anew: what a night
frees it fills again, so less is not worth the minutes."""


@dataclass(frozen=True)
class Shrunk:
    """What became of one file.

    Attributes:
        path: the file.
        before: bytes before.
        after: bytes afterwards; the same when it was not worth writing anew.
    """

    path: Path
    before: int
    after: int


def prune_raw(connection: duckdb.DuckDBPyConnection, before: datetime) -> dict[str, int]:
    """Delete old versions from raw; rows deleted per ``source__stream``.

    A row goes when a good night has consumed its batch, it was taken from its source before
    ``before``, and its record has both a younger version and one that was read later. Streams whose
    payload model names no key keep everything.

    Args:
        connection: the open warehouse.
        before: aware, UTC.
    """
    create_tables(connection)
    pruned: dict[str, int] = {}
    for source in source_names():
        for stream in raw_streams(source):
            model = payload_model(source, stream)
            if not model.key:
                continue
            count = _prune(connection, source, stream, model, before)
            if count:
                pruned[f"{source}__{stream}"] = count
    connection.execute("checkpoint warehouse")
    return pruned


def _prune(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    stream: str,
    model: PayloadModel,
    before: datetime,
) -> int:
    table = f"warehouse.raw.{source}__{stream}"
    record = ", ".join(["_brand", "_platform", "_shop", *(f'"{name}"' for name in model.key)])
    read_last = "_extracted_at desc, _batch_id desc, _line desc"
    youngest = f'"{model.modified}" desc nulls last, {read_last}' if model.modified else read_last
    connection.execute("begin")
    try:
        connection.execute(
            f"""
            create or replace temp table superseded as
            select row, _batch_id
            from (
                select
                    rowid as row,
                    _batch_id,
                    _extracted_at,
                    row_number() over (partition by {record} order by {youngest}) as by_age,
                    row_number() over (partition by {record} order by {read_last}) as by_reading
                from {table}
            ) as versions
            where
                by_age > 1
                and by_reading > 1
                and _extracted_at < ?
                and _batch_id in (select batch_id from warehouse.ops.consumed_batches)
                and _batch_id not in (select batch_id from warehouse.ops.pending_batches)
            """,
            [before.astimezone(UTC).replace(tzinfo=None)],
        )
        connection.execute(
            """
            insert into warehouse.ops.pruned_batches
            select _batch_id, ?, ?, count(*) from superseded group by _batch_id
            """,
            [source, stream],
        )
        connection.execute(f"delete from {table} where rowid in (select row from superseded)")
        found = connection.execute("select count(*) from superseded").fetchone()
        connection.execute("drop table superseded")
        connection.execute("commit")
    except duckdb.Error as error:
        connection.execute("rollback")
        raise WarehouseError(
            f"old versions could not be pruned ({type(error).__name__})",
            where=table,
            next_step="free disk space, or raise REGULARS_DUCKDB_MEMORY_LIMIT, and repeat; "
            "nothing is lost",
        ) from error
    return int(found[0]) if found else 0


def pruned_batches(
    connection: duckdb.DuckDBPyConnection, tables: Iterable[str] | None = None
) -> set[str]:
    """Ids of the batches that raw holds in part only.

    Args:
        connection: the open warehouse.
        tables: ``source__stream`` of the tables that matter; None for all.
    """
    rows = connection.execute(
        "select distinct batch_id, source || '__' || stream from warehouse.ops.pruned_batches"
    ).fetchall()
    wanted = None if tables is None else set(tables)
    return {batch_id for batch_id, table in rows if wanted is None or table in wanted}


def shrink_files(settings: Settings, *, holder: str) -> Iterator[Shrunk]:
    """Write those of the warehouse's files anew that are largely free space.

    The new file stands complete and on disk before it takes the old one's place, so a kill leaves
    one or the other, and both hold the same.

    Raises:
        WarehouseLocked: somebody else has the warehouse.
        WarehouseError: a file could not be written.
    """
    if not settings.warehouse_path.exists():
        return
    with open_warehouse(settings, holder=holder) as connection:
        # Views of the one file look into the other, so both are attached while one is copied.
        written = {
            name: _copied(connection, name, path)
            for name, path in (
                ("warehouse", settings.warehouse_path),
                ("marts", settings.marts_path),
            )
        }
        connection.close()
        for path, part in zip(
            (settings.warehouse_path, settings.marts_path), written.values(), strict=True
        ):
            before = path.stat().st_size
            if part is not None:
                part.replace(path)
                fsync(path.parent)
            yield Shrunk(path, before, path.stat().st_size)


def _copied(connection: duckdb.DuckDBPyConnection, name: str, path: Path) -> Path | None:
    """A copy of an attached file without its free space; None when that is not worth it."""
    connection.execute(f"checkpoint {name}")
    row = connection.execute(
        "select total_blocks, free_blocks from pragma_database_size() where database_name = ?",
        [name],
    ).fetchone()
    total, free = row or (0, 0)
    if not total or free / total < _FREE_SHARE:
        return None
    part = path.with_name(f"{path.name}.part")
    for left in (part, part.with_name(f"{part.name}.wal")):
        left.unlink(missing_ok=True)
    try:
        connection.execute(f"attach '{part}' as copied")
        connection.execute(f"copy from database {name} to copied")
        connection.execute("checkpoint copied")
        connection.execute("detach copied")
        fsync(part)
    except (duckdb.Error, OSError) as error:
        part.unlink(missing_ok=True)
        raise WarehouseError(
            f"the file could not be written anew ({type(error).__name__})",
            where=str(path),
            next_step="free disk space and repeat; the file stands as it was",
        ) from error
    return part
