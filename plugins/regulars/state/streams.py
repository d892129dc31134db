"""Recorded state as dbt sees it: append-only streams, numbered in the order of commits.

A writer numbers its rows from the stream's head inside its own transaction, and writers come one
at a time: whoever has read up to a head has missed nothing below it, and no number is left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, select, update

from regulars.errors import StateError
from regulars.state.database import Database
from regulars.state.schema import (
    decisions,
    identity_decisions,
    message_events,
    point_redemptions,
    refusals,
    stream_heads,
    threshold_versions,
    tier_grants,
    value_calibrations,
    value_models,
)

_ROWS_PER_FETCH = 5000


@dataclass(frozen=True)
class Stream:
    """One stream: the table behind it and its columns with their DuckDB types, in order."""

    table: Table
    columns: dict[str, str]


STREAMS: dict[str, Stream] = {
    "state__decisions": Stream(
        decisions,
        {
            "seq": "BIGINT",
            "message_id": "VARCHAR",
            "run_id": "VARCHAR",
            "campaign": "VARCHAR",
            "brand": "VARCHAR",
            "member_key": "UUID",
            "channel": "VARCHAR",
            "occasion": "VARCHAR",
            "arm": "VARCHAR",
            "outcome": "VARCHAR",
            "reason": "VARCHAR",
            "decided_on": "DATE",
            "planned_at": "TIMESTAMP",
            "contact_ref": "VARCHAR",
            "contact_hash": "VARCHAR",
            "coupon_code": "VARCHAR",
            "bucket": "INTEGER",
            "purpose": "VARCHAR",
            "customer_key": "UUID",
        },
    ),
    "state__message_events": Stream(
        message_events,
        {
            "seq": "BIGINT",
            "message_id": "VARCHAR",
            "event": "VARCHAR",
            "occurred_at": "TIMESTAMP",
            "run_id": "VARCHAR",
            "send_at": "TIMESTAMP",
        },
    ),
    "state__refusals": Stream(
        refusals,
        {
            "seq": "BIGINT",
            "brand": "VARCHAR",
            "contact_hash": "VARCHAR",
            "member_key": "UUID",
            "channel": "VARCHAR",
            "kind": "VARCHAR",
            "occurred_at": "TIMESTAMP",
            "evidence": "VARCHAR",
            "customer_key": "UUID",
        },
    ),
    "state__identity_decisions": Stream(
        identity_decisions,
        {
            "seq": "BIGINT",
            "brand": "VARCHAR",
            "customer_key": "UUID",
            "other_customer_key": "UUID",
            "kind": "VARCHAR",
            "decided_at": "TIMESTAMP",
        },
    ),
    "state__threshold_versions": Stream(
        threshold_versions,
        {
            "seq": "BIGINT",
            "version": "INTEGER",
            "dimension": "VARCHAR",
            "q20": "DOUBLE",
            "q40": "DOUBLE",
            "q60": "DOUBLE",
            "q80": "DOUBLE",
            "valid_from": "DATE",
            "customer_count": "BIGINT",
            "brand": "VARCHAR",
        },
    ),
    "state__value_models": Stream(
        value_models,
        {
            "seq": "BIGINT",
            "brand": "VARCHAR",
            "currency": "VARCHAR",
            "version": "INTEGER",
            "valid_from": "DATE",
            "readiness": "VARCHAR",
            "reason": "VARCHAR",
            "first_order_date": "DATE",
            "last_order_date": "DATE",
            "buyer_count": "BIGINT",
            "repeat_buyer_count": "BIGINT",
            "cell_count": "BIGINT",
            "mean_order_value": "DOUBLE",
            "holdout_days": "INTEGER",
            "cycle_days": "DOUBLE",
            "cycle_gap_count": "BIGINT",
            "r": "DOUBLE",
            "alpha_days": "DOUBLE",
            "a": "DOUBLE",
            "b": "DOUBLE",
            "log_likelihood": "DOUBLE",
            "is_at_bound": "BOOLEAN",
            "spend_p": "DOUBLE",
            "spend_q": "DOUBLE",
            "spend_v": "DOUBLE",
            "spend_log_likelihood": "DOUBLE",
            "spend_reason": "VARCHAR",
            "value_correlation": "DOUBLE",
            "brier_score": "DOUBLE",
            "auc_rate": "DOUBLE",
            "calibration_error_rate": "DOUBLE",
        },
    ),
    "state__value_calibrations": Stream(
        value_calibrations,
        {
            "seq": "BIGINT",
            "brand": "VARCHAR",
            "currency": "VARCHAR",
            "version": "INTEGER",
            "horizon_days": "INTEGER",
            "bucket_kind": "VARCHAR",
            "bucket": "INTEGER",
            "member_count": "BIGINT",
            "actual_order_count": "BIGINT",
            "actual_none_count": "BIGINT",
            "predicted_orders": "DOUBLE",
            "predicted_nones": "DOUBLE",
        },
    ),
    "state__tier_grants": Stream(
        tier_grants,
        {
            "seq": "BIGINT",
            "grant_id": "VARCHAR",
            "brand": "VARCHAR",
            "member_key": "UUID",
            "customer_key": "UUID",
            "program": "VARCHAR",
            "tier": "VARCHAR",
            "level": "INTEGER",
            "previous_level": "INTEGER",
            "reason": "VARCHAR",
            "decided_on": "DATE",
            "valid_until": "DATE",
        },
    ),
    "state__point_redemptions": Stream(
        point_redemptions,
        {
            "seq": "BIGINT",
            "redemption_id": "VARCHAR",
            "brand": "VARCHAR",
            "member_key": "UUID",
            "customer_key": "UUID",
            "gift": "VARCHAR",
            "point_count": "BIGINT",
            "rule": "VARCHAR",
            "redeemed_at": "TIMESTAMP",
        },
    ),
}


def take_numbers(connection: Connection, stream: str, count: int) -> int:
    """Take the next ``count`` numbers of ``stream`` in a write transaction; the first of them."""
    head: int = connection.execute(
        update(stream_heads)
        .where(stream_heads.c.stream == stream)
        .values(head=stream_heads.c.head + count)
        .returning(stream_heads.c.head)
    ).scalar_one()
    return head - count + 1


def read_heads(database: Database) -> dict[str, int]:
    """The last number given out in each stream; 0 when it is empty."""
    with database.reading() as connection:
        rows = connection.execute(select(stream_heads)).all()
    return {row.stream: row.head for row in rows}


def iter_rows(
    database: Database, name: str, after_seq: int, up_to_seq: int
) -> Iterator[dict[str, Any]]:
    """Rows with ``after_seq < seq <= up_to_seq``, by ``seq``, with the columns of ``STREAMS``.

    Instants are naive UTC, as DuckDB's TIMESTAMP; keys are ``uuid.UUID``.

    Raises:
        StateError: there is no such stream.
    """
    stream = STREAMS.get(name)
    if stream is None:
        raise StateError(
            f"there is no stream {name!r}",
            where=database.place,
            next_step=f"use one of {', '.join(STREAMS)}",
        )
    table = stream.table
    instants = [column for column, kind in stream.columns.items() if kind == "TIMESTAMP"]
    query = (
        select(*(table.c[column] for column in stream.columns))
        .where(table.c.seq > after_seq, table.c.seq <= up_to_seq)
        .order_by(table.c.seq)
        .execution_options(yield_per=_ROWS_PER_FETCH)
    )
    with database.reading() as connection:
        for row in connection.execute(query):
            values = dict(row._mapping)
            for column in instants:
                if values[column] is not None:
                    values[column] = values[column].replace(tzinfo=None)
            yield values
