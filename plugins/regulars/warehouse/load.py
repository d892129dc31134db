"""Landing to raw: each batch is parsed once, with explicit columns, and never again."""

from collections.abc import Iterable
from datetime import UTC
from pathlib import Path

import duckdb

from regulars.errors import WarehouseError
from regulars.records import BatchManifest
from regulars.warehouse.tables import BATCH_COLUMNS, raw_table_columns

# A trade with 10,000 lines is about 6 MB of JSON.
_LARGEST_RECORD_BYTES = 256 * 1024 * 1024


def load_batches(
    connection: duckdb.DuckDBPyConnection, landing_dir: Path, batches: Iterable[BatchManifest]
) -> dict[str, int]:
    """Load every batch that raw does not hold yet; rows loaded per ``source__stream``.

    A batch and its mark in ``ops.loaded_batches`` are one transaction, so a killed load leaves
    either all of a batch or nothing.

    Raises:
        WarehouseError: a batch holds another number of records than its manifest says.
    """
    loaded = {
        row[0]
        for row in connection.execute(
            "select batch_id from warehouse.ops.loaded_batches"
        ).fetchall()
    }
    rows: dict[str, int] = {}
    for batch in batches:
        if batch.batch_id in loaded:
            continue
        table = f"{batch.source}__{batch.stream}"
        rows[table] = rows.get(table, 0) + _load(connection, landing_dir, batch, table)
    return rows


def _load(
    connection: duckdb.DuckDBPyConnection, landing_dir: Path, batch: BatchManifest, table: str
) -> int:
    columns = raw_table_columns(batch.source, batch.stream)
    payload = [name for name in columns if name not in BATCH_COLUMNS]
    parsed = {"_line": "bigint", **{name: columns[name] for name in payload}}
    declared = ", ".join(f"'{name}': '{kind}'" for name, kind in parsed.items())
    listed = ", ".join(f'"{name}"' for name in (*BATCH_COLUMNS, *payload))
    selected = ", ".join(f'"{name}"' for name in payload)
    connection.execute("begin")
    try:
        count = 0
        if batch.record_count:
            connection.execute(
                f"""
                insert into warehouse.raw.{table} ({listed})
                select ?, _line, ?, ?, ?, ?, {selected}
                from read_json(
                    ?,
                    format = 'newline_delimited',
                    columns = {{{declared}}},
                    maximum_object_size = {_LARGEST_RECORD_BYTES}
                )
                """,
                [
                    batch.batch_id,
                    batch.brand,
                    batch.platform,
                    batch.shop,
                    batch.extracted_at.astimezone(UTC).replace(tzinfo=None),
                    str(landing_dir / batch.path),
                ],
            )
            found = connection.execute(
                f"select count(*) from warehouse.raw.{table} where _batch_id = ?", [batch.batch_id]
            ).fetchone()
            count = int(found[0]) if found else 0
        if count != batch.record_count:
            raise WarehouseError(
                f"the batch holds {count} records, its manifest says {batch.record_count}",
                where=f"{batch.shop}/{batch.stream} {batch.path}",
                next_step="restore the file from a backup; landing is immutable",
            )
        connection.execute(
            "insert into warehouse.ops.loaded_batches values (?, ?)", [batch.batch_id, count]
        )
        connection.execute("commit")
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        connection.execute("rollback")
        raise WarehouseError(
            f"the batch could not be loaded ({type(error).__name__})",
            where=f"{batch.shop}/{batch.stream} {batch.path}",
            next_step=(
                "free disk space, or raise REGULARS_DUCKDB_MEMORY_LIMIT, and run the night again; "
                "nothing is lost"
            ),
        ) from error
    except duckdb.Error as error:
        connection.execute("rollback")
        raise WarehouseError(
            f"the batch cannot be parsed ({type(error).__name__})",
            where=f"{batch.shop}/{batch.stream} {batch.path}",
            next_step="run `regulars landing verify` and restore the file from a backup",
        ) from None
    except WarehouseError:
        connection.execute("rollback")
        raise
    return count
