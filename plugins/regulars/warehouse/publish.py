"""Publishing: a copy of the closed marts file under a versioned name, then an atomic pointer.

``data/published/marts-<run_id>-<n>.duckdb`` is never written again. ``current.duckdb`` is a link
that is replaced by rename, so a reader sees the old version or the new one, never half of one;
``current.json`` says the same to programs. Old versions are pruned.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType

import duckdb
from pydantic import BaseModel, ConfigDict

from regulars.errors import WarehouseError
from regulars.settings import Settings
from regulars.warehouse.lock import warehouse_lock
from regulars.warehouse.session import connect_patiently

# The row that says which run published is run metadata, not content.
NOT_CONTENT = frozenset({"mart_publication"})
"""Tables that every publication differs in."""


class Publication(BaseModel):
    """What the pointer says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_id: str
    as_of_date: date
    file: str
    digest: str
    tables: dict[str, int]
    """Rows per published table."""


@dataclass(frozen=True)
class TableDigest:
    """Content of one table: its rows, and a text that is equal when, and only when, they are."""

    row_count: int
    text: str

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def digest_tables(
    connection: duckdb.DuckDBPyConnection,
    catalog: str,
    leave_out: Collection[str] = (),
    rows_left_out: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, TableDigest]:
    """Content of every table, in order of their names, without the columns to be left out.

    See :func:`digest_marts`.

    Args:
        connection: a connection that has the catalog.
        catalog: an attached database of marts.
        leave_out: names of columns.
        rows_left_out: by table, SQL that is true for rows to be left out; null counts as false.
    """
    tables = connection.execute(
        """
        select table_schema, table_name
        from information_schema.tables
        where table_catalog = ? and table_type = 'BASE TABLE'
        order by table_schema, table_name
        """,
        [catalog],
    ).fetchall()
    found: dict[str, TableDigest] = {}
    for schema, table in tables:
        columns = [
            row[0]
            for row in connection.execute(
                """
                select column_name from information_schema.columns
                where table_catalog = ? and table_schema = ? and table_name = ?
                order by ordinal_position
                """,
                [catalog, schema, table],
            ).fetchall()
            if not row[0].startswith("_") and row[0] not in leave_out
        ]
        listed = ", ".join(f'"{name}"' for name in columns)
        [sums] = connection.execute(
            f"""
            select count(*), sum(hash({listed})::hugeint), sum(hash('second', {listed})::hugeint)
            from "{catalog}"."{schema}"."{table}"
            where not coalesce({rows_left_out.get(table, "false")}, false)
            """
        ).fetchall()
        found[table] = TableDigest(int(sums[0]), f"{table}|{','.join(columns)}|{sums}\n")
    return found


def digest_marts(connection: duckdb.DuckDBPyConnection, catalog: str) -> tuple[str, dict[str, int]]:
    """Digest of the content of all marts, and the rows per table.

    Every table has a primary key, so its rows are a set; the digest adds up two independent
    64-bit hashes of each whole row in 128-bit integers, which no order of rows or threads can
    change. Columns that begin with ``_`` and ``mart_publication`` are run metadata and left
    out. Digests compare within one DuckDB version, which the run manifest records.
    """
    tables = digest_tables(connection, catalog)
    return digest_of(tables), {name: table.row_count for name, table in tables.items()}


def digest_of(tables: Mapping[str, TableDigest]) -> str:
    """Digest of all marts from those of the tables."""
    total = hashlib.sha256()
    for name, table in tables.items():
        if name not in NOT_CONTENT:
            total.update(table.text.encode())
    return total.hexdigest()


def publish_marts(
    settings: Settings,
    *,
    run_id: str,
    as_of_date: date,
    holder: str,
    expected_digest: str | None = None,
) -> Publication:
    """Publish the built marts and prune old versions; idempotent for equal content.

    Args:
        settings: where the marts stand.
        run_id: the run that built them.
        as_of_date: its business date.
        holder: who asks, for the lock.
        expected_digest: digest that a completed night was published with; nothing else may be
            published under its date.

    Raises:
        WarehouseError: there are no marts, the copy failed (disk full) or the content is another
            than a completed night's; the pointer then still shows the last good version.
    """
    if not settings.marts_path.exists():
        raise WarehouseError(
            "there are no marts to publish",
            where=str(settings.marts_path),
            next_step="run the night from its build step",
        )
    with warehouse_lock(
        settings.warehouse_path, holder=holder, wait_seconds=settings.warehouse_lock_seconds
    ):
        # Opening and closing it for writing folds a left-over write-ahead log into the file.
        with connect_patiently(settings, settings.marts_path) as connection:
            connection.execute("checkpoint")
            digest, tables = digest_marts(connection, settings.marts_path.stem)
        if expected_digest is not None and digest != expected_digest:
            raise WarehouseError(
                f"the marts have digest {digest[:12]}, the completed night had "
                f"{expected_digest[:12]}: code, seeds or configuration changed since",
                where=run_id,
                next_step=(
                    "nothing was published. Run the next night to publish the change, or "
                    f"`regulars replay {as_of_date} --restate` to look at the past with it"
                ),
            )
        current = _published_before(settings, run_id, digest)
        if current is not None:
            return current
        name = _free_name(settings.published_dir, run_id)
        publication = Publication(
            run_id=run_id, as_of_date=as_of_date, file=name, digest=digest, tables=tables
        )
        try:
            _copy_and_point(settings, publication)
        except OSError as error:
            raise WarehouseError(
                f"the marts could not be copied ({error.strerror})",
                where=str(settings.published_dir),
                next_step="free disk space and run the night again; readers keep the last version",
            ) from error
    prune(settings)
    return publication


def _published_before(settings: Settings, run_id: str, digest: str) -> Publication | None:
    """The publication of equal content, with both halves of the pointer on it; None: none such.

    A publication that was killed between its two renames has left the link on a version that
    ``current.json`` does not name.
    """
    current = read_publication(settings)
    folder = settings.published_dir
    if current is None or (current.run_id, current.digest) != (run_id, digest):
        return None
    if not (folder / current.file).exists():
        return None
    if (folder / "current.duckdb").resolve() != (folder / current.file).resolve():
        point_to(settings, current)
    return current


def _free_name(folder: Path, run_id: str) -> str:
    number = 1
    # A version that somebody was erased from keeps its number: see regulars.warehouse.erase.
    while any(
        any(folder.glob(f"marts-{run_id}-{number}{rest}.duckdb")) for rest in ("", "-erased-*")
    ):
        number += 1
    return f"marts-{run_id}-{number}.duckdb"


def _copy_and_point(settings: Settings, publication: Publication) -> None:
    folder = settings.published_dir
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{publication.file}.part"
    try:
        shutil.copyfile(settings.marts_path, part)
        fsync(part)
        part.rename(folder / publication.file)
    finally:
        part.unlink(missing_ok=True)
    point_to(settings, publication)


def point_to(settings: Settings, publication: Publication) -> None:
    """Let the pointer show a version that stands complete in the folder."""
    folder = settings.published_dir
    link = folder / "current.duckdb.part"
    link.unlink(missing_ok=True)
    link.symlink_to(publication.file)
    link.replace(folder / "current.duckdb")
    note = folder / "current.json.part"
    note.write_text(publication.model_dump_json(indent=2) + "\n", encoding="utf-8")
    fsync(note)
    note.replace(folder / "current.json")
    fsync(folder)


def fsync(path: Path) -> None:
    """Bring a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_publication(settings: Settings) -> Publication | None:
    """What is published now; None before the first publication."""
    try:
        text = (settings.published_dir / "current.json").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return Publication.model_validate(json.loads(text))


def prune(settings: Settings) -> list[str]:
    """Remove published versions beyond ``published_versions_kept`` beside the current; names."""
    folder = settings.published_dir
    current = (folder / "current.duckdb").resolve().name
    versions = sorted(
        (path for path in folder.glob("marts-*.duckdb") if path.name != current),
        key=lambda path: (path.stat().st_mtime_ns, path.name),
        reverse=True,
    )
    stale = versions[settings.published_versions_kept :]
    for path in [*stale, *folder.glob("*.part")]:
        path.unlink(missing_ok=True)
    return [path.name for path in stale]


def restated_path(settings: Settings, run_id: str) -> Path:
    """Where a restatement's marts stand; the pointer never shows them."""
    return settings.published_dir / "restated" / f"marts-{run_id}.duckdb"
