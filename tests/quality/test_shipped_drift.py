"""What the shipped expectations of gate 2 ask somebody to look at: nothing is stopped."""

import shutil

import duckdb

from regulars.quality.gate import validate_tables
from regulars.settings import PROJECT_ROOT, Settings

TABLES = {
    "dim_members": "select range as member_key from range(1000)",
    "mart_member_occasions": """
        select range as member_key, 'birthday' as occasion, date '2017-10-04' as occasion_date,
            0 as days_late
        from range({birthdays})
        union all
        select range, 'qixi', date '2017-10-04', 0 from range(1000)
    """,
    "mart_churn_monthly": """
        select
            'b' as brand,
            cast(date '2017-01-01' + to_months(cast(range as integer)) as date)
                as month_start_date,
            range < 7 as is_complete,
            case when range = 6 then {lost} else 50 end as lost_count, 1000 as opening_kept_count,
            0 as opening_lost_count, 0 as regained_count, 0 as closing_lost_count,
            0 as closing_buyer_count, 0 as closing_dead_count
        from range(8)
    """,
    "mart_base_summary": """
        select 's' as shop, 'conversion_rate' as figure, {conversion} as value,
            cast(null as varchar) as value_gap_reason
    """,
}


def found(folder, **numbers):
    """The beginnings of what gate 2 says of marts with these numbers, by table."""
    suites = folder / "expectations" / "marts"
    suites.mkdir(parents=True)
    path = folder / "marts.duckdb"
    with duckdb.connect(str(path)) as connection:
        for table, query in TABLES.items():
            connection.execute(f"create table {table} as {query.format(**numbers)}")
            if table != "dim_members":
                shutil.copy(PROJECT_ROOT / "expectations" / "marts" / f"{table}.yml", suites)
    verdict = validate_tables(
        Settings(data_dir=folder, expectations_dir=suites.parent),
        gate="marts",
        database=path,
        tables={table: f"main.{table}" for table in TABLES},
    )
    assert verdict.critical == []
    return {finding.table: finding.notes.split(":")[0] for finding in verdict.findings}


def test_what_has_never_been_so_is_asked_about(tmp_path):
    assert found(tmp_path / "odd", birthdays=51, lost=101, conversion=1.01) == {
        "mart_member_occasions": "More than a twentieth of the members share a birthday",
        "mart_churn_monthly": (
            "Churn of the last whole month is more than twice that of the six before"
        ),
        "mart_base_summary": "More bought than came",
    }
    assert found(tmp_path / "usual", birthdays=50, lost=100, conversion=1.0) == {}
