"""What the shipped expectations of gate 2 stop of the buyers and tiers that are published."""

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
