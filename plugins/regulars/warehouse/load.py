"""Landing to raw: each batch is parsed once, with explicit columns, and never again.

This is the one place at which landing is read into the warehouse, and so the one place at which
records of erased persons are left out: see :func:`load_batches` and :func:`holds_erased`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
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

    Batches that stand in one compacted file are parsed together. The batches of a file and their
    marks in ``ops.loaded_batches`` are one transaction, so a killed load leaves either all of a
    file or nothing. Records of who was erased are not loaded: those that name a buyer, an order or
    a message with a tombstone.

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
    for together in _files([batch for batch in batches if batch.batch_id not in loaded]):
        table = f"{together[0].source}__{together[0].stream}"
        rows[table] = rows.get(table, 0) + _load(connection, landing_dir, together, table, erased)
    connection.execute("begin")
    connection.execute("delete from warehouse.ops.applied_tombstones")
    connection.execute("insert into warehouse.ops.applied_tombstones values (?)", [erased.head])
    connection.execute("commit")
    return rows


def reload_batches(
    connection: duckdb.DuckDBPyConnection,
    landing_dir: Path,
    batches: Sequence[BatchManifest],
    *,
    erased: ErasedKeys,
) -> int:
    """Load batches again that raw holds, wholly or in part; rows loaded.

    Killed halfway, the batches count as never loaded and the next night loads them.

    Args:
        connection: the open warehouse.
        landing_dir: where the batches stand.
        batches: what to load again.
        erased: every tombstone there is.

    Raises:
        WarehouseError: a batch holds another number of records than its manifest says.
    """
    names: dict[str, list[str]] = {}
    for batch in batches:
        names.setdefault(f"raw.{batch.source}__{batch.stream}", []).append(batch.batch_id)
    connection.execute("begin")
    for table, ids in names.items():
        connection.execute(
            f"delete from warehouse.{table} where _batch_id in (select unnest(?))", [ids]
        )
        for marks in ("loaded_batches", "pruned_batches"):
            connection.execute(
                f"delete from warehouse.ops.{marks} where batch_id in (select unnest(?))", [ids]
            )
    connection.execute("commit")
    return sum(load_batches(connection, landing_dir, batches, erased=erased).values())


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


def _files(batches: Iterable[BatchManifest]) -> list[list[BatchManifest]]:
    """Batches by the file that they stand in, in order of each file's first."""
    files: dict[str, list[BatchManifest]] = {}
    for batch in batches:
        files.setdefault(batch.data_path, []).append(batch)
    return list(files.values())


def _number(batch: BatchManifest) -> int:
    """What the lines of a batch begin with in a compacted file; 0 in a file of its own."""
    return batch.stored_in.number if batch.stored_in else 0


def _erased_lines(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    batches: Sequence[BatchManifest],
    erased: ErasedKeys,
) -> list[tuple[int, int]]:
    """Lines of a file that are left out, each as number of its batch and line."""
    batch = batches[0]
    links = raw_links(batch.source, batch.stream)
    condition = _is_erased(links, erased)
    if condition is None or not any(one.record_count for one in batches):
        return []
    declared = ", ".join(f"'{name}': 'varchar'" for name in links)
    rows: list[tuple[int, int]] = connection.execute(
        f"""
        select coalesce(_member, 0) as member, _line
        from read_json(
            $path,
            format = 'newline_delimited',
            columns = {{'_member': 'bigint', '_line': 'bigint', {declared}}},
            maximum_object_size = {_LARGEST_RECORD_BYTES}
        )
        where coalesce(_member, 0) in (select unnest($members)) and ({condition})
        """,
        {
            "path": str(path),
            "place": f"{batch.brand}|{batch.platform}|{batch.shop}|",
            "members": [_number(one) for one in batches],
            **dict(_key_lists(condition, erased)),
        },
    ).fetchall()
    return rows


def _load(
    connection: duckdb.DuckDBPyConnection,
    landing_dir: Path,
    batches: Sequence[BatchManifest],
    table: str,
    erased: ErasedKeys,
) -> int:
    """Load batches of one stream and shop that stand in one file; rows loaded."""
    batch = batches[0]
    path = landing_dir / batch.data_path
    connection.execute("begin")
    try:
        left_out = _erased_lines(connection, path, batches, erased)
        if any(one.record_count for one in batches):
            _insert(connection, path, batches, table, left_out)
        counts = _counts(connection, batches, table)
        gone = Counter(member for member, _ in left_out)
        for one in batches:
            found = counts.get(one.batch_id, 0) + gone[_number(one)]
            if found != one.record_count:
                raise WarehouseError(
                    f"the batch holds {found} records, its manifest says {one.record_count}",
                    where=f"{one.shop}/{one.stream} {one.data_path}",
                    next_step="restore the file from a backup; landing is immutable",
                )
        connection.execute(
            "insert into warehouse.ops.loaded_batches select unnest(?), unnest(?)",
            [
                [one.batch_id for one in batches],
                [counts.get(one.batch_id, 0) for one in batches],
            ],
        )
        connection.execute("commit")
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        connection.execute("rollback")
        raise WarehouseError(
            f"the batch could not be loaded ({type(error).__name__})",
            where=f"{batch.shop}/{batch.stream} {batch.data_path}",
            next_step=(
                "free disk space, or raise REGULARS_DUCKDB_MEMORY_LIMIT, and run the night again; "
                "nothing is lost"
            ),
        ) from error
    except duckdb.Error as error:
        connection.execute("rollback")
        raise WarehouseError(
            f"the batch cannot be parsed ({type(error).__name__})",
            where=f"{batch.shop}/{batch.stream} {batch.data_path}",
            next_step="run `regulars landing verify` and restore the file from a backup",
        ) from None
    except WarehouseError:
        connection.execute("rollback")
        raise
    return sum(counts.values())


def _insert(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    batches: Sequence[BatchManifest],
    table: str,
    left_out: Sequence[tuple[int, int]],
) -> None:
    batch = batches[0]
    columns = raw_table_columns(batch.source, batch.stream)
    payload = [name for name in columns if name not in BATCH_COLUMNS]
    parsed = {
        "_member": "bigint",
        "_line": "bigint",
        **{name: columns[name] for name in payload},
    }
    declared = ", ".join(f"'{name}': '{kind}'" for name, kind in parsed.items())
    listed = ", ".join(f'"{name}"' for name in (*BATCH_COLUMNS, *payload))
    selected = ", ".join(f'landed."{name}"' for name in payload)
    # A join keeps no order of lines, but none is promised: a line says its number.
    connection.execute(
        f"""
        insert into warehouse.raw.{table} ({listed})
        select
            held.batch_id, landed._line, $brand, $platform, $shop, held.extracted_at, {selected}
        from read_json(
            $path,
            format = 'newline_delimited',
            columns = {{{declared}}},
            maximum_object_size = {_LARGEST_RECORD_BYTES}
        ) as landed
        inner join (
            select
                unnest($members) as member,
                unnest($batch_ids) as batch_id,
                unnest($extracted_at)::timestamp as extracted_at
        ) as held on coalesce(landed._member, 0) = held.member
        {_WITHOUT if left_out else ""}
        """,
        {
            "path": str(path),
            "brand": batch.brand,
            "platform": batch.platform,
            "shop": batch.shop,
            "members": [_number(one) for one in batches],
            "batch_ids": [one.batch_id for one in batches],
            "extracted_at": [
                one.extracted_at.astimezone(UTC).replace(tzinfo=None) for one in batches
            ],
            **(
                {
                    "left_out_members": [member for member, _ in left_out],
                    "left_out_lines": [line for _, line in left_out],
                }
                if left_out
                else {}
            ),
        },
    )


_WITHOUT = """
        anti join (
            select unnest($left_out_members) as member, unnest($left_out_lines) as line
        ) as left_out
            on held.member = left_out.member and landed._line = left_out.line
"""


def _counts(
    connection: duckdb.DuckDBPyConnection, batches: Sequence[BatchManifest], table: str
) -> dict[str, int]:
    places = ", ".join("?" * len(batches))
    return dict(
        connection.execute(
            f"select _batch_id, count(*) from warehouse.raw.{table} "
            f"where _batch_id in ({places}) group by all",
            [one.batch_id for one in batches],
        ).fetchall()
    )
