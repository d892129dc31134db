"""Taking a person's rows out of what has been published.

A published version is never written again, and DuckDB leaves deleted rows in their file. So a
version that holds a row of the person is replaced by a new file that never held one, under a name
of its own, and the old one is removed. A reader who has the old one open keeps it until they
close it; nobody sees half of one.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from os import utime
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

import duckdb
import pyarrow as pa

from regulars.errors import WarehouseError
from regulars.settings import Settings
from regulars.state import Reach
from regulars.warehouse.publish import (
    NOT_CONTENT,
    Publication,
    digest_marts,
    digest_of,
    digest_tables,
    fsync,
    point_to,
    read_publication,
)

NOBODY = Reach()

PERSON_COLUMNS = frozenset({"customer_key", "member_key", "order_key"})
"""A mart with one of these has a row per person, order or message; any other counts many."""

RELATIVE_COLUMNS = frozenset(
    {
        *("recency_bit", "frequency_bit", "monetary_bit", "rfm_class", "rfm_class_zh"),
        *("score_readiness", "rfm_segment_basis", "rfm_segment", "rfm_segment_zh"),
        # Who is asked goes by whether scores are ready; a newcomer is held against the median.
        *("is_key_member", "key_member_basis", "ask_rank", "newcomer_quality"),
        # By the cycle that a product group's buyers have taught, and what follows from it.
        *("cycle_basis", "cycle_days", "due_on", "dormant_on", "window_basis"),
        *("cycle_activity_stage", "cycle_silent_on", "cycle_lost_on", "cycle_dead_on"),
        *("action_cell_code", "next_action", "next_action_zh", "at_risk_on", "lapsed_on"),
        "is_high_quality_sleeper",
    }
)
"""How a person stands to all, their mean or their beginning: it moves for others when somebody is
erased."""

RELATIVE_ROWS: Mapping[str, str] = MappingProxyType({"mart_segment_members": "entered_on is null"})
"""By mart, SQL that is true for rows which are there because of such columns: who is in a segment
by what is known of the business date alone. Those of dated segments have the date of the entry."""

BRIDGES = frozenset({"dim_member_identities", "dim_member_links"})
"""A row of these is a customer's; in any other mart with a member key it tells of all of theirs."""

CREDITED = "fct_order_attribution"
"""What messages to the whole person did for an order of one of their customers."""

_VERSION = re.compile(r"marts-(?P<run>.+?)-\d+(?:-erased-\d+)?\.duckdb")
_RESTATED = re.compile(r"marts-(?P<run>.+)\.duckdb")


@dataclass(frozen=True)
class Content:
    """What marts hold, in the form in which two of them are compared after an erasure.

    Attributes:
        digest: of the whole.
        tables: digest of each table; under ``<table>:own`` that of the rows as far as they tell of
            their person alone.
        persons: names, out of ``tables``, of what must be the same for everybody else.
    """

    digest: str
    tables: dict[str, str]
    persons: frozenset[str]


@dataclass(frozen=True)
class Rewritten:
    """A published file from which a person was taken.

    Attributes:
        run_id: the run it shows.
        file: its new path.
        removed: rows taken out, over all tables.
        content: what it holds now.
        rows: rows per table now.
    """

    run_id: str
    file: Path
    removed: int
    content: Content
    rows: dict[str, int]


def published_files(settings: Settings) -> list[Path]:
    """Every published file, the one that the pointer shows first, then the newest, restated last.

    A run that was published more than once is so met in its newest version first.
    """
    current = (settings.published_dir / "current.duckdb").resolve()
    versions = sorted(
        settings.published_dir.glob("marts-*.duckdb"),
        key=lambda path: (path.resolve() == current, path.stat().st_mtime_ns, path.name),
        reverse=True,
    )
    return [*versions, *sorted((settings.published_dir / "restated").glob("marts-*.duckdb"))]


def reach_of(settings: Settings, customers: Iterable[UUID]) -> Reach:
    """Who stays and was joined with the erased customers, or may be joined or parted without them.

    That is everybody who has an identifier that one of them has, and whoever belongs to their
    clusters, in any published file. What many share may be believed again when one of the many
    goes.

    Raises:
        WarehouseError: a file cannot be read.
    """
    wanted = pa.table({"key": pa.array(sorted(map(str, customers)), pa.string())})
    if not wanted.num_rows:
        return Reach()
    found = Reach()
    config = {"threads": settings.duckdb_threads, "memory_limit": settings.duckdb_memory_limit}
    for path in published_files(settings):
        try:
            with duckdb.connect(config=config) as connection:
                connection.execute(f"attach '{path}' as published (read_only)")
                connection.register("wanted", wanted)
                some = _reach_in(connection)
        except duckdb.Error as error:
            raise WarehouseError(
                f"a published version could not be read ({type(error).__name__})",
                where=str(path),
                next_step="repeat the erasure; a version that nobody needs may be deleted instead",
            ) from error
        found = Reach(found.customers | some.customers, found.members | some.members)
    return found


def _reach_in(connection: duckdb.DuckDBPyConnection) -> Reach:
    if not _has_table(connection, "dim_member_links"):
        return Reach()
    connection.execute("create table erased as select key::uuid as key from wanted")
    connection.execute(
        """
        create table reached as
        select key as customer_key from erased
        union
        select links.customer_key from published.dim_member_links as links
        where links.identifier_key in (
            select own.identifier_key from published.dim_member_links as own
            where own.customer_key in (select key from erased)
        )
        """
    )
    while _rows(
        connection,
        """
        insert into reached
        select customer_key from (
            select others.customer_key from published.dim_member_identities as others
            where others.member_key in (
                select own.member_key from published.dim_member_identities as own
                where own.customer_key in (select customer_key from reached)
            )
            union
            select others.customer_key from published.dim_member_links as others
            where others.identifier_key in (
                select own.identifier_key from published.dim_member_links as own
                where own.customer_key in (select customer_key from reached)
                and (own.is_used or own.unused_reason = 'connects_two_people')
            )
        )
        where customer_key not in (select customer_key from reached)
        returning 1
        """,
    ):
        pass
    rows = _rows(
        connection,
        """
        select customer_key, member_key, founded_member_key,
            customer_key in (select key from erased) as is_erased
        from published.dim_member_identities
        where customer_key in (select customer_key from reached)
        """,
    )
    staying = frozenset(row[0] for row in rows if not row[3])
    if not staying:
        return Reach()
    return Reach(staying, frozenset(key for row in rows for key in row[1:3]))


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = connection.execute(query).fetchall()
    return rows


def _has_table(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    found = connection.execute(
        "select 1 from information_schema.tables "
        "where table_catalog = 'published' and table_name = ?",
        [table],
    )
    return found.fetchone() is not None


def rewrite_published(
    settings: Settings,
    keys: Iterable[UUID],
    head: int,
    *,
    apart: Reach = NOBODY,
    is_reaching: bool = False,
) -> Iterator[tuple[Path, Rewritten]]:
    """Make a clean copy of each published file that holds a row of the person.

    Rows of a member one of whose customers the person is go whole: they tell of them as well, and
    are built anew.

    Yields each old path and its clean copy, which stands complete and on disk. Call
    :func:`replace_published` for it when whatever must be recorded of it is recorded: a killed
    erasure then finds the old file again.

    Args:
        settings: where they stand.
        keys: keys of the person's customers, members and orders.
        head: number of the last tombstone, for the new names.
        apart: whose rows say nothing of anybody else, see :func:`content_of`.
        is_reaching: this erasure changes who is left apart: every file is written anew, so that
            all are compared alike.

    Raises:
        WarehouseError: a file cannot be read or its copy not be written.
    """
    wanted = pa.table({"key": pa.array(sorted(map(str, keys)), pa.string())})
    for path in published_files(settings):
        found = _rewrite(settings, path, wanted, head, apart, is_reaching=is_reaching)
        if found is not None:
            yield path, found


def replace_published(settings: Settings, old: Path, new: Rewritten) -> None:
    """Let the clean copy take the place of the old file, the pointer included."""
    if old.parent == settings.published_dir:
        current = read_publication(settings)
        link = settings.published_dir / "current.duckdb"
        if current is not None and link.resolve() in (old, new.file):
            point_to(
                settings,
                Publication(
                    run_id=current.run_id,
                    as_of_date=current.as_of_date,
                    file=new.file.name,
                    digest=new.content.digest,
                    tables=new.rows,
                ),
            )
        old.unlink(missing_ok=True)
    else:
        # A restatement is a run of its own, whose manifest names this file.
        new.file.replace(old)
    fsync(old.parent)


def _rewrite(
    settings: Settings, path: Path, keys: pa.Table, head: int, apart: Reach, *, is_reaching: bool
) -> Rewritten | None:
    is_version = path.parent == settings.published_dir
    named = (_VERSION if is_version else _RESTATED).fullmatch(path.name)
    if named is None:
        return None
    stem = path.stem.partition("-erased-")[0]
    target = path.with_name(f"{stem}-erased-{head}.duckdb")
    if not is_version:
        target = path.with_name(f"{stem}.duckdb.clean")
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    config = {"threads": settings.duckdb_threads, "memory_limit": settings.duckdb_memory_limit}
    try:
        with duckdb.connect(config=config) as connection:
            connection.execute("set TimeZone = 'UTC'")
            connection.register("wanted", keys)
            connection.execute("create table erased as select key::uuid as key from wanted")
            connection.execute(f"attach '{path}' as published (read_only)")
            _find_joined(connection)
            conditions = dict(_conditions(connection))
            removed = sum(_count(connection, *one) for one in conditions.items())
            if not removed and (not is_reaching or path == target):
                return None
            connection.execute(f"attach '{part}' as clean")
            connection.execute("copy from database published to clean (schema)")
            for name, condition in conditions.items():
                connection.execute(
                    f"insert into clean.{name} select * from published.{name} "
                    f"where not ({condition})"
                )
            left = sum(_count(connection, *one, catalog="clean") for one in conditions.items())
            if left:
                raise WarehouseError(
                    f"{left} rows of the person are left in the copy",
                    where=path.name,
                    next_step="report this; the old file stands as it was",
                )
            content = content_of(connection, "clean", apart)
            _, rows = digest_marts(connection, "clean")
            connection.execute("detach clean")
        stamp = path.stat()
        utime(part, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        fsync(part)
        part.replace(target)
        fsync(target.parent)
    except (duckdb.Error, OSError) as error:
        raise WarehouseError(
            f"a published version could not be rewritten ({type(error).__name__})",
            where=str(path),
            next_step="free disk space and repeat the erasure; a version that nobody needs may "
            "be deleted instead",
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return Rewritten(named["run"], target, removed, content, rows)


def _find_joined(connection: duckdb.DuckDBPyConnection) -> None:
    """Members that an erased customer belongs to, as table ``joined``."""
    connection.execute("create table joined (key uuid)")
    if _has_table(connection, "dim_member_identities"):
        connection.execute(
            "insert into joined select member_key from published.dim_member_identities "
            "where customer_key in (select key from erased) group by member_key"
        )


def _conditions(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, str]]:
    """Each published table, quoted, and SQL that is true for the person's rows in it."""
    rows = connection.execute(
        """
        select t.table_schema, t.table_name,
            list(c.column_name order by c.ordinal_position) filter (where c.data_type = 'UUID')
        from information_schema.tables as t
        inner join information_schema.columns as c
            on t.table_catalog = c.table_catalog
            and t.table_schema = c.table_schema and t.table_name = c.table_name
        where t.table_catalog = 'published' and t.table_type = 'BASE TABLE'
        group by all
        order by all
        """
    ).fetchall()
    for schema, table, keys in rows:
        # A key is 128 bits of a hash: wherever it stands, it means that person.
        parts = [f'coalesce("{name}" in (select key from erased), false)' for name in keys or ()]
        if "member_key" in (keys or ()) and table not in BRIDGES:
            parts.append("coalesce(member_key in (select key from joined), false)")
        yield f'"{schema}"."{table}"', " or ".join(parts) or "false"


def _count(
    connection: duckdb.DuckDBPyConnection, name: str, condition: str, catalog: str = "published"
) -> int:
    found = connection.execute(
        f"select count(*) from {catalog}.{name} where {condition}"
    ).fetchone()
    return int(found[0]) if found else 0


def content_of(
    connection: duckdb.DuckDBPyConnection, catalog: str, apart: Reach = NOBODY
) -> Content:
    """The content of an attached database of marts.

    Args:
        connection: a connection that has the catalog.
        catalog: the database.
        apart: whose membership an erasure may have changed. What tells of a person as a whole is,
            of them, no sign of anybody else; their facts stay facts.
    """
    whole = digest_tables(connection, catalog)
    rows = connection.execute(
        "select table_name, column_name from information_schema.columns where table_catalog = ?",
        [catalog],
    ).fetchall()
    left_out = {table: sql for table, sql in RELATIVE_ROWS.items() if table in dict(rows)}
    if apart:
        for name, keys in (("apart_members", apart.members), ("apart_customers", apart.customers)):
            listed = pa.table({"key": pa.array(sorted(map(str, keys)), pa.string())})
            connection.register("listed", listed)
            connection.execute(
                f"create or replace temporary table {name} as select key::uuid as key from listed"
            )
            connection.unregister("listed")
        for table, column in rows:
            if column == "member_key":
                joined = "coalesce(member_key in (select key from apart_members), false)"
                left_out[table] = f"{left_out.get(table, 'false')} or {joined}"
        left_out[CREDITED] = "customer_key in (select key from apart_customers)"
    own = digest_tables(connection, catalog, RELATIVE_COLUMNS, left_out)
    persons = {table for table, column in rows if column in PERSON_COLUMNS}
    return Content(
        digest=digest_of(whole),
        tables={name: table.digest for name, table in whole.items()}
        # A view shows what the tables hold, and has no content of its own.
        | {f"{name}:own": table.digest for name, table in own.items() if name in persons},
        persons=frozenset(f"{name}:own" for name in persons & own.keys()),
    )


def altered_tables(reference: Mapping[str, str], found: Mapping[str, str]) -> set[str]:
    """Names under which the digests differ, or that one side alone has; run metadata left out."""
    names = (reference.keys() | found.keys()) - NOT_CONTENT
    return {name for name in names if reference.get(name) != found.get(name)}
