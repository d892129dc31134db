"""Members, credit and queues over several nights, with decisions that are recorded in between."""

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from regulars.quality.gate import Finding, validate_tables
from regulars.settings import PROJECT_ROOT, Settings
from tests.dbt.nights import Warehouse, differences
from tests.dbt.project import DbtFailed, Project, copy_pair, open_pair
from tests.dbt.segment_story import write_segments
from tests.dbt.shop_story import Batch, Night, Story

pytestmark = pytest.mark.slow

NIGHTS = 4
QUEUES = ("queue_sms__first_month_gift", "queue_sms__just_silent_coupon")
CAMPAIGNS = """
    insert into config.campaigns by name
    select
        campaign, campaign as name, 'triggered' as kind, 'sms' as channel, 'marketing' as purpose,
        campaign as audience, campaign as salt, 0.6 as holdout_share, '10:00' as send_at_local,
        trigger_day, 40 as catch_up_days, 1 as cooldown_days, coupon as coupon_code, priority,
        campaign as template, 15 as monitor_days, true as is_active, 'b' as brand
    from (
        values ('first_month_gift', 30, 'cp1', 20), ('just_silent_coupon', null, 'cp2', 30)
    ) as campaigns (campaign, trigger_day, coupon, priority)
"""
HOURS = "insert into config.sending_hours values ('08:00', '21:00', '10:00')"
DECIDE = """
    insert into raw.state__decisions by name
    select
        row_number() over (order by message_id)
        + (select count(*) from raw.state__decisions) as seq,
        message_id, 'run' as run_id, campaign, brand, member_key, channel, occasion, arm, outcome,
        reason, as_of_date as decided_on, planned_at, contact_ref, contact_hash, coupon_code,
        bucket, purpose
    from activation.{queue}
    where is_final
"""
EVENTS = """
    insert into raw.state__message_events by name
    select
        row_number() over (order by decisions.message_id, kinds.event)
        + (select count(*) from raw.state__message_events) as seq,
        decisions.message_id, kinds.event, 'run' as run_id,
        decisions.send_at + to_minutes(kinds.minutes) as occurred_at,
        case when kinds.event = 'exported' then decisions.send_at end as send_at
    from (
        -- Every third message was moved, so far that the next night has it still before it.
        select *, planned_at + to_hours(case when seq % 3 = 0 then 31 else 0 end) as send_at
        from raw.state__decisions
    ) as decisions
    cross join (values ('exported', 0), ('delivered', 1), ('clicked', 90)) as kinds (event, minutes)
    where
        decisions.outcome = 'send'
        and decisions.message_id not in (select message_id from raw.state__message_events)
"""
AS_OF_JOIN = """
    select history.member_key, history.cell_code, history.valid_from
    from marts.mart_member_lifecycle_history as history
    where
        history.valid_from <= ?
        and (history.valid_to is null or history.valid_to > ?)
    order by all
"""
STAFF = """
    select identities.member_key
    from marts.fct_orders as orders
    inner join marts.dim_member_identities as identities
        on orders.customer_key = identities.customer_key
    where orders.invalid_reason = 'employee'
"""


@dataclass
class Told:
    """Two warehouses that know the same: one built night by night, one at once."""

    nights: list[Night]
    nightly: Warehouse
    rebuilt: Warehouse


@pytest.fixture(scope="module")
def told(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    folder = tmp_path_factory.mktemp("members")
    nightly = Warehouse(project, folder / "nightly")
    rebuilt = Warehouse(project, folder / "rebuilt")
    nights = list(Story(7, date(2017, 10, 1), NIGHTS, orders=90).nights())
    _correct(nights)
    for warehouse in (nightly, rebuilt):
        warehouse.prepare()
        with open_pair(warehouse.directory) as connection:
            connection.execute(CAMPAIGNS)
            connection.execute(HOURS)
            write_segments(connection)
    for number, night in enumerate(nights):
        nightly.land(night)
        rebuilt.land(night)
        nightly.build(night, run_id=f"night-{number}")
        nightly.consume(night)
        if night is not nights[-1]:
            _decide(nightly)
    _copy_recorded(nightly, rebuilt)
    _shuffle(rebuilt)
    rebuilt.build(nights[-1], run_id="rebuild")
    rebuilt.consume(nights[-1])
    yield Told(nights, nightly, rebuilt)


def _correct(nights: list[Night]) -> None:
    """Night 2 corrects what night 0 said: other buyers, and a coupon used on another order."""
    batches = {batch.stream: batch for batch in nights[0].batches}
    orders = [record["order_id"] for record in batches["orders"].records]
    changes = {
        "sends": {"buyer_id": "AA13"},
        "reviews": {"buyer_id": "AA12"},
        "interactions": {"buyer_id": "AA11", "kind": "share"},
        "coupon_events": {"event": "used", "order_id": orders[0]},
    }
    for stream, change in changes.items():
        first = batches[stream]
        nights[0].batches.append(
            Batch(f"{stream}-a-said", "file", stream, first.shop, [_said(first.records[0], change)])
        )
        corrected = {**_said(first.records[0], change), **change}
        nights[2].batches.append(
            Batch(f"{stream}-b-corrected", "file", stream, first.shop, [corrected])
        )


def _said(record: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """A record of its own that looks like ``record`` before it was changed."""
    key = next(iter(record))
    return {**record, key: f"{record[key]}-corrected", **{k: record[k] for k in change}}


def _decide(warehouse: Warehouse) -> None:
    """Record tonight's final proposals and, for those to send, what becomes of them."""
    with open_pair(warehouse.directory) as connection:
        for queue in QUEUES:
            connection.execute(DECIDE.format(queue=queue))
        connection.execute(EVENTS)


def _copy_recorded(source: Warehouse, target: Warehouse) -> None:
    with open_pair(target.directory) as connection:
        connection.execute(
            f"attach '{source.directory / 'warehouse.duckdb'}' as source (read_only)"
        )
        for stream in ("state__decisions", "state__message_events"):
            connection.execute(f"insert into raw.{stream} select * from source.raw.{stream}")


def _shuffle(warehouse: Warehouse) -> None:
    """Rewrite every raw table with its rows in another order."""
    with open_pair(warehouse.directory) as connection:
        tables = connection.execute(
            """
            select table_name from information_schema.tables
            where table_catalog = 'warehouse' and table_schema = 'raw'
            """
        ).fetchall()
        for (table,) in tables:
            connection.execute(
                f"create or replace table raw.{table} as "
                f"from raw.{table} as rows order by md5(cast(rows as varchar))"
            )


def _rows(warehouse: Warehouse, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with open_pair(warehouse.directory) as connection:
        return connection.execute(query, list(values)).fetchall()


def _queue_rows(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    both = " union all ".join(f"select * from activation.{queue}" for queue in QUEUES)
    return _rows(warehouse, f"select * from ({both}) order by all")


def test_sum_of_nights_equals_a_rebuild_from_shuffled_rows(told: Told) -> None:
    assert differences(told.nightly.marts(), told.rebuilt.marts()) == ""
    assert _queue_rows(told.nightly) == _queue_rows(told.rebuilt)
    outcomes = _rows(
        told.rebuilt, "select outcome, count(*) from marts.fct_campaign_sends group by all"
    )
    assert {"sent", "holdout", "suppressed"} <= {outcome for outcome, _ in outcomes}, outcomes
    credited = _rows(
        told.rebuilt,
        "select distinct evidence from marts.fct_order_attribution where is_credited",
    )
    assert credited, "a story without credit proves nothing"


def test_segments_come_and_go_in_the_story(told: Told) -> None:
    spans = _rows(
        told.nightly,
        """
        select
            segment,
            count(*) filter (where left_on is null) > 0,
            count(*) filter (where left_on is not null) > 0,
            count(*) filter (where is_continued) > 0,
            count(distinct version)
        from marts.mart_segment_membership
        group by segment
        order by segment
        """,
    )
    assert spans == [("lively", True, True, True, 2), ("quiet", True, True, False, 1)]
    current = dict(
        _rows(told.nightly, "select segment, count(*) from marts.mart_segment_members group by all")
    )
    assert set(current) == {"lively", "quiet", "scored"}


def test_every_member_is_in_exactly_one_stay_on_every_day(told: Told) -> None:
    broken = _rows(
        told.rebuilt,
        """
        with stays as (
            select
                *,
                lead(valid_from) over (partition by member_key order by valid_from) as next_from,
                lag(valid_to) over (partition by member_key order by valid_from) as last_to
            from marts.mart_member_lifecycle_history
        )

        select * from stays
        where
            valid_to is distinct from next_from
            or (last_to is not null and last_to <> valid_from)
            or valid_to <= valid_from
        """,
    )
    assert broken == []
    without_order = _rows(
        told.rebuilt,
        """
        with first_orders as (
            select identities.member_key, min(orders.created_date) as first_date
            from marts.fct_orders as orders
            inner join marts.dim_member_identities as identities
                on orders.customer_key = identities.customer_key
            where coalesce(orders.invalid_reason, '') not in ('test', 'employee')
            group by all
        ),

        starts as (
            select member_key, min(valid_from) as first_date
            from marts.mart_member_lifecycle_history
            group by all
        )

        select *
        from first_orders
        full outer join starts
            on first_orders.member_key = starts.member_key
        where first_orders.first_date is distinct from starts.first_date
        """,
    )
    assert without_order == []


def test_a_paid_order_makes_its_day_active_and_silence_follows_activity(told: Told) -> None:
    inactive = _rows(
        told.rebuilt,
        """
        select orders.order_key, history.cell_code
        from marts.fct_orders as orders
        inner join marts.dim_member_identities as identities
            on orders.customer_key = identities.customer_key
        inner join marts.mart_member_lifecycle_history as history
            on
                identities.member_key = history.member_key
                and orders.paid_date >= history.valid_from
                and orders.paid_date < coalesce(history.valid_to, date '9999-12-31')
        where orders.is_valid_order and history.activity_stage <> 'active'
        """,
    )
    assert inactive == []
    leaps = _rows(
        told.rebuilt,
        """
        select previous_cell_code, cell_code
        from marts.mart_member_lifecycle_history
        where
            entered_by = 'time'
            and activity_stage = 'silent'
            and previous_cell_code not like '%_active'
        """,
    )
    assert leaps == []


def test_replayed_date_equals_the_history_of_that_date(told: Told) -> None:
    """Going back is incremental as well; staff restate history, so they are left out."""
    past = told.nights[1]
    remembered = _rows(told.rebuilt, AS_OF_JOIN, past.as_of_date, past.as_of_date)
    staff = set(_rows(told.rebuilt, STAFF))
    told.rebuilt.build(past, "--exclude", "tag:activation", run_id="replay")
    told.rebuilt.consume(past)
    replayed = _rows(
        told.rebuilt,
        "select member_key, cell_code, stage_since from marts.mart_member_lifecycle order by all",
    )
    staff |= set(_rows(told.rebuilt, STAFF))
    assert [row for row in replayed if row[:1] not in staff] == [
        row for row in remembered if row[:1] not in staff
    ]
    late = _rows(
        told.rebuilt,
        "select count(*) from marts.mart_member_lifecycle_history where valid_from > ?",
        past.as_of_date,
    )
    assert late == [(0,)]


def test_everybody_considered_has_one_outcome(told: Told) -> None:
    rows = _rows(
        told.nightly,
        """
        select
            count(*) = count(distinct message_id),
            count(*) filter ((outcome = 'suppressed') <> (reason is not null)),
            count(*) filter (outcome <> 'suppressed' and bucket is null),
            count(*) filter (outcome = 'send' and contact_ref is null),
            count(*)
        from raw.state__decisions
        """,
    )
    unique, unexplained, undrawn, unreachable, total = rows[0]
    assert unique
    assert (unexplained, undrawn, unreachable) == (0, 0, 0)
    assert total > 5, "a story that decides nothing proves nothing"


def test_no_contact_exceeds_a_cap(told: Told) -> None:
    crowded = _rows(
        told.nightly,
        """
        with caps (window_hours, max_messages) as (values (24, 1), (168, 2), (720, 4)),

        messages as (
            select contact_hash, planned_at
            from raw.state__decisions
            where outcome in ('send', 'holdout')
        )

        select later.contact_hash, caps.window_hours
        from messages as later
        cross join caps
        inner join messages as earlier
            on
                later.contact_hash = earlier.contact_hash
                and earlier.planned_at <= later.planned_at
                and earlier.planned_at > later.planned_at - to_hours(caps.window_hours)
        group by later.contact_hash, later.planned_at, caps.window_hours, caps.max_messages
        having count(*) > caps.max_messages
        """,
    )
    assert crowded == []


def test_credit_and_organic_add_up_to_the_fen(told: Told) -> None:
    sums = _rows(
        told.nightly,
        """
        select
            (select sum(credited_amount + organic_amount) from marts.mart_campaign_attribution),
            (select sum(credited_amount + organic_amount) from marts.fct_order_attribution),
            (select sum(net_amount) from marts.fct_orders where is_valid_order)
        """,
    )
    assert len(set(sums[0])) == 1
    assert sums[0][0] > 0


def test_groups_of_the_day_add_up_to_all_members(told: Told) -> None:
    day = told.nights[-1].as_of_date
    counts = dict(
        _rows(
            told.nightly,
            """
            select customer_group, sum(member_count)
            from marts.mart_shop_daily where day_date = ? group by all
            """,
            day,
        )
    )
    # Who buys at both shops is a member of each.
    members = _rows(
        told.nightly,
        """
        select count(distinct (identities.member_key, customers.shop))
        from marts.mart_member_lifecycle as lifecycle
        inner join marts.dim_member_identities as identities
            on lifecycle.member_key = identities.member_key
        inner join marts.dim_customers as customers
            on identities.customer_key = customers.customer_key
        where customers.first_order_date is not null
        """,
    )[0][0]
    assert counts.pop("total") == sum(counts.values()) == members


def test_a_published_copy_shows_each_member_once_whatever_it_is_called(
    told: Told, tmp_path: Path
) -> None:
    copy_pair(told.nightly.directory, tmp_path)
    copy = (tmp_path / "marts.duckdb").rename(tmp_path / "marts-night-20171004-1.duckdb")
    with duckdb.connect(str(copy), read_only=True) as published:
        rows = published.execute(
            """
            select
                (select count(*) from dim_members),
                count(*),
                count(distinct member_key),
                count(*) filter (valid_order_count > 0),
                (select count(*) from mart_member_rfm),
                count(*) filter (as_of_date <> (select as_of_date from mart_publication))
            from mart_member_360
            """
        ).fetchall()
    [(members, shown, distinct, with_orders, buyers, of_another_day)] = rows
    assert members == shown == distinct > with_orders == buyers > 0
    assert of_another_day == 0


def test_what_the_how_to_asks_is_answered(told: Told) -> None:
    page = PROJECT_ROOT / "docs" / "how-to" / "read-the-overview.md"
    queries = re.findall(r"```sql\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S)
    assert len(queries) == 3
    with duckdb.connect(str(told.nightly.directory / "marts.duckdb"), read_only=True) as marts:
        answers = [marts.execute(query).fetchall() for query in queries]
    assert answers[0] and answers[1]


def test_cohorts_and_concentration_hold_all_that_was_bought(told: Told) -> None:
    """What is not over is null in the cohorts, so the month before is looked at."""
    sums = _rows(
        told.nightly,
        """
        with bought as (
            select
                orders.currency,
                sum(orders.net_amount) as net_amount,
                sum(orders.net_amount) filter (orders.paid_date < date '2017-10-01')
                    as closed_amount,
                count(distinct identities.member_key) as member_count
            from marts.fct_orders as orders
            inner join marts.dim_member_identities as identities
                on orders.customer_key = identities.customer_key
            where orders.is_valid_order
            group by all
        ),

        cohorts as (
            select currency, sum(net_amount) as net_amount
            from marts.mart_member_cohorts
            group by all
        ),

        sizes as (
            select currency, sum(member_count) as member_count
            from marts.mart_member_cohorts
            where period_number = 1
            group by all
        )

        select
            bought.currency,
            bought.net_amount = tops.net_amount,
            tops.net_amount >= tops.top_net_amount,
            coalesce(bought.closed_amount, 0) = coalesce(cohorts.net_amount, 0),
            bought.member_count = tops.member_count,
            bought.member_count = sizes.member_count
        from bought
        left join marts.mart_revenue_concentration as tops
            on bought.currency = tops.currency
        left join cohorts
            on bought.currency = cohorts.currency
        left join sizes
            on bought.currency = sizes.currency
        """,
    )
    assert sums and {row[1:] for row in sums} == {(True,) * 5}


def _settings(directory: Path, gate: str, suites: Sequence[str]) -> Settings:
    """Settings whose gate knows ``suites`` alone; all of them when none is named."""
    settings = Settings()
    if not suites:
        return settings
    folder = directory / "expectations" / gate
    folder.mkdir(parents=True)
    for suite in suites:
        shutil.copy(settings.expectations_dir / gate / f"{suite}.yml", folder)
    return settings.model_copy(update={"expectations_dir": folder.parent})


def _gate_of_marts(directory: Path, *suites: str) -> list[Finding]:
    """Critical findings of the gate of marts, of some of its suites or of all."""
    with open_pair(directory) as connection:
        names = connection.execute(
            "select table_name from information_schema.tables where table_catalog = 'marts'"
        ).fetchall()
    verdict = validate_tables(
        _settings(directory, "marts", suites),
        gate="marts",
        database=directory / "marts.duckdb",
        tables={name: f"main.{name}" for (name,) in names},
    )
    assert verdict.checked > (0 if suites else 20)
    return verdict.critical


def _gate_of_queues(directory: Path, *suites: str) -> list[Finding]:
    """Critical findings of the gate of queues, of some of its suites or of all."""
    verdict = validate_tables(
        _settings(directory, "queues", suites),
        gate="queues",
        database=directory / "warehouse.duckdb",
        tables={queue: f"activation.{queue}" for queue in QUEUES},
    )
    assert verdict.checked > (0 if suites else 10)
    return verdict.critical


def _propose_one_message(connection: duckdb.DuckDBPyConnection) -> None:
    """A message to somebody who has agreed, planned for ten in the morning."""
    connection.execute(f"delete from activation.{QUEUES[0]}")
    connection.execute(
        f"""
        insert into activation.{QUEUES[0]} by name
        select
            repeat('a', 32) as message_id, 'first_month_gift' as campaign, 'b' as brand,
            'p' as platform, 'east' as shop, member_key, member_key as customer_key,
            'sms' as channel, 'marketing' as purpose, 'o' as occasion, 'send' as outcome,
            'treatment' as arm, true as is_final, 9000 as bucket,
            timestamp '2017-11-01 02:00:00' as planned_at, 'ct_1' as contact_ref,
            timestamp '2017-11-03 16:00:00' as expires_at,
            'h' as contact_hash, 't' as template, date '2017-10-31' as as_of_date
        from intermediate.int_members__consents
        where channel = 'sms' and consent = 'granted' and not is_refused_by_now
        order by member_key
        limit 1
        """
    )


NO_GAP = "assert_mart_member_lifecycle_history_has_no_gap"
OCCASIONS_ONCE = "assert_mart_member_occasions_keys_hold"
GROUPS_ADD_UP = "assert_mart_shop_daily_groups_add_up"
CHECKS = (NO_GAP, GROUPS_ADD_UP)


def test_gates_and_data_tests_let_good_nights_pass(told: Told, tmp_path: Path) -> None:
    copy_pair(told.nightly.directory, tmp_path)
    told.nightly.project.run(tmp_path, "test", "--select", *CHECKS)
    with open_pair(tmp_path) as connection:
        _propose_one_message(connection)
    assert _gate_of_marts(tmp_path) == []
    assert _gate_of_queues(tmp_path) == []


@pytest.mark.parametrize(
    ("table", "damage"),
    [
        ("dim_members", "update {mart} set city = 'call 13812345678'"),
        ("dim_members", "update {mart} set enrol_source = 'ann@shop.example'"),
        ("fct_orders", "update {mart} set paid_amount = -1"),
        ("fct_orders", "update {mart} set paid_date = date '2030-01-01'"),
        ("mart_member_lifecycle", "delete from {mart}"),
        ("mart_member_rfm", "update {mart} set recency_score = 6 - recency_score"),
        (
            "mart_campaign_attribution",
            "update {mart} set credited_amount = credited_amount + 0.01",
        ),
        (
            "fct_order_events",
            "insert into {mart} select * from {mart} where event = 'paid' limit 1",
        ),
        (
            "fct_order_events",
            "update {mart} set event_at = event_at - interval 900 days where event = 'paid'",
        ),
        ("fct_order_events", "delete from {mart} where event = 'created'"),
        (
            "fct_campaign_sends",
            "update {mart} set sent_at = planned_at where outcome = 'holdout'",
        ),
        (
            "fct_order_attribution",
            "update {mart} set touched_at = paid_at + interval 1 second where is_credited",
        ),
    ],
)
def test_gate_of_marts_stops_what_must_not_be_published(
    told: Told, tmp_path: Path, table: str, damage: str
) -> None:
    copy_pair(told.nightly.directory, tmp_path)
    with open_pair(tmp_path) as connection:
        connection.execute(damage.format(mart=f"marts.{table}"))
    assert table in {finding.table for finding in _gate_of_marts(tmp_path, table)}


CANNOT_BE = {
    "mart_member_behaviour": "update {mart} set refunded_order_count = paid_order_count + 1",
    "mart_churn_monthly": "update {mart} set lost_count = opening_kept_count + 1",
    "mart_stage_flows": "update {mart} set member_count = -1 where member_count = 0",
    "mart_one_time_buyers": "update {mart} set one_time_count = member_count + 1",
    "mart_member_occasions": "update {mart} set days_late = -1",
    "mart_member_cohorts": "update {mart} set active_member_count = member_count + 1",
    "mart_revenue_concentration": "update {mart} set top_net_amount = 0",
    "mart_member_gap": "update {mart} set customer_rebuy_rate = 1.1",
    "mart_base_summary": "update {mart} set value_gap_reason = null",
    "mart_member_points": """
        insert into {mart} by name
        select
            member_key, brand, 5 as point_balance, false as is_overdrawn, 0 as debt_count,
            0 as expiring_count, 0 as next_expiring_count, 4 as earned_count, 0 as redeemed_count,
            0 as reversed_count, 0 as expired_count, 0 as adjusted_count, 0 as repaid_count,
            false as is_gift_candidate
        from marts.dim_members
        limit 1
    """,
}


def test_gate_of_marts_stops_figures_that_cannot_be(told: Told, tmp_path: Path) -> None:
    copy_pair(told.nightly.directory, tmp_path)
    with open_pair(tmp_path) as connection:
        for table, damage in CANNOT_BE.items():
            connection.execute(damage.format(mart=f"marts.{table}"))
    assert {finding.table for finding in _gate_of_marts(tmp_path, *CANNOT_BE)} == {*CANNOT_BE}


LAST_TOUCHED = "member_key in (select member_key from intermediate.int_members__stage_changes)"


@pytest.mark.parametrize(
    ("check", "damage"),
    [
        (
            NO_GAP,
            "update intermediate.int_members__stage_spans set valid_to = valid_to - 1 "
            f"where valid_to is not null and {LAST_TOUCHED}",
        ),
        (
            NO_GAP,
            "delete from intermediate.int_members__stage_spans "
            f"where valid_to is null and {LAST_TOUCHED}",
        ),
        (
            NO_GAP,
            "insert into marts.mart_member_lifecycle_history "
            f"select * from marts.mart_member_lifecycle_history where {LAST_TOUCHED}",
        ),
        (
            GROUPS_ADD_UP,
            "update marts.mart_shop_daily set buyer_count = buyer_count + 1 "
            "where customer_group = 'total'",
        ),
        (
            GROUPS_ADD_UP,
            "update marts.mart_shop_daily set refunded_amount = refunded_amount + 0.01 "
            "where customer_group = 'new'",
        ),
        (
            OCCASIONS_ONCE,
            "insert into marts.mart_member_occasions by name "
            "select member_key, brand, 'birthday' as occasion, 'x' as occasion_zh, "
            "code as occasion_code, date '2017-10-05' as occasion_date, "
            "date '2017-10-04' as as_of_date, 0 as days_late from marts.dim_members "
            "cross join (values ('birthday:2017'), ('birthday:2018')) as codes (code)",
        ),
    ],
)
def test_a_data_test_finds_what_contradicts_itself(
    told: Told, tmp_path: Path, check: str, damage: str
) -> None:
    copy_pair(told.nightly.directory, tmp_path)
    with open_pair(tmp_path) as connection:
        connection.execute(damage)
    with pytest.raises(DbtFailed, match=check):
        told.nightly.project.run(tmp_path, "test", "--select", check)


@pytest.mark.parametrize(
    "damage",
    [
        "update {queue} set arm = 'holdout'",
        "update {queue} set planned_at = timestamp '2017-11-01 13:00:00'",
        "update {queue} set planned_at = timestamp '2017-01-01 02:00:00'",
        "update {queue} set expires_at = planned_at",
        "update {queue} set contact_ref = '13812345678'",
        "delete from intermediate.int_members__consents",
        "update intermediate.int_members__consents set is_refused_by_now = true",
        "insert into raw.state__decisions (message_id) select message_id from {queue}",
        "insert into {queue} from {queue}",
    ],
)
def test_gate_of_queues_stops_what_must_not_leave(told: Told, tmp_path: Path, damage: str) -> None:
    copy_pair(told.nightly.directory, tmp_path)
    with open_pair(tmp_path) as connection:
        _propose_one_message(connection)
        connection.execute(damage.format(queue=f"activation.{QUEUES[0]}"))
    assert {finding.table for finding in _gate_of_queues(tmp_path, QUEUES[0])} == {QUEUES[0]}
