"""What the shipped expectations of gate 2 stop of the buyers that are published."""

import shutil

import duckdb
import pytest

from regulars.quality.gate import validate_tables
from regulars.settings import PROJECT_ROOT, Settings


def critical(tmp_path, *customers):
    path = tmp_path / "marts.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "create table dim_customers (customer_key hugeint, platform varchar, buyer_id varchar, "
            "first_order_date date, first_paid_date date, last_paid_date date)"
        )
        for key, platform, buyer in customers:
            connection.execute(
                "insert into dim_customers values (?, ?, ?, null, null, null)",
                (key, platform, buyer),
            )
    folder = tmp_path / "expectations" / "marts"
    folder.mkdir(parents=True)
    shutil.copy(PROJECT_ROOT / "expectations" / "marts" / "dim_customers.yml", folder)
    verdict = validate_tables(
        Settings(data_dir=tmp_path, expectations_dir=tmp_path / "expectations"),
        gate="marts",
        database=path,
        tables={"dim_customers": "main.dim_customers"},
    )
    assert verdict.checked == 3
    return [finding.notes for finding in verdict.critical]


@pytest.mark.parametrize(
    "buyer",
    ["13912345678", "+8613912345678", "86-13912345678", "u:13912345678", "canary@example.com"],
)
def test_a_buyers_id_that_is_a_contact_stops_the_night(tmp_path, buyer):
    found = critical(tmp_path, (1, "taobao", "AAH1"), (2, "taobao", buyer))
    assert ["as a buyer's id" in note for note in found] == [True]


@pytest.mark.parametrize(
    ("platform", "buyer"),
    [
        ("taobao", "AAH13912345678"),
        ("taobao", "139123456789"),
        ("jd", "o*abc@#x"),
        ("doudian", "1@#Xy_-12"),
        # The platform's own numbers, which nobody wrote.
        ("shopify", "13912345678"),
    ],
)
def test_a_platforms_own_id_passes(tmp_path, platform, buyer):
    assert critical(tmp_path, (1, platform, buyer)) == []


@pytest.mark.parametrize(("key", "buyer"), [(None, "AAH1"), (1, None), (1, "")])
def test_a_customer_without_key_or_id_stops_the_night(tmp_path, key, buyer):
    found = critical(tmp_path, (key, "taobao", buyer))
    assert ["without a key or an id" in note for note in found] == [True]


NOT_ENDED = (None, None, None, None)


def warnings_of_orders(tmp_path, guests, others, record_source, platform, ended=NOT_ENDED):
    path = tmp_path / "marts.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            """
            create table mart_publication as select date '2017-10-30' as as_of_date;
            create table dim_field_availability as
            select 'pdd_open' as record_source, 'pdd' as platform, 'orders' as entity,
                'buyer_id' as field, 'absent' as availability;
            """
        )
        connection.execute(
            """
            create table fct_orders as
            select
                number as order_key, 'b' as brand, ? as platform, 's' as shop,
                ? as record_source, date '2017-10-01' as created_date,
                date '2017-10-01' as paid_date, 1.00 as paid_amount, 1.00 as net_amount,
                true as is_paid, true as is_reconciled, null::varchar as store_id,
                ?::varchar as store_exchanged_id, ?::varchar as store_returned_id,
                ?::date as void_date, ?::varchar as invalid_reason,
                null::varchar as channel, number < ? as is_guest
            from range(?) as numbers (number)
            """,
            (platform, record_source, *ended, guests, guests + others),
        )
    folder = tmp_path / "expectations" / "marts"
    folder.mkdir(parents=True)
    shutil.copy(PROJECT_ROOT / "expectations" / "marts" / "fct_orders.yml", folder)
    verdict = validate_tables(
        Settings(data_dir=tmp_path, expectations_dir=tmp_path / "expectations"),
        gate="marts",
        database=path,
        tables={"fct_orders": "main.fct_orders"},
    )
    assert [finding.notes for finding in verdict.critical] == []
    return [finding.notes for finding in verdict.findings]


@pytest.mark.parametrize(
    ("guests", "others", "record_source", "platform", "is_told"),
    [
        (4, 56, "file", "pdd", True),
        (3, 57, "file", "pdd", False),
        (4, 45, "file", "pdd", False),
        # A source that never names anybody is known not to.
        (60, 0, "pdd_open", "pdd", False),
        (60, 0, "taobao_top", "taobao", True),
    ],
)
def test_many_guests_are_told_of(tmp_path, guests, others, record_source, platform, is_told):
    notes = warnings_of_orders(tmp_path, guests, others, record_source, platform)
    assert ["name no buyer" in note for note in notes] == [True] * is_told


@pytest.mark.parametrize(
    ("ended", "is_told"),
    [
        (("B", None, "2017-10-01", "refunded"), True),
        (("B", None, "2017-09-30", "refunded"), False),
        (("B", None, "2017-10-01", "closed"), False),
        (("B", "C", "2017-10-01", "refunded"), False),
        ((None, None, "2017-10-01", "refunded"), False),
    ],
)
def test_an_exchange_that_ended_its_order_is_told_of(tmp_path, ended, is_told):
    notes = warnings_of_orders(tmp_path, 0, 1, "file", "pdd", ended)
    assert ["refund_id" in note for note in notes] == [True] * is_told


def of_tiers(tmp_path, rows):
    """Notes of the findings about a mart of tiers, by severity."""
    path = tmp_path / "marts.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "create table mart_member_tiers (member_key integer, brand varchar, program varchar, "
            "tier_level integer, tier varchar, previous_level integer, grant_reason varchar, "
            "is_granted_tonight boolean, is_top_tier boolean)"
        )
        connection.executemany(
            "insert into mart_member_tiers values (?, 'demo', 'first', ?, ?, ?, ?, ?, ?)",
            [(number, *row) for number, row in enumerate(rows)],
        )
    folder = tmp_path / "expectations" / "marts"
    folder.mkdir(parents=True)
    shutil.copy(PROJECT_ROOT / "expectations" / "marts" / "mart_member_tiers.yml", folder)
    verdict = validate_tables(
        Settings(data_dir=tmp_path, expectations_dir=tmp_path / "expectations"),
        gate="marts",
        database=path,
        tables={"mart_member_tiers": "main.mart_member_tiers"},
    )
    return [(finding.severity, finding.notes) for finding in verdict.findings]


GIVEN = (2, "senior", 1, "upgrade", True, False)
FELL = (2, "senior", 3, "downgrade_at_expiry", True, False)
TOP = (4, "supreme", 3, "upgrade", False, True)


def test_a_level_that_the_program_does_not_have_stops_the_night(tmp_path):
    # Given long ago: it is not tonight's grant that is wrong.
    [(severity, notes)] = of_tiers(
        tmp_path,
        [GIVEN, FELL, (4, None, 3, "upgrade", False, True), (0, None, 0, None, False, False)],
    )
    assert severity == "critical"
    assert "put its tier back" in notes


def test_a_tier_that_falls_before_its_end_stops_the_night(tmp_path):
    [(severity, notes)] = of_tiers(tmp_path, [GIVEN, FELL, (2, "senior", 3, "switch", True, False)])
    assert severity == "critical"
    assert "before its last day" in notes


@pytest.mark.parametrize(("members", "top", "told"), [(50, 10, 0), (50, 11, 1), (49, 40, 0)])
def test_a_top_that_many_reach_is_told_of(tmp_path, members, top, told):
    found = of_tiers(
        tmp_path, [TOP] * top + [GIVEN] * (members - top) + [(0, None, 0, None, False, False)] * 9
    )
    assert [severity for severity, _ in found] == ["warning"] * told
