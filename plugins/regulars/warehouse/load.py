"""Landing to raw: each batch is parsed once, with explicit columns, and never again.

This is the one place at which landing is read into the warehouse, and so the one place at which
records of erased persons are left out: see :func:`load_batches` and :func:`holds_erased`.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC
from pathlib import Path

import duckdb

from regulars.errors import WarehouseError
from regulars.records import BatchManifest
from regulars.sources import raw_links, raw_streams, source_names
from regulars.sources.payloads import NAMES_BUYER, Refers
from regulars.state import ErasedKeys
from regulars.warehouse.tables import BATCH_COLUMNS, raw_table_columns

# A trade with 10,000 lines is about 6 MB of JSON.
_LARGEST_RECORD_BYTES = 256 * 1024 * 1024


def load_batches(
    connection: duckdb.DuckDBPyConnection,
    landing_dir: Path,
    batches: Iterable[BatchManifest],
    *,
    erased: ErasedKeys,
) -> dict[str, int]:
    """Load every batch that raw does not hold yet; rows loaded per ``source__stream``.

    A batch and its mark in ``ops.loaded_batches`` are one transaction, so a killed load leaves
    either all of a batch or nothing. Records of who was erased are not loaded: those that name a
    buyer, an order or a message with a tombstone.

    Args:
        connection: the open warehouse.
        landing_dir: where the batches stand.
        batches: in the order of the manifest.
        erased: every tombstone there is, whatever night is built.

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
        rows[table] = rows.get(table, 0) + _load(connection, landing_dir, batch, table, erased)
    connection.execute("begin")
    connection.execute("delete from warehouse.ops.applied_tombstones")
    connection.execute("insert into warehouse.ops.applied_tombstones values (?)", [erased.head])
    connection.execute("commit")
    return rows


def holds_erased(connection: duckdb.DuckDBPyConnection, erased: ErasedKeys) -> bool:
    """Whether raw still holds a record of who was erased since it was loaded: rebuild it then."""
    if not erased or applied_head(connection) == erased.head:
        return False
    for source in source_names():
        for stream in raw_streams(source):
            condition = _is_erased(raw_links(source, stream), erased)
            if condition is None:
                continue
            place = "_brand || '|' || _platform || '|' || _shop || '|'"
            query = f"select 1 from warehouse.raw.{source}__{stream} where {condition} limit 1"
            found = connection.execute(
                query.replace("$place", place), dict(_key_lists(condition, erased))
            ).fetchone()
            if found:
                return True
    return False


def applied_head(connection: duckdb.DuckDBPyConnection) -> int:
    """Number of the last tombstone that the warehouse was loaded with; 0 for a new one."""
    found = connection.execute("select max(head) from warehouse.ops.applied_tombstones").fetchone()
    return int(found[0] or 0) if found else 0


def _is_erased(links: dict[str, Refers], erased: ErasedKeys) -> str | None:
    """SQL that is true for records of erased persons; None when a stream has none."""
    lists: dict[Refers, bool] = {
        "buyer": bool(erased.customers),
        "order": bool(erased.orders),
        "message": bool(erased.messages),
    }
    parts = [
        f'coalesce(md5($place || "{name}") in (select unnest($erased_{refers})), false)'
        + (f" and {NAMES_BUYER.format(name=name)}" if refers == "buyer" else "")
        for name, refers in links.items()
        if lists[refers]
    ]
    # Our own messages come back under the id that they left with.
    parts += [
        f'coalesce("{name}" in (select unnest($erased_message)), false)'
        for name, refers in links.items()
        if refers == "message" and erased.messages
    ]
    return " or ".join(parts) if parts else None


def _key_lists(condition: str, erased: ErasedKeys) -> Iterator[tuple[str, list[str]]]:
    """The lists that a condition names, with keys as md5 writes them."""
    lists = {
        "erased_buyer": [key.hex for key in erased.customers],
        "erased_order": [key.hex for key in erased.orders],
        "erased_message": [key.replace("-", "") for key in erased.messages],
    }
    for name, keys in lists.items():
        if f"${name}" in condition:
            yield name, sorted(keys)


def _erased_lines(
    connection: duckdb.DuckDBPyConnection, path: Path, batch: BatchManifest, erased: ErasedKeys
) -> list[int]:
    """Lines of a batch that are left out."""
    links = raw_links(batch.source, batch.stream)
    condition = _is_erased(links, erased)
    if condition is None or not batch.record_count:
        return []
    declared = ", ".join(f"'{name}': 'varchar'" for name in links)
    rows = connection.execute(
        f"""
        select _line
        from read_json(
            $path,
            format = 'newline_delimited',
            columns = {{'_line': 'bigint', {declared}}},
            maximum_object_size = {_LARGEST_RECORD_BYTES}
        )
        where {condition}
        """,
        {
            "path": str(path),
            "place": f"{batch.brand}|{batch.platform}|{batch.shop}|",
            **dict(_key_lists(condition, erased)),
        },
    ).fetchall()
    return [row[0] for row in rows]


def _load(
    connection: duckdb.DuckDBPyConnection,
    landing_dir: Path,
    batch: BatchManifest,
    table: str,
    erased: ErasedKeys,
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
        left_out = _erased_lines(connection, landing_dir / batch.path, batch, erased)
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
                {"where _line not in (select unnest(?))" if left_out else ""}
                """,
                [
                    batch.batch_id,
                    batch.brand,
                    batch.platform,
                    batch.shop,
                    batch.extracted_at.astimezone(UTC).replace(tzinfo=None),
                    str(landing_dir / batch.path),
                    *([left_out] if left_out else []),
                ],
            )
            found = connection.execute(
                f"select count(*) from warehouse.raw.{table} where _batch_id = ?", [batch.batch_id]
            ).fetchone()
            count = int(found[0]) if found else 0
        if count + len(left_out) != batch.record_count:
            raise WarehouseError(
                f"the batch holds {count + len(left_out)} records, "
                f"its manifest says {batch.record_count}",
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
