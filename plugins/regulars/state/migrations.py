"""Numbered steps that bring a state database to the newest schema.

A step is written once and never edited: its sha256 is recorded with it. All missing steps of a
start are applied in one write transaction, of which there is only one at a time: a second starter
waits and then finds nothing left to do.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, inspect, select, text

from regulars.errors import StateError
from regulars.state.database import Database
from regulars.state.schema import schema_version

_APPEND_ONLY_1 = (
    "decision_batches",
    "decisions",
    "deferrals",
    "message_events",
    "batch_exits",
    "refusals",
    "threshold_versions",
)
_APPEND_ONLY_2 = ("erasures", "tombstones", "erasure_audits", "batch_scrubs", "erased_digests")
_APPEND_ONLY_VALUE = ("value_models", "value_calibrations")

_APPEND_ONLY_LOYALTY = ("tier_grants", "point_redemptions")
_APPEND_ONLY_IDENTITY = ("identity_decisions",)
_APPEND_ONLY_REACH = ("erasure_reach",)

APPEND_ONLY = (
    *_APPEND_ONLY_1,
    *_APPEND_ONLY_LOYALTY,
    *_APPEND_ONLY_2,
    *_APPEND_ONLY_VALUE,
    *_APPEND_ONLY_IDENTITY,
    *_APPEND_ONLY_REACH,
)
"""Tables whose rows nobody may change or delete; triggers keep it so.

One change is let through, and only the database knows how to make it: an erasure may take a person
out of a decision, a deferral, a refusal, a grant or a redemption. Everything else of the row must
stay as it is.
"""

ERASED_KEY = "00000000-0000-0000-0000-000000000000"
"""What stands in the ledger for whoever was erased."""

ERASED_OCCASION = "erased"
"""What stands for an occasion that may have been a person's order."""


@dataclass(frozen=True)
class Step:
    """One step: the statements of both databases, and those of one alone."""

    version: int
    name: str
    statements: Sequence[str]
    sqlite: Sequence[str] = ()
    postgresql: Sequence[str] = ()

    def for_dialect(self, dialect: str) -> list[str]:
        """All statements for ``sqlite`` or ``postgresql``, in order."""
        own = self.sqlite if dialect == "sqlite" else self.postgresql
        return [*self.statements, *own]

    def sha256(self, dialect: str) -> str:
        """Fingerprint of the statements."""
        return hashlib.sha256(";".join(self.for_dialect(dialect)).encode()).hexdigest()


_CONSIDERED = """
    campaign text not null,
    brand text not null,
    platform text not null,
    shop text not null,
    member_key text not null,
    customer_key text not null,
    channel text not null,
    purpose text not null,
    occasion text not null,
    outcome text not null,
    arm text,
    reason text,
    bucket integer,
    decided_on date not null,
    planned_at timestamp,
    contact_ref text,
    contact_hash text,
    coupon_code text,
    coupon_amount text,
    template text"""

_STEPS_SQL_1 = (
    "create table stream_heads (stream text primary key, head bigint not null)",
    "insert into stream_heads (stream, head) values ('state__decisions', 0), "
    "('state__message_events', 0), ('state__refusals', 0), ('state__threshold_versions', 0)",
    """create table leases (
    name text primary key,
    run_id text,
    holder text,
    host text,
    pid bigint,
    pid_started text,
    lease_seconds double precision,
    acquired_at timestamp,
    heartbeat_at timestamp)""",
    "insert into leases (name) values ('night')",
    """create table nights (
    run_id text primary key,
    as_of_date date not null unique,
    status text not null check (status in ('open', 'completed')),
    opened_at timestamp not null,
    manifest_sha256 text,
    digest text,
    published_file text,
    completed_at timestamp)""",
    """create table consumed_batches (
    batch_id text primary key,
    run_id text not null references nights (run_id),
    consumed_at timestamp not null)""",
    "create index consumed_batches_by_run on consumed_batches (run_id)",
    """create table watermarks (
    platform text not null,
    shop text not null,
    stream text not null,
    window_end timestamp not null,
    run_id text not null,
    primary key (platform, shop, stream))""",
    """create table decision_batches (
    run_id text not null references nights (run_id),
    campaign text not null,
    sha256 text not null,
    sent_count bigint not null,
    holdout_count bigint not null,
    suppressed_count bigint not null,
    deferred_count bigint not null,
    already_decided_count bigint not null,
    reasons text not null,
    committed_at timestamp not null,
    primary key (run_id, campaign))""",
    f"""create table decisions (
    seq bigint primary key,
    message_id text not null unique,
    run_id text not null,{_CONSIDERED},
    check (outcome in ('send', 'holdout', 'suppressed')),
    check ((outcome = 'suppressed') = (reason is not null)),
    foreign key (run_id, campaign) references decision_batches (run_id, campaign))""",
    "create index decisions_by_batch on decisions (run_id, campaign)",
    "create index decisions_by_member on decisions (brand, member_key)",
    "create index decisions_by_contact on decisions (brand, contact_hash)",
    f"""create table deferrals (
    message_id text not null,
    run_id text not null,{_CONSIDERED},
    check (outcome = 'suppressed' and reason is not null),
    primary key (run_id, message_id),
    foreign key (run_id, campaign) references decision_batches (run_id, campaign))""",
    """create table message_events (
    seq bigint primary key,
    message_id text not null references decisions (message_id),
    event text not null,
    occurred_at timestamp not null,
    run_id text not null,
    reason text,
    send_at timestamp,
    check ((event = 'suppressed_at_exit') = (reason is not null)),
    check ((event = 'exported') = (send_at is not null)),
    unique (message_id, event, occurred_at))""",
    # A message is committed once, and leaves the exit once: exported or suppressed, never both.
    "create unique index message_events_one_commit on message_events (message_id) "
    "where event = 'committed'",
    "create unique index message_events_one_exit on message_events (message_id) "
    "where event in ('exported', 'suppressed_at_exit')",
    "create unique index message_events_one_contamination on message_events (message_id) "
    "where event = 'contaminated'",
    """create table batch_exits (
    run_id text not null,
    campaign text not null,
    exported_count bigint not null,
    suppressed_count bigint not null,
    settled_at timestamp not null,
    primary key (run_id, campaign),
    foreign key (run_id, campaign) references decision_batches (run_id, campaign))""",
    """create table refusals (
    seq bigint primary key,
    brand text not null,
    contact_hash text,
    member_key text,
    channel text not null,
    kind text not null check (kind in ('refusal', 'consent')),
    occurred_at timestamp not null,
    evidence text not null,
    check (contact_hash is not null or member_key is not null))""",
    "create unique index refusals_once on refusals (brand, coalesce(contact_hash, ''), "
    "coalesce(member_key, ''), channel, kind, occurred_at)",
    "create index refusals_by_contact on refusals (brand, contact_hash)",
    "create index refusals_by_member on refusals (brand, member_key)",
    """create table threshold_versions (
    seq bigint primary key,
    version integer not null,
    dimension text not null,
    q20 double precision not null,
    q40 double precision not null,
    q60 double precision not null,
    q80 double precision not null,
    valid_from date not null,
    customer_count bigint not null,
    brand text not null,
    unique (brand, dimension, version))""",
    """create table facts (
    name text primary key,
    value text not null,
    recorded_at timestamp not null)""",
)

_STEPS_SQL_2 = (
    "insert into stream_heads (stream, head) values ('state__tombstones', 0)",
    """create table erasures (
    erasure_id text primary key,
    route text not null,
    request text not null,
    requested_by text not null,
    recorded_at timestamp not null,
    state_counts text not null)""",
    """create table tombstones (
    seq bigint primary key,
    erasure_id text not null references erasures (erasure_id),
    kind text not null check (kind in ('customer', 'member', 'order', 'message', 'contact')),
    key text not null,
    recorded_at timestamp not null,
    unique (kind, key))""",
    "create index tombstones_by_erasure on tombstones (erasure_id)",
    """create table erasure_audits (
    erasure_id text primary key references erasures (erasure_id),
    counts text not null,
    finished_at timestamp not null)""",
    """create table batch_scrubs (
    run_id text not null,
    campaign text not null,
    erasure_id text not null references erasures (erasure_id),
    sha256 text not null,
    primary key (run_id, campaign, erasure_id),
    foreign key (run_id, campaign) references decision_batches (run_id, campaign))""",
    """create table erased_digests (
    run_id text not null,
    tombstone_head bigint not null,
    basis text not null check (basis in ('rewritten', 'rebuilt')),
    digest text not null,
    tables text not null,
    recorded_at timestamp not null,
    primary key (run_id, tombstone_head, basis))""",
)

_STEPS_SQL_LOYALTY = (
    "insert into stream_heads (stream, head) values ('state__tier_grants', 0), "
    "('state__point_redemptions', 0)",
    """create table tier_grants (
    seq bigint primary key,
    grant_id text not null unique,
    run_id text not null,
    brand text not null,
    member_key text not null,
    customer_key text not null,
    program text not null,
    tier text not null,
    level integer not null check (level > 0),
    previous_level integer not null check (previous_level >= 0),
    reason text not null
        check (reason in ('upgrade', 'renew', 'downgrade_at_expiry', 'switch', 'manual')),
    decided_on date not null,
    valid_until date,
    evidence text not null,
    check (valid_until is null or valid_until >= decided_on),
    check (level >= previous_level or reason in ('downgrade_at_expiry', 'manual')))""",
    "create index tier_grants_by_customer on tier_grants (customer_key)",
    "create index tier_grants_by_member on tier_grants (member_key)",
    """create table point_redemptions (
    seq bigint primary key,
    redemption_id text not null unique,
    brand text not null,
    member_key text not null,
    customer_key text not null,
    gift text not null,
    point_count bigint not null check (point_count > 0),
    rule text not null,
    redeemed_at timestamp not null,
    evidence text not null)""",
    "create index point_redemptions_by_customer on point_redemptions (customer_key)",
    "create index point_redemptions_by_member on point_redemptions (member_key)",
    "create index point_redemptions_by_gift on point_redemptions (brand, gift)",
)

_NOBODY = f"new.member_key = '{ERASED_KEY}' and new.customer_key = '{ERASED_KEY}'"
_SCRUBBED_LOYALTY: dict[str, tuple[tuple[str, ...], str]] = {
    "tier_grants": (
        (
            *("seq", "grant_id", "run_id", "brand", "program", "tier", "level", "previous_level"),
            *("reason", "decided_on", "valid_until", "evidence"),
        ),
        _NOBODY,
    ),
    "point_redemptions": (
        (
            *("seq", "redemption_id", "brand", "gift", "point_count", "rule", "redeemed_at"),
            "evidence",
        ),
        _NOBODY,
    ),
}

_STEPS_SQL_IDENTITY = (
    "insert into stream_heads (stream, head) values ('state__identity_decisions', 0)",
    """create table identity_decisions (
    seq bigint primary key,
    brand text not null,
    customer_key text not null,
    other_customer_key text not null,
    kind text not null check (kind in ('merge', 'split', 'undo')),
    decided_at timestamp not null,
    decided_by text not null,
    evidence text not null,
    check (customer_key < other_customer_key))""",
    "create index identity_decisions_by_pair on identity_decisions "
    "(brand, customer_key, other_customer_key)",
)

_DECIDED_2 = (
    *("message_id", "run_id", "campaign", "brand", "platform", "shop", "channel", "purpose"),
    *("outcome", "arm", "reason", "bucket", "decided_on", "planned_at", "coupon_code"),
    *("coupon_amount", "template"),
)
_ERASED_DECISION_2 = (
    f"new.member_key = '{ERASED_KEY}' and new.customer_key = '{ERASED_KEY}' "
    f"and new.occasion = '{ERASED_OCCASION}' "
    "and new.contact_ref is null and new.contact_hash is null"
)
_SCRUBBED_2: dict[str, tuple[tuple[str, ...], str]] = {
    "decisions": (("seq", *_DECIDED_2), _ERASED_DECISION_2),
    "deferrals": (_DECIDED_2, _ERASED_DECISION_2),
    # Of a refusal the contact's keyed hash stays: it goes on refusing.
    "refusals": (
        ("seq", "brand", "channel", "kind", "occurred_at", "evidence"),
        "new.member_key is not null and old.member_key is not null "
        "and new.member_key <> old.member_key "
        "and (new.contact_hash is null) = (old.contact_hash is null) "
        "and coalesce(new.contact_hash, '') = coalesce(old.contact_hash, '')",
    ),
}
"""Columns that an erasure leaves as they are, and what it makes of the others."""


_STEPS_SQL_VALUE = (
    "insert into stream_heads (stream, head) values ('state__value_models', 0), "
    "('state__value_calibrations', 0)",
    """create table value_models (
    seq bigint primary key,
    brand text not null,
    currency text not null,
    version integer not null,
    valid_from date not null,
    readiness text not null check (readiness in ('ready', 'cohort', 'withheld', 'failed')),
    reason text,
    first_order_date date not null,
    last_order_date date not null,
    buyer_count bigint not null,
    repeat_buyer_count bigint not null,
    cell_count bigint not null,
    mean_order_value double precision not null,
    holdout_days integer not null,
    cycle_days double precision,
    cycle_gap_count bigint not null,
    r double precision,
    alpha_days double precision,
    a double precision,
    b double precision,
    log_likelihood double precision,
    is_at_bound boolean not null,
    spend_p double precision,
    spend_q double precision,
    spend_v double precision,
    spend_log_likelihood double precision,
    spend_reason text,
    value_correlation double precision,
    brier_score double precision,
    auc_rate double precision,
    calibration_error_rate double precision,
    check ((readiness = 'ready') = (reason is null)),
    check (readiness <> 'ready'
        or (r is not null and alpha_days is not null and a is not null and b is not null)),
    unique (brand, currency, version))""",
    """create table value_calibrations (
    seq bigint primary key,
    brand text not null,
    currency text not null,
    version integer not null,
    horizon_days integer not null,
    bucket_kind text not null check (bucket_kind in ('all', 'frequency', 'decile')),
    bucket integer not null,
    member_count bigint not null,
    actual_order_count bigint not null,
    actual_none_count bigint not null,
    predicted_orders double precision,
    predicted_nones double precision,
    unique (brand, currency, version, horizon_days, bucket_kind, bucket),
    foreign key (brand, currency, version) references value_models (brand, currency, version))""",
)


_SCRUBBED_3 = {
    table: ((*_SCRUBBED_2[table][0], "expires_at"), _SCRUBBED_2[table][1])
    for table in ("decisions", "deferrals")
}


_SCRUBBED_ANCHORS: dict[str, tuple[tuple[str, ...], str]] = {
    # An erasure may also name another customer of whoever refused.
    "refusals": (
        _SCRUBBED_2["refusals"][0],
        "new.member_key is not null and old.member_key is not null "
        "and (new.member_key <> old.member_key "
        "or coalesce(new.customer_key, '') <> coalesce(old.customer_key, '')) "
        "and (new.contact_hash is null) = (old.contact_hash is null) "
        "and coalesce(new.contact_hash, '') = coalesce(old.contact_hash, '')",
    ),
}


def _sqlite_scrub(
    table: str, scrubbed: Mapping[str, tuple[tuple[str, ...], str]] = _SCRUBBED_2
) -> tuple[str, str]:
    kept, erased = scrubbed[table]
    unchanged = " and ".join(f"new.{column} is old.{column}" for column in kept)
    return (
        f"drop trigger {table}_no_update",
        f"create trigger {table}_no_update before update on {table} "
        f"when not ({erased} and {unchanged}) "
        f"begin select raise(abort, '{table} is append-only'); end",
    )


def _postgresql_scrub(table: str) -> tuple[str, ...]:
    return (
        f"drop trigger {table}_append_only on {table}",
        f"create trigger {table}_append_only before delete or truncate on {table} "
        "for each statement execute function regulars_append_only()",
        _postgresql_only_scrub(table, _SCRUBBED_2),
    )


def _postgresql_only_scrub(table: str, scrubbed: Mapping[str, tuple[tuple[str, ...], str]]) -> str:
    kept, erased = scrubbed[table]
    unchanged = " and ".join(f"new.{column} is not distinct from old.{column}" for column in kept)
    return (
        f"create trigger {table}_only_scrub before update on {table} for each row "
        f"when (not ({erased} and {unchanged})) execute function regulars_append_only()"
    )


STEPS: tuple[Step, ...] = (
    Step(
        version=1,
        name="ledger, nights, lease, refusals, thresholds and facts",
        statements=_STEPS_SQL_1,
        sqlite=tuple(
            f"create trigger {table}_no_{verb} before {verb} on {table} "
            f"begin select raise(abort, '{table} is append-only'); end"
            for table in _APPEND_ONLY_1
            for verb in ("update", "delete")
        ),
        postgresql=(
            "create function regulars_append_only() returns trigger language plpgsql as "
            "$$ begin raise exception '% is append-only', tg_table_name; end $$",
            *(
                f"create trigger {table}_append_only before update or delete or truncate "
                f"on {table} for each statement execute function regulars_append_only()"
                for table in _APPEND_ONLY_1
            ),
        ),
    ),
    Step(
        version=2,
        name="erasures, tombstones and what they leave of the ledger",
        statements=_STEPS_SQL_2,
        sqlite=(
            *(
                f"create trigger {table}_no_{verb} before {verb} on {table} "
                f"begin select raise(abort, '{table} is append-only'); end"
                for table in _APPEND_ONLY_2
                for verb in ("update", "delete")
            ),
            *(statement for table in _SCRUBBED_2 for statement in _sqlite_scrub(table)),
        ),
        postgresql=(
            *(
                f"create trigger {table}_append_only before update or delete or truncate "
                f"on {table} for each statement execute function regulars_append_only()"
                for table in _APPEND_ONLY_2
            ),
            *(statement for table in _SCRUBBED_2 for statement in _postgresql_scrub(table)),
        ),
    ),
    Step(
        version=3,
        name="when a message expires",
        statements=tuple(
            f"alter table {table} add column expires_at timestamp" for table in _SCRUBBED_3
        ),
        sqlite=tuple(
            statement for table in _SCRUBBED_3 for statement in _sqlite_scrub(table, _SCRUBBED_3)
        ),
        postgresql=tuple(
            statement
            for table in _SCRUBBED_3
            for statement in (
                f"drop trigger {table}_only_scrub on {table}",
                _postgresql_only_scrub(table, _SCRUBBED_3),
            )
        ),
    ),
    Step(
        version=4,
        # The warehouse knows which night took in which batch: it can be rebuilt, so it is derived.
        name="no record of consumed batches",
        statements=("drop table consumed_batches",),
    ),
    Step(
        version=5,
        name="versions of the value models and their calibration tables",
        statements=_STEPS_SQL_VALUE,
        sqlite=tuple(
            f"create trigger {table}_no_{verb} before {verb} on {table} "
            f"begin select raise(abort, '{table} is append-only'); end"
            for table in _APPEND_ONLY_VALUE
            for verb in ("update", "delete")
        ),
        postgresql=tuple(
            f"create trigger {table}_append_only before update or delete or truncate "
            f"on {table} for each statement execute function regulars_append_only()"
            for table in _APPEND_ONLY_VALUE
        ),
    ),
    Step(
        version=6,
        name="tiers granted and points redeemed",
        statements=_STEPS_SQL_LOYALTY,
        sqlite=tuple(
            statement
            for table in _APPEND_ONLY_LOYALTY
            for statement in (
                f"create trigger {table}_no_delete before delete on {table} "
                f"begin select raise(abort, '{table} is append-only'); end",
                _sqlite_scrub(table, _SCRUBBED_LOYALTY)[1],
            )
        ),
        postgresql=tuple(
            statement
            for table in _APPEND_ONLY_LOYALTY
            for statement in (
                f"create trigger {table}_append_only before delete or truncate on {table} "
                "for each statement execute function regulars_append_only()",
                _postgresql_only_scrub(table, _SCRUBBED_LOYALTY),
            )
        ),
    ),
    Step(
        version=7,
        name="who is one person and who is two, as decided by hand",
        statements=_STEPS_SQL_IDENTITY,
        sqlite=tuple(
            f"create trigger {table}_no_{verb} before {verb} on {table} "
            f"begin select raise(abort, '{table} is append-only'); end"
            for table in _APPEND_ONLY_IDENTITY
            for verb in ("update", "delete")
        ),
        postgresql=tuple(
            f"create trigger {table}_append_only before update or delete or truncate "
            f"on {table} for each statement execute function regulars_append_only()"
            for table in _APPEND_ONLY_IDENTITY
        ),
    ),
    Step(
        version=8,
        name="a customer of whoever refused, to be found by when the member's first one is gone",
        statements=(
            "alter table refusals add column customer_key text",
            "create index refusals_by_customer on refusals (customer_key)",
        ),
        sqlite=_sqlite_scrub("refusals", _SCRUBBED_ANCHORS),
        postgresql=(
            "drop trigger refusals_only_scrub on refusals",
            _postgresql_only_scrub("refusals", _SCRUBBED_ANCHORS),
        ),
    ),
    Step(
        version=9,
        name="whose membership an erasure may change",
        statements=(
            """create table erasure_reach (
    erasure_id text not null references erasures (erasure_id),
    kind text not null check (kind in ('customer', 'member')),
    key text not null,
    primary key (erasure_id, kind, key))""",
        ),
        sqlite=tuple(
            f"create trigger {table}_no_{verb} before {verb} on {table} "
            f"begin select raise(abort, '{table} is append-only'); end"
            for table in _APPEND_ONLY_REACH
            for verb in ("update", "delete")
        ),
        postgresql=tuple(
            f"create trigger {table}_append_only before update or delete or truncate "
            f"on {table} for each statement execute function regulars_append_only()"
            for table in _APPEND_ONLY_REACH
        ),
    ),
)


def migrate(database: Database, at: datetime, steps: Sequence[Step] = STEPS) -> list[int]:
    """Apply the steps that ``database`` lacks, recorded as applied ``at``.

    Returns:
        The versions that were applied now, in order.

    Raises:
        StateError: the database is newer than this code, or a recorded step was edited since.
    """
    with database.reading() as connection:
        if _recorded(connection, database, steps) == len(steps):
            return []
    with database.writing() as connection:
        recorded = _recorded(connection, database, steps)
        if recorded == 0:
            connection.execute(
                text(
                    "create table if not exists schema_version (version integer primary key, "
                    "name text not null, sha256 text not null, applied_at timestamp not null)"
                )
            )
        for step in steps[recorded:]:
            for statement in step.for_dialect(database.dialect):
                connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
            connection.execute(
                schema_version.insert().values(
                    version=step.version,
                    name=step.name,
                    sha256=step.sha256(database.dialect),
                    applied_at=at,
                )
            )
        return [step.version for step in steps[recorded:]]


def _recorded(connection: Connection, database: Database, steps: Sequence[Step]) -> int:
    """How many of ``steps`` the database has; checks that they are these steps."""
    if not inspect(connection).has_table("schema_version"):
        return 0
    query = select(schema_version.c.version, schema_version.c.sha256)
    rows = connection.execute(query.order_by(schema_version.c.version)).all()
    if len(rows) > len(steps):
        raise StateError(
            f"recorded state has schema version {rows[-1].version}, this code knows {len(steps)}",
            where=database.place,
            next_step="run the version of Regulars that wrote it, or a newer one",
        )
    for step, row in zip(steps, rows, strict=False):
        if (row.version, row.sha256) != (step.version, step.sha256(database.dialect)):
            raise StateError(
                f"migration {step.version} was edited after it had been applied",
                where=database.place,
                next_step="restore the step as it was and write the change as a new step",
            )
    return len(rows)
