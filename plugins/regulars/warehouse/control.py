"""What a run tells the models, and what a good run has taken in.

``begin_run`` writes the one row a model may know of the present (``ops.run``) and the batches that
no good night has consumed yet. ``consume`` is called after gate 2 only: until then everything
pending stays pending, so a failed night is repeated in full by the next one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Protocol
from uuid import UUID

import duckdb
import pyarrow as pa

from regulars.records import BatchManifest
from regulars.shops import Shop
from regulars.state import STREAMS
from regulars.warehouse.tables import CONFIG_TABLES


class StateStreams(Protocol):
    """The part of ``regulars.state.StateStore`` that the warehouse reads."""

    def iter_stream(self, name: str, after_seq: int, up_to_seq: int) -> Iterable[Mapping[str, Any]]:
        """Rows of stream ``name`` with ``after_seq < seq <= up_to_seq``, in order of seq."""
        ...


@dataclass(frozen=True)
class ConsumedNight:
    """The last night whose marts passed gate 2 in this warehouse."""

    run_id: str
    as_of_date: date
    visible_until: dict[str, datetime]


def last_consumed_night(connection: duckdb.DuckDBPyConnection) -> ConsumedNight | None:
    """The last night that this warehouse has consumed; None for a new warehouse."""
    rows = connection.execute(
        """
        select run_id, as_of_date, shop, visible_until
        from warehouse.ops.consumed_nights
        where as_of_date = (select max(as_of_date) from warehouse.ops.consumed_nights)
        """
    ).fetchall()
    if not rows:
        return None
    return ConsumedNight(
        run_id=rows[0][0],
        as_of_date=rows[0][1],
        visible_until={row[2]: row[3].replace(tzinfo=UTC) for row in rows if row[2]},
    )


def is_ahead_of(
    connection: duckdb.DuckDBPyConnection, as_of_date: date, batches: Iterable[BatchManifest]
) -> bool:
    """True when the warehouse holds more than this run may see: a later night has been at it."""
    wanted = {batch.batch_id for batch in batches}
    loaded = connection.execute("select batch_id from warehouse.ops.loaded_batches").fetchall()
    if any(row[0] not in wanted for row in loaded):
        return True
    last = last_consumed_night(connection)
    seen = connection.execute("select max(as_of_date) from warehouse.ops.run").fetchone()
    dates = [last.as_of_date if last else None, seen[0] if seen else None]
    return any(day is not None and day > as_of_date for day in dates)


def begin_run(
    connection: duckdb.DuckDBPyConnection,
    *,
    run_id: str,
    as_of_date: date,
    shops: Sequence[Shop],
    batches: Sequence[BatchManifest],
) -> int:
    """Write ``ops.run``, ``ops.run_shops`` and ``ops.pending_batches``; the pending batches' count.

    Idempotent: the same call gives the same tables.
    """
    previous = last_consumed_night(connection)
    consumed = {
        row[0]
        for row in connection.execute(
            "select batch_id from warehouse.ops.consumed_batches"
        ).fetchall()
    }
    pending = [batch for batch in batches if batch.batch_id not in consumed]
    connection.execute("begin")
    connection.execute("delete from warehouse.ops.run")
    connection.execute(
        "insert into warehouse.ops.run values (?, ?, ?)",
        [run_id, as_of_date, previous.as_of_date if previous else None],
    )
    connection.execute("delete from warehouse.ops.run_shops")
    for shop in shops:
        before = previous.visible_until.get(shop.shop) if previous else None
        connection.execute(
            "insert into warehouse.ops.run_shops values (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                *shop_row(shop),
                shop.day_end(as_of_date).replace(tzinfo=None),
                before.replace(tzinfo=None) if before else None,
            ],
        )
    connection.execute("delete from warehouse.ops.pending_batches")
    for batch in pending:
        connection.execute(
            "insert into warehouse.ops.pending_batches values (?, ?, ?, ?, ?, ?)",
            [
                batch.batch_id,
                batch.source,
                batch.stream,
                batch.brand,
                batch.platform,
                batch.shop,
            ],
        )
    connection.execute("commit")
    return len(pending)


def shop_row(shop: Shop) -> tuple[str, str, str, str, str, date]:
    """What models read of a shop, apart from how far the night sees: brand to first_date."""
    return (shop.brand, shop.platform, shop.shop, shop.zone, shop.currency, shop.first_date)


def identity_map(
    connection: duckdb.DuckDBPyConnection, concerned: Iterable[tuple[UUID, UUID]]
) -> dict[UUID, UUID]:
    """Recorded member key -> today's member key, for those that differ, of the persons concerned.

    A key is that of the customer who founded it. When that customer is gone it leads to the one
    that a decision or a refusal names beside it, of several to the least.

    Args:
        connection: the warehouse with its marts.
        concerned: recorded member key and the customer named beside it, of whoever is looked at.

    Returns:
        Every key of each of these persons but today's.
    """
    pairs = sorted({(str(member), str(customer)) for member, customer in concerned})
    if not pairs:
        return {}
    wanted = pa.table(
        {
            "member_key": pa.array([member for member, _ in pairs], pa.string()),
            "customer_key": pa.array([customer for _, customer in pairs], pa.string()),
        }
    )
    connection.register("concerned", wanted)
    try:
        rows = connection.execute(
            """
            with bridge as (
                select customer_key, founded_member_key, member_key
                from marts.main.dim_member_identities
            ),
            recorded as (
                select member_key, customer_key from warehouse.raw.state__decisions
                union
                select member_key, customer_key from warehouse.raw.state__refusals
                where member_key is not null
            ),
            people as (
                select coalesce(founders.member_key, named.member_key) as member_key
                from concerned
                left join bridge as founders
                    on founders.founded_member_key = cast(concerned.member_key as uuid)
                left join bridge as named
                    on named.customer_key = cast(concerned.customer_key as uuid)
                group by all
            )
            select founded_member_key, member_key
            from bridge
            where founded_member_key <> member_key
            and member_key in (select member_key from people)
            union all
            select recorded.member_key, min(bridge.member_key)
            from recorded
            inner join bridge on recorded.customer_key = bridge.customer_key
            where bridge.member_key in (select member_key from people)
            and recorded.member_key not in (select founded_member_key from bridge)
            group by recorded.member_key
            """
        ).fetchall()
    finally:
        connection.unregister("concerned")
    return dict(rows)


@dataclass(frozen=True)
class Word:
    """The last word of a member about one channel, as the marts know it.

    Attributes:
        member_key: the member.
        customer_key: the customer who said it.
        founded_member_key: the key that this customer founds.
        contact_hash: keyed hash of the contact it was said with; None when there is none.
        is_refusal: it is a no.
        said_at: when (UTC), if that is known.
        is_visible: it was said by the end of the business date.
    """

    brand: str
    member_key: UUID
    customer_key: UUID
    founded_member_key: UUID
    contact_hash: str | None
    is_refusal: bool
    said_at: datetime | None
    is_visible: bool


def read_words(
    connection: duckdb.DuckDBPyConnection, channel: str, members: Iterable[UUID]
) -> list[Word]:
    """The last words of ``members`` about ``channel``, by member key; a later no before any yes."""
    rows = connection.execute(
        """
        with words as (
            select
                member_key, consent = 'refused' or is_refused_by_now as is_refusal,
                consent = 'refused' or not is_refused_by_now as is_visible, consent_at,
                case when consent = 'refused' or not is_refused_by_now
                    then consent_customer_key else refused_customer_key end as customer_key,
                case when consent = 'refused' or not is_refused_by_now
                    then consent_contact_hash else refused_contact_hash end as contact_hash
            from warehouse.intermediate.int_members__consents
            where channel = ? and member_key in (select unnest(cast(? as uuid[])))
            and (consent in ('granted', 'refused') or is_refused_by_now)
        )
        select
            speakers.brand, words.member_key, words.customer_key, speakers.founded_member_key,
            words.contact_hash, words.is_refusal, words.consent_at, words.is_visible
        from words
        inner join marts.main.dim_member_identities as speakers
            on words.customer_key = speakers.customer_key
        order by words.member_key
        """,
        [channel, sorted(map(str, members))],
    ).fetchall()
    return [
        Word(
            brand=brand,
            member_key=member_key,
            customer_key=customer_key,
            founded_member_key=founded,
            contact_hash=contact,
            is_refusal=is_refusal,
            said_at=at.replace(tzinfo=UTC) if at else None,
            is_visible=is_visible,
        )
        for brand, member_key, customer_key, founded, contact, is_refusal, at, is_visible in rows
    ]


def pending_tables(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """``<source>__<stream>`` of every batch that no good night has consumed."""
    rows = connection.execute(
        "select distinct source || '__' || stream from warehouse.ops.pending_batches"
    ).fetchall()
    return {row[0] for row in rows}


def sync_state(
    connection: duckdb.DuckDBPyConnection, streams: StateStreams, heads: Mapping[str, int]
) -> dict[str, int]:
    """Append recorded state up to ``heads`` (stream -> seq) to ``raw.state__*``; rows added."""
    added: dict[str, int] = {}
    for name, stream in STREAMS.items():
        found = connection.execute(
            f"select coalesce(max(seq), 0) from warehouse.raw.{name}"
        ).fetchone()
        after = int(found[0]) if found else 0
        up_to = heads.get(name, 0)
        if up_to <= after:
            continue
        rows = [dict(row) for row in streams.iter_stream(name, after, up_to)]
        added[name] = _append(connection, f"warehouse.raw.{name}", stream.columns, rows)
    return added


def write_campaigns(
    connection: duckdb.DuckDBPyConnection, campaigns: Iterable[Mapping[str, Any]]
) -> None:
    """Replace ``config.campaigns`` by the campaigns of config/campaigns/."""
    _replace(connection, "campaigns", [dict(campaign) for campaign in campaigns])


def write_sending_hours(connection: duckdb.DuckDBPyConnection, hours: Mapping[str, Any]) -> None:
    """Replace ``config.sending_hours`` by the one row of config/sending.yml."""
    _replace(connection, "sending_hours", [dict(hours)])


def read_columns(
    connection: duckdb.DuckDBPyConnection, query: str, values: Sequence[Any] = ()
) -> dict[str, Any]:
    """Columns of ``query`` as NumPy arrays by name, rows in the query's order."""
    columns: dict[str, Any] = connection.execute(query, list(values)).fetchnumpy()
    return columns


def read_point_rules(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Rows of ``config.point_rules`` as the last night wrote them; none in a new warehouse."""
    columns = ", ".join(CONFIG_TABLES["point_rules"])
    query = f"select {columns} from warehouse.config.point_rules order by brand, valid_from"
    return list(iter_rows(connection, query))


def write_loyalty(
    connection: duckdb.DuckDBPyConnection, tables: Mapping[str, Sequence[Mapping[str, Any]]]
) -> None:
    """Replace ``config.tier_levels``, ``config.point_rules`` and ``config.gifts``."""
    for table, rows in tables.items():
        _replace(connection, table, rows)


def write_segments(
    connection: duckdb.DuckDBPyConnection, tables: Mapping[str, Sequence[Mapping[str, Any]]]
) -> None:
    """Replace ``config.segments``, ``config.segment_clauses`` and ``config.segment_conditions``."""
    for table, rows in tables.items():
        _replace(connection, table, rows)


def _replace(
    connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Mapping[str, Any]]
) -> None:
    connection.execute("begin")
    connection.execute(f"delete from warehouse.config.{table}")
    _append(connection, f"warehouse.config.{table}", CONFIG_TABLES[table], rows)
    connection.execute("commit")


def _append(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    columns: Mapping[str, str],
    rows: Sequence[Mapping[str, Any]],
) -> int:
    if not rows:
        return 0
    texts = {
        name: pa.array([_text(row.get(name)) for row in rows], type=pa.string()) for name in columns
    }
    incoming = pa.table(texts)
    connection.register("incoming", incoming)
    try:
        casts = ", ".join(f'cast("{name}" as {kind})' for name, kind in columns.items())
        listed = ", ".join(f'"{name}"' for name in columns)
        connection.execute(f"insert into {table} ({listed}) select {casts} from incoming")
    finally:
        connection.unregister("incoming")
    return len(rows)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else value
        return moment.replace(tzinfo=None).isoformat(sep=" ")
    return str(value)


def consume(
    connection: duckdb.DuckDBPyConnection,
    *,
    run_id: str,
    as_of_date: date,
    fingerprints: Mapping[str, str],
) -> None:
    """Mark the run's batches and touched keys as taken in. Call after gate 2 only.

    One transaction: a kill before it repeats the night, a kill after it does not.
    """
    connection.execute("begin")
    connection.execute(
        """
        insert into warehouse.ops.consumed_batches
        select batch_id, ? from warehouse.ops.pending_batches
        where batch_id not in (select batch_id from warehouse.ops.consumed_batches)
        """,
        [run_id],
    )
    connection.execute("delete from warehouse.ops.pending_batches")
    connection.execute("delete from warehouse.ops.touched_keys")
    connection.execute(
        "delete from warehouse.ops.consumed_nights where as_of_date = ?", [as_of_date]
    )
    connection.execute(
        """
        insert into warehouse.ops.consumed_nights
        select ?, ?, shop, visible_until from warehouse.ops.run_shops
        union all
        select ?, ?, null, null
        where not exists (select 1 from warehouse.ops.run_shops)
        """,
        [run_id, as_of_date, run_id, as_of_date],
    )
    connection.execute("delete from warehouse.ops.model_fingerprints")
    connection.executemany(
        "insert into warehouse.ops.model_fingerprints values (?, ?)",
        [[name, value] for name, value in sorted(fingerprints.items())] or [["none", "none"]],
    )
    connection.execute("commit")


def release_batches(connection: duckdb.DuckDBPyConnection, batch_ids: Iterable[str]) -> None:
    """Let the next night take in batches anew that a good night has consumed."""
    connection.execute(
        "delete from warehouse.ops.consumed_batches where batch_id in (select unnest(?))",
        [sorted(batch_ids)],
    )


def read_fingerprints(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Fingerprints of the models as the last good night built them; empty for a new warehouse."""
    return dict(
        connection.execute(
            "select unique_id, fingerprint from warehouse.ops.model_fingerprints"
        ).fetchall()
    )


def distrust(connection: duckdb.DuckDBPyConnection, unique_ids: Iterable[str]) -> None:
    """Forget the fingerprints of models about to be rebuilt; :func:`consume` records the new ones.

    An empty fingerprint equals none, so the models count as changed until a night has been good.
    """
    rows = [[name] for name in sorted(unique_ids)]
    if not rows:
        return
    connection.execute("begin")
    connection.executemany("delete from warehouse.ops.model_fingerprints where unique_id = ?", rows)
    connection.executemany("insert into warehouse.ops.model_fingerprints values (?, '')", rows)
    connection.execute("commit")


def iter_rows(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[dict[str, Any]]:
    """Rows of ``query`` as dictionaries, in the query's order."""
    cursor = connection.execute(query)
    names = [item[0] for item in cursor.description or []]
    while chunk := cursor.fetchmany(2000):
        for row in chunk:
            yield dict(zip(names, row, strict=True))
