"""Nights on a throwaway warehouse: raw rows, control tables, dbt, consumption."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb

from tests.dbt.project import Project, copy_pair, open_pair
from tests.dbt.shop_story import SHOPS, ZONES, Batch, Night


def utc(*parts: int) -> datetime:
    """An instant (UTC) as the tables hold it, without its zone: year, month, day, hour, ..."""
    year, month, day, *clock = parts
    hour, minute, second = (*clock, 0, 0, 0)[:3]
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC).replace(tzinfo=None)


EXTRACTED_AT = utc(2026, 1, 1)
_LONG_AGO = date(2017, 7, 1)


@dataclass
class Warehouse:
    """One warehouse that is built night by night, or at once."""

    project: Project
    directory: Path
    previous: Night | None = None
    pending: list[Batch] = field(default_factory=list)

    def prepare(self) -> None:
        """Create the source tables and load the seeds."""
        copy_pair(self.project.seeded, self.directory)
        with open_pair(self.directory) as connection:
            _write_constants(connection)

    def land(self, night: Night) -> None:
        """Append the night's batches to raw; they stay pending until a night consumes them."""
        with open_pair(self.directory) as connection:
            for batch in night.batches:
                _load(connection, batch)
            for row in night.refusals:
                connection.execute(
                    "insert into raw.state__refusals values (?, ?, ?, ?, ?, ?, ?, ?, null)",
                    list(row),
                )
            for row in night.decisions:
                connection.execute(
                    "insert into raw.state__identity_decisions values (?, ?, ?, ?, ?, ?)", list(row)
                )
        self.pending += night.batches

    def build(self, night: Night, *arguments: str, run_id: str = "run") -> None:
        """Tell the models which night it is and run them (all of them, or as ``arguments`` say)."""
        with open_pair(self.directory) as connection:
            _write_run(connection, night, self.previous, self.pending, run_id)
        self.project.run(self.directory, "run", *arguments)

    def consume(self, night: Night) -> None:
        """What CORE does after gate 2."""
        with open_pair(self.directory) as connection:
            connection.execute("delete from ops.touched_keys")
        self.pending = []
        self.previous = night

    def marts(self) -> dict[str, list[tuple[Any, ...]]]:
        """Rows of every mart in order, without columns of run metadata."""
        with open_pair(self.directory) as connection:
            return {
                table: _rows(connection, table)
                for (table,) in connection.execute(
                    """
                    select table_name from information_schema.tables
                    where table_catalog = 'marts' and table_name <> 'mart_publication'
                    order by table_name
                    """
                ).fetchall()
            }


def _rows(connection: duckdb.DuckDBPyConnection, table: str) -> list[tuple[Any, ...]]:
    names = [row[0] for row in connection.execute(f"describe marts.main.{table}").fetchall()]
    listed = ", ".join(f'"{name}"' for name in names if not name.startswith("_run"))
    return connection.execute(
        f"select {listed} from marts.main.{table} order by all nulls last"
    ).fetchall()


def _write_constants(connection: duckdb.DuckDBPyConnection) -> None:
    for dimension in ("recency", "frequency", "monetary", "r", "f", "m"):
        connection.execute(
            """
            insert into raw.state__threshold_versions
                (seq, version, brand, dimension, q20, q40, q60, q80, valid_from, customer_count)
            values (1, 1, 'b', ?, 1, 2, 3, 4, ?, 10)
            """,
            [dimension, _LONG_AGO],
        )


def _write_run(
    connection: duckdb.DuckDBPyConnection,
    night: Night,
    previous: Night | None,
    pending: Iterable[Batch],
    run_id: str,
) -> None:
    for table in ("run", "run_shops", "pending_batches"):
        connection.execute(f"delete from ops.{table}")
    connection.execute(
        "insert into ops.run values (?, ?, ?)",
        [run_id, night.as_of_date, previous.as_of_date if previous else None],
    )
    for shop in SHOPS:
        connection.execute(
            "insert into ops.run_shops values ('b', 'p', ?, ?, 'CNY', ?, ?, ?)",
            [
                shop,
                ZONES[shop],
                _LONG_AGO,
                night.visible_until[shop],
                previous.visible_until[shop] if previous else None,
            ],
        )
    for batch in pending:
        connection.execute(
            "insert into ops.pending_batches values (?, ?, ?, 'b', 'p', ?)",
            [batch.batch_id, batch.source, batch.stream, batch.shop],
        )


def _load(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    table = f"raw.{batch.source}__{batch.stream}"
    described = connection.execute(f"describe {table}").fetchall()
    types = {row[0]: row[1] for row in described}
    fixed = {
        "_batch_id": batch.batch_id,
        "_brand": "b",
        "_platform": "p",
        "_shop": batch.shop,
        "_extracted_at": EXTRACTED_AT,
    }
    names = [*types]
    marks = ", ".join("?" if name != "orders" else f"cast(? as {types[name]})" for name in names)
    listed = ", ".join(f'"{name}"' for name in names)
    rows = []
    for line, record in enumerate(batch.records, start=1):
        row = {**dict.fromkeys(names), **fixed, "_line": line, **record}
        if row.get("orders"):
            row["orders"] = [_suborder(types["orders"], order) for order in row["orders"]]
        unknown = set(row) - set(names)
        assert not unknown, f"{table} has no {unknown}"
        rows.append([row[name] for name in names])
    connection.executemany(f"insert into {table} ({listed}) values ({marks})", rows)


def _suborder(kind: str, order: dict[str, Any]) -> dict[str, Any]:
    fields = [part.strip().split()[0].strip('"') for part in kind[7:-3].split(",")]
    return {**dict.fromkeys(fields), **order}


def differences(
    left: dict[str, Sequence[tuple[Any, ...]]], right: dict[str, Sequence[tuple[Any, ...]]]
) -> str:
    """Which marts differ, with the first differing rows of each; empty when none does."""
    complaints = []
    for table in sorted(set(left) | set(right)):
        ours, theirs = list(left.get(table, [])), list(right.get(table, []))
        if ours == theirs:
            continue
        extra = [row for row in ours if row not in theirs][:3]
        missing = [row for row in theirs if row not in ours][:3]
        complaints.append(f"{table}: {len(ours)} rows, {len(theirs)} expected")
        complaints += [f"  only in the first: {row}" for row in extra]
        complaints += [f"  only in the second: {row}" for row in missing]
    return "\n".join(complaints)
