"""Tables that Python writes and dbt reads: raw, ops, config."""

import duckdb

from regulars.sources import raw_columns, raw_streams, source_names
from regulars.state import STREAMS

BATCH_COLUMNS = {
    "_batch_id": "varchar",
    "_line": "bigint",
    "_brand": "varchar",
    "_platform": "varchar",
    "_shop": "varchar",
    "_extracted_at": "timestamp",
}

OPS_TABLES = {
    "run": {"run_id": "varchar", "as_of_date": "date", "previous_as_of_date": "date"},
    "run_shops": {
        "brand": "varchar",
        "platform": "varchar",
        "shop": "varchar",
        "zone": "varchar",
        "currency": "varchar",
        "first_date": "date",
        "visible_until": "timestamp",
        "previous_visible_until": "timestamp",
    },
    "pending_batches": {
        "batch_id": "varchar",
        "source": "varchar",
        "stream": "varchar",
        "brand": "varchar",
        "platform": "varchar",
        "shop": "varchar",
    },
    "touched_keys": {"run_id": "varchar", "subject": "varchar", "key": "uuid"},
    # Read by Python only: what a good night has taken in.
    "loaded_batches": {"batch_id": "varchar", "row_count": "bigint"},
    # Batches of which raw holds no more than the newest versions: regulars.warehouse.prune.
    "pruned_batches": {
        "batch_id": "varchar",
        "source": "varchar",
        "stream": "varchar",
        "row_count": "bigint",
    },
    # The last tombstone that the loaded batches were held against.
    "applied_tombstones": {"head": "bigint"},
    "consumed_batches": {"batch_id": "varchar", "run_id": "varchar"},
    "consumed_nights": {
        "run_id": "varchar",
        "as_of_date": "date",
        "shop": "varchar",
        "visible_until": "timestamp",
    },
    "model_fingerprints": {"unique_id": "varchar", "fingerprint": "varchar"},
}

CONFIG_TABLES = {
    "campaigns": {
        "campaign": "varchar",
        "name": "varchar",
        "kind": "varchar",
        "channel": "varchar",
        "purpose": "varchar",
        "audience": "varchar",
        "salt": "varchar",
        "holdout_share": "decimal(6,4)",
        "start_date": "date",
        "end_date": "date",
        "send_at_local": "varchar",
        "trigger_day": "integer",
        "catch_up_days": "integer",
        "cooldown_days": "integer",
        "coupon_code": "varchar",
        "coupon_amount": "decimal(18,2)",
        "priority": "integer",
        "template": "varchar",
        "monitor_days": "integer",
        "is_active": "boolean",
        "brand": "varchar",
    },
    "sending_hours": {"opens": "varchar", "closes": "varchar", "first_slot": "varchar"},
    "tier_levels": {
        "brand": "varchar",
        "program": "varchar",
        "valid_from": "date",
        "members": "varchar",
        "measure": "varchar",
        "currency": "varchar",
        "counts_from": "varchar",
        "window_days": "integer",
        "validity_days": "integer",
        "level": "integer",
        "tier": "varchar",
        "tier_name": "varchar",
        "threshold": "decimal(18,2)",
        "discount_permille": "integer",
    },
    "segments": {
        "brand": "varchar",
        "segment": "varchar",
        "version": "integer",
        "name": "varchar",
        "title_zh": "varchar",
        "owner": "varchar",
        "reason": "varchar",
        "version_reason": "varchar",
        "valid_from": "date",
        "valid_to": "date",
        "definition_sha256": "varchar",
        "clause_count": "integer",
        "is_dated": "boolean",
        "base_condition_id": "varchar",
        "covered_condition_id": "varchar",
        "covered_platforms": "varchar",
        "uncovered_platforms": "varchar",
        "uncovered_reason": "varchar",
    },
    "segment_clauses": {
        "brand": "varchar",
        "segment": "varchar",
        "version": "integer",
        "clause_no": "integer",
        "condition_id": "varchar",
        "is_negated": "boolean",
        "positive_count": "integer",
        "valid_from": "date",
        "valid_to": "date",
        "is_dated": "boolean",
    },
    "segment_conditions": {
        "brand": "varchar",
        "condition_id": "varchar",
        "currency": "varchar",
        "field": "varchar",
        "family": "varchar",
        "kind": "varchar",
        "comparison": "varchar",
        "texts": "varchar",
        "low": "decimal(28,8)",
        "high": "decimal(28,8)",
        "is_low_open": "boolean",
        "is_high_open": "boolean",
        "is_excluded": "boolean",
        "within_days": "integer",
        "is_as_of": "boolean",
    },
    "point_rules": {
        "brand": "varchar",
        "rule": "varchar",
        "valid_from": "date",
        "currency": "varchar",
        "earns": "varchar",
        "expiry": "varchar",
        "points_per_unit": "decimal(9,2)",
        "valid_days": "integer",
        "point_value": "decimal(9,4)",
        "redemption_rate": "decimal(6,4)",
        "expiring_days": "integer",
        "text": "varchar",
        "gift_max_orders": "integer",
    },
    "gifts": {
        "brand": "varchar",
        "rule": "varchar",
        "gift": "varchar",
        "name": "varchar",
        "points": "bigint",
        "cost_amount": "decimal(18,2)",
        "valid_from": "date",
        "valid_to": "date",
        "min_level": "integer",
        "stock": "integer",
    },
}


def raw_table_columns(source: str, stream: str) -> dict[str, str]:
    """Columns of ``raw.<source>__<stream>`` in order, with DuckDB types."""
    return {**BATCH_COLUMNS, **raw_columns(source, stream)}


def raw_tables() -> dict[str, dict[str, str]]:
    """Columns of every table of schema raw with DuckDB types: landed and recorded streams."""
    landed = {
        f"{source}__{name}": raw_table_columns(source, name)
        for source in source_names()
        for name in raw_streams(source)
    }
    return {**landed, **{name: dict(stream.columns) for name, stream in STREAMS.items()}}


def reshaped_tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Raw tables of this warehouse whose columns or types are not those of today's models; sorted.

    What was loaded into one lacks what a model has gained since, and of a list of records DuckDB
    drops members that the column does not know. Only loading it anew mends that.
    """
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in connection.execute(
        "select table_name, column_name, data_type from duckdb_columns() "
        "where database_name = 'warehouse' and schema_name = 'raw'"
    ).fetchall():
        found.setdefault(table, {})[column] = kind
    declared = raw_tables()
    kinds = sorted({kind for columns in declared.values() for kind in columns.values()})
    # As the catalogue writes them.
    listed = ", ".join(f"typeof(cast(null as {kind}))" for kind in kinds)
    written = dict(zip(kinds, connection.execute(f"select {listed}").fetchall()[0], strict=True))
    return sorted(
        table
        for table, columns in declared.items()
        if table in found
        and found[table] != {name: written[kind] for name, kind in columns.items()}
    )


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Create what is missing of schemas raw, ops and config; add columns that ops or config gained.

    Idempotent. Never drops or narrows anything, and leaves raw tables as they are: see
    :func:`reshaped_tables`. A night asks for it at most of its steps, so what stands is asked for
    once and nothing is said of a table that lacks nothing.
    """
    for schema in ("raw", "ops", "config"):
        connection.execute(f"create schema if not exists warehouse.{schema}")
    present: dict[tuple[str, str], set[str]] = {}
    for schema, table, column in connection.execute(
        "select schema_name, table_name, column_name from duckdb_columns() "
        "where database_name = 'warehouse' and schema_name in ('raw', 'ops', 'config')"
    ).fetchall():
        present.setdefault((schema, table), set()).add(column)
    wanted = {"raw": raw_tables(), "ops": OPS_TABLES, "config": CONFIG_TABLES}
    for schema, tables in wanted.items():
        for table, columns in tables.items():
            name = f"warehouse.{schema}.{table}"
            known = present.get((schema, table))
            if known is None:
                listed = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
                connection.execute(f"create table {name} ({listed})")
            elif schema != "raw":
                for column, kind in columns.items():
                    if column not in known:
                        connection.execute(f'alter table {name} add column "{column}" {kind}')
