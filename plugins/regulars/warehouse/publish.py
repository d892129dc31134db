"""Publishing: a copy of the closed marts file under a versioned name, then an atomic pointer.

``data/published/marts-<run_id>-<n>.duckdb`` is never written again. ``current.duckdb`` is a link
that is replaced by rename, so a reader sees the old version or the new one, never half of one;
``current.json`` says the same to programs. Old versions are pruned.
"""

import hashlib
import json
import os
import shutil
from datetime import date
from pathlib import Path

import duckdb
from pydantic import BaseModel, ConfigDict

from regulars.errors import WarehouseError
from regulars.settings import Settings
from regulars.warehouse.lock import warehouse_lock
from regulars.warehouse.session import connect_patiently

# The row that says which run published is run metadata, not content.
_NOT_CONTENT = frozenset({"mart_publication"})


class Publication(BaseModel):
    """What the pointer says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_id: str
    as_of_date: date
    file: str
    digest: str
    tables: dict[str, int]
    """Rows per published table."""


def digest_marts(connection: duckdb.DuckDBPyConnection, catalog: str) -> tuple[str, dict[str, int]]:
    """Digest of the content of all marts, and the rows per table.

    Every table has a primary key, so its rows are a set; the digest adds up two independent
    64-bit hashes of each whole row in 128-bit integers, which no order of rows or threads can
    change. Columns that begin with ``_`` and ``mart_publication`` are run metadata and left
    out. Digests compare within one DuckDB version, which the run manifest records.
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
    total = hashlib.sha256()
    counts: dict[str, int] = {}
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
            if not row[0].startswith("_")
        ]
        listed = ", ".join(f'"{name}"' for name in columns)
        found = connection.execute(
            f"""
            select count(*), sum(hash({listed})::hugeint), sum(hash('second', {listed})::hugeint)
            from "{catalog}"."{schema}"."{table}"
            """
        ).fetchone()
        assert found is not None  # noqa: S101 - an aggregate without group by has one row
        counts[table] = int(found[0])
        if table not in _NOT_CONTENT:
            total.update(f"{table}|{','.join(columns)}|{found}\n".encode())
    return total.hexdigest(), counts


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
        current = read_publication(settings)
        if current and (current.run_id, current.digest) == (run_id, digest):
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


def _free_name(folder: Path, run_id: str) -> str:
    number = 1
    while (folder / f"marts-{run_id}-{number}.duckdb").exists():
        number += 1
    return f"marts-{run_id}-{number}.duckdb"


def _copy_and_point(settings: Settings, publication: Publication) -> None:
    folder = settings.published_dir
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{publication.file}.part"
    try:
        shutil.copyfile(settings.marts_path, part)
        _fsync(part)
        part.rename(folder / publication.file)
    finally:
        part.unlink(missing_ok=True)
    link = folder / "current.duckdb.part"
    link.unlink(missing_ok=True)
    link.symlink_to(publication.file)
    link.replace(folder / "current.duckdb")
    note = folder / "current.json.part"
    note.write_text(publication.model_dump_json(indent=2) + "\n", encoding="utf-8")
    _fsync(note)
    note.replace(folder / "current.json")
    _fsync(folder)


def _fsync(path: Path) -> None:
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
