"""The tables of recorded state, as the newest migration leaves them (a test keeps the two equal).

Instants are stored as UTC without zone, keys and amounts as text: both databases then give back
exactly what was recorded.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Integer,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.types import TypeDecorator


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime in Python, a naive UTC timestamp in the database."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        """To the database."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant needs a zone")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        """From the database."""
        return None if value is None else value.replace(tzinfo=UTC)


class Key(TypeDecorator[UUID]):
    """A UUID in Python, its lower-case text in the database."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: UUID | None, dialect: Any) -> str | None:
        """To the database."""
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Any) -> UUID | None:
        """From the database."""
        return None if value is None else UUID(value)


class Amount(TypeDecorator[Decimal]):
    """A decimal in Python, its text in the database (SQLite has no decimals)."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Any) -> str | None:
        """To the database."""
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Any) -> Decimal | None:
        """From the database."""
        return None if value is None else Decimal(value)


metadata = MetaData()

stream_heads = Table(
    "stream_heads",
    metadata,
    Column("stream", Text, primary_key=True),
    Column("head", BigInteger, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("run_id", Text),
    Column("holder", Text),
    Column("host", Text),
    Column("pid", BigInteger),
    Column("pid_started", Text),
    Column("lease_seconds", Double),
    Column("acquired_at", Instant),
    Column("heartbeat_at", Instant),
)

nights = Table(
    "nights",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("as_of_date", Date, nullable=False, unique=True),
    Column("status", Text, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("manifest_sha256", Text),
    Column("digest", Text),
    Column("published_file", Text),
    Column("completed_at", Instant),
)

watermarks = Table(
    "watermarks",
    metadata,
    Column("platform", Text, primary_key=True),
    Column("shop", Text, primary_key=True),
    Column("stream", Text, primary_key=True),
    Column("window_end", Instant, nullable=False),
    Column("run_id", Text, nullable=False),
)

decision_batches = Table(
    "decision_batches",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("campaign", Text, primary_key=True),
    Column("sha256", Text, nullable=False),
    Column("sent_count", BigInteger, nullable=False),
    Column("holdout_count", BigInteger, nullable=False),
    Column("suppressed_count", BigInteger, nullable=False),
    Column("deferred_count", BigInteger, nullable=False),
    Column("already_decided_count", BigInteger, nullable=False),
    Column("reasons", Text, nullable=False),
    Column("committed_at", Instant, nullable=False),
)


def _considered_columns(*, run_is_key: bool = False) -> tuple[Column[Any], ...]:
    """One person considered by one campaign, as proposed."""
    return (
        Column("run_id", Text, primary_key=run_is_key, nullable=False),
        Column("campaign", Text, nullable=False),
        Column("brand", Text, nullable=False),
        Column("platform", Text, nullable=False),
        Column("shop", Text, nullable=False),
        Column("member_key", Key, nullable=False),
        Column("customer_key", Key, nullable=False),
        Column("channel", Text, nullable=False),
        Column("purpose", Text, nullable=False),
        Column("occasion", Text, nullable=False),
        Column("outcome", Text, nullable=False),
        Column("arm", Text),
        Column("reason", Text),
        Column("bucket", Integer),
        Column("decided_on", Date, nullable=False),
        Column("planned_at", Instant),
        Column("contact_ref", Text),
        Column("contact_hash", Text),
        Column("coupon_code", Text),
        Column("coupon_amount", Amount),
        Column("template", Text),
        Column("expires_at", Instant),
    )


decisions = Table(
    "decisions",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("message_id", Text, nullable=False, unique=True),
    *_considered_columns(),
)

deferrals = Table(
    "deferrals",
    metadata,
    Column("message_id", Text, primary_key=True),
    *_considered_columns(run_is_key=True),
)

message_events = Table(
    "message_events",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("message_id", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("occurred_at", Instant, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("reason", Text),
    Column("send_at", Instant),
)

batch_exits = Table(
    "batch_exits",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("campaign", Text, primary_key=True),
    Column("exported_count", BigInteger, nullable=False),
    Column("suppressed_count", BigInteger, nullable=False),
    Column("settled_at", Instant, nullable=False),
)

refusals = Table(
    "refusals",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("brand", Text, nullable=False),
    Column("contact_hash", Text),
    Column("member_key", Key),
    Column("channel", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("occurred_at", Instant, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("customer_key", Key),
)

identity_decisions = Table(
    "identity_decisions",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("brand", Text, nullable=False),
    Column("customer_key", Key, nullable=False),
    Column("other_customer_key", Key, nullable=False),
    Column("kind", Text, nullable=False),
    Column("decided_at", Instant, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("evidence", Text, nullable=False),
)

threshold_versions = Table(
    "threshold_versions",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("dimension", Text, nullable=False),
    Column("q20", Double, nullable=False),
    Column("q40", Double, nullable=False),
    Column("q60", Double, nullable=False),
    Column("q80", Double, nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("customer_count", BigInteger, nullable=False),
    Column("brand", Text, nullable=False),
)

value_models = Table(
    "value_models",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("brand", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("readiness", Text, nullable=False),
    Column("reason", Text),
    Column("first_order_date", Date, nullable=False),
    Column("last_order_date", Date, nullable=False),
    Column("buyer_count", BigInteger, nullable=False),
    Column("repeat_buyer_count", BigInteger, nullable=False),
    Column("cell_count", BigInteger, nullable=False),
    Column("mean_order_value", Double, nullable=False),
    Column("holdout_days", Integer, nullable=False),
    Column("cycle_days", Double),
    Column("cycle_gap_count", BigInteger, nullable=False),
    Column("r", Double),
    Column("alpha_days", Double),
    Column("a", Double),
    Column("b", Double),
    Column("log_likelihood", Double),
    Column("is_at_bound", Boolean, nullable=False),
    Column("spend_p", Double),
    Column("spend_q", Double),
    Column("spend_v", Double),
    Column("spend_log_likelihood", Double),
    Column("spend_reason", Text),
    Column("value_correlation", Double),
    Column("brier_score", Double),
    Column("auc_rate", Double),
    Column("calibration_error_rate", Double),
)

value_calibrations = Table(
    "value_calibrations",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("brand", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("horizon_days", Integer, nullable=False),
    Column("bucket_kind", Text, nullable=False),
    Column("bucket", Integer, nullable=False),
    Column("member_count", BigInteger, nullable=False),
    Column("actual_order_count", BigInteger, nullable=False),
    Column("actual_none_count", BigInteger, nullable=False),
    Column("predicted_orders", Double),
    Column("predicted_nones", Double),
)

facts = Table(
    "facts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("recorded_at", Instant, nullable=False),
)

erasures = Table(
    "erasures",
    metadata,
    Column("erasure_id", Text, primary_key=True),
    Column("route", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("state_counts", Text, nullable=False),
)

tombstones = Table(
    "tombstones",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("erasure_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("recorded_at", Instant, nullable=False),
)

erasure_reach = Table(
    "erasure_reach",
    metadata,
    Column("erasure_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("key", Key, primary_key=True),
)

erasure_audits = Table(
    "erasure_audits",
    metadata,
    Column("erasure_id", Text, primary_key=True),
    Column("counts", Text, nullable=False),
    Column("finished_at", Instant, nullable=False),
)

batch_scrubs = Table(
    "batch_scrubs",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("campaign", Text, primary_key=True),
    Column("erasure_id", Text, primary_key=True),
    Column("sha256", Text, nullable=False),
)

erased_digests = Table(
    "erased_digests",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("tombstone_head", BigInteger, primary_key=True, autoincrement=False),
    Column("basis", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("tables", Text, nullable=False),
    Column("recorded_at", Instant, nullable=False),
)

tier_grants = Table(
    "tier_grants",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("grant_id", Text, nullable=False, unique=True),
    Column("run_id", Text, nullable=False),
    Column("brand", Text, nullable=False),
    Column("member_key", Key, nullable=False),
    Column("customer_key", Key, nullable=False),
    Column("program", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("level", Integer, nullable=False),
    Column("previous_level", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("decided_on", Date, nullable=False),
    Column("valid_until", Date),
    Column("evidence", Text, nullable=False),
)

point_redemptions = Table(
    "point_redemptions",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("redemption_id", Text, nullable=False, unique=True),
    Column("brand", Text, nullable=False),
    Column("member_key", Key, nullable=False),
    Column("customer_key", Key, nullable=False),
    Column("gift", Text, nullable=False),
    Column("point_count", BigInteger, nullable=False),
    Column("rule", Text, nullable=False),
    Column("redeemed_at", Instant, nullable=False),
    Column("evidence", Text, nullable=False),
)

schema_version = Table(
    "schema_version",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("applied_at", Instant, nullable=False),
)
