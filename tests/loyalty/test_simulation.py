"""What a program would do to the members as published, and what is unwise about it."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import duckdb
import pytest
import yaml

from regulars.errors import ConfigError, WarehouseError
from regulars.loyalty.simulation import Simulation, lint, read_lint_limits, simulate
from regulars.loyalty.tiers import TierProgram, read_tier_program
from regulars.settings import PROJECT_ROOT, Settings
from regulars.shops import ShopsFile
from tests.loyalty.files import PROGRAM

LIMITS = read_lint_limits(PROJECT_ROOT / "dbt_project" / "seeds" / "tier_lint.csv")
SHOPS = ShopsFile.model_validate(
    {
        "brands": [{"brand": "demo", "name": "Demo", "base_currency": "CNY"}],
        "shops": [
            {
                "shop": "grocer", "name": "Grocer", "brand": "demo", "platform": "taobao",
                "source": "file", "zone": "Asia/Shanghai", "currency": "CNY",
                "first_date": date(2017, 1, 1),
            }
        ],
    }
)  # fmt: skip
AS_OF = date(2018, 6, 30)
TABLES = """
    create table mart_publication as select date '2018-06-30' as as_of_date;
    create table dim_members (member_key uuid, brand varchar, is_enrolled boolean);
    create table dim_member_identities (customer_key uuid, member_key uuid);
    create table mart_member_tiers (member_key uuid, tier_level integer);
    create table fct_orders (
        customer_key uuid, brand varchar, platform varchar, shop varchar, currency varchar,
        is_valid_order boolean, paid_date date, finished_at timestamp, net_amount decimal(18, 2)
    );
"""


@pytest.fixture
def published(tmp_path: Path) -> Settings:
    """Seven members: what they bought, when, and the tier they have."""
    settings = Settings(data_dir=tmp_path)
    settings.published_dir.mkdir(parents=True)
    orders = [
        # member, paid, finished, amount, currency, valid
        (1, "2018-06-30", "2018-06-29 16:00:00", "3000.00", "CNY", True),
        (2, "2017-07-01", "2017-06-30 15:59:59", "2400.00", "CNY", True),  # the first day inside
        (3, "2017-06-30", "2017-07-01 00:00:00", "2400.00", "CNY", True),  # the last one outside
        (4, "2018-06-01", None, "999.99", "CNY", True),
        (4, "2018-06-01", "2018-06-30 15:59:59", "500.00", "USD", True),
        (5, "2018-06-01", "2018-06-30 16:00:00", "50.00", "CNY", True),
        (6, "2018-06-01", "2018-06-02 00:00:00", "9000.00", "CNY", False),
    ]
    with duckdb.connect(str(settings.published_dir / "current.duckdb")) as connection:
        connection.execute(TABLES)
        for number in range(1, 8):
            connection.execute(
                "insert into dim_members values (?, 'demo', ?)", [UUID(int=number), number != 4]
            )
            connection.execute(
                "insert into dim_member_identities values (?, ?)",
                [UUID(int=100 + number), UUID(int=number)],
            )
        connection.execute("insert into dim_members values (?, 'other', true)", [UUID(int=9)])
        for number, level in ((2, 3), (3, 2), (5, 0), (6, 1)):
            connection.execute(
                "insert into mart_member_tiers values (?, ?)", [UUID(int=number), level]
            )
        for number, paid, finished, amount, currency, valid in orders:
            connection.execute(
                "insert into fct_orders values (?, 'demo', 'taobao', 'grocer', ?, ?, ?, ?, ?)",
                [UUID(int=100 + number), currency, valid, paid, finished, amount],
            )
    return settings


def program(tmp_path: Path, *changes: tuple[str, str]) -> TierProgram:
    text = PROGRAM
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "first.yml"
    path.write_text(text, encoding="utf-8")
    return read_tier_program(path, {"demo": "CNY"})


def simulated(
    settings: Settings, candidate: TierProgram, limits: dict[str, Decimal] = LIMITS
) -> Simulation:
    file = settings.data_dir / f"{candidate.program}.yml"
    return simulate(settings, SHOPS, candidate, limits, file=file)


def test_members_per_tier_before_and_after(published: Settings, tmp_path: Path) -> None:
    found = simulated(published, program(tmp_path))
    assert found.as_of_date == AS_OF
    # Nobody goes down on the first day: 2 keeps the third tier and 3 the second, 6 the first.
    assert [(one.level, one.before, one.after, one.earned) for one in found.tiers] == [
        (0, 3, 0, 2),
        (1, 1, 3, 2),
        (2, 1, 1, 1),
        (3, 1, 2, 1),
    ]
    # 2 and 3 fall by one at the end of theirs; 6 stays: nothing is below the lowest.
    assert (found.ups, found.later_downs) == (3, 2)
    top = found.tiers[3]
    assert (top.amount, top.orders) == (Decimal("5400.00"), 2)
    # 60 % of the turnover at a tenth off; gifts 8 x 5 %, 3 x 20 % x 60 % and 12 x 10 % x 40 %.
    assert top.discount_cost == Decimal("324.00")
    assert top.benefit_cost == Decimal("2.48")
    assert (top.margin, top.breaks_even) == (Decimal("1620.00"), True)
    assert found.cost == top.discount_cost + top.benefit_cost
    # 4 misses a fen for the second tier; 3, in the second with nothing bought, misses all.
    assert [one.near for one in found.tiers] == [0, 1, 0, 0]


def test_orders_that_finish_count_on_the_shops_day(published: Settings, tmp_path: Path) -> None:
    orders = program(
        tmp_path,
        ("measure: amount", "measure: orders"),
        ("counts_from: paid", "counts_from: finished"),
        ("members: buyers", "members: enrolled"),
        ("threshold: 0.01", "threshold: 0"),
        ("threshold: 1000.00", "threshold: 1"),
        ("threshold: 3000.00", "threshold: 2"),
    )
    found = simulated(published, orders)
    # 1 and 3 have one order each that finished inside; 2 finished a second too early, 5 a second
    # too late; 4 is not enrolled.
    assert [(one.level, one.earned) for one in found.tiers] == [(0, 1), (1, 4), (2, 2), (3, 0)]


def test_a_first_tier_for_nothing_is_that_of_whoever_ever_bought(
    published: Settings, tmp_path: Path
) -> None:
    free = program(tmp_path, ("threshold: 0.01", "threshold: 0"))
    found = simulated(published, free)
    # 3 bought before the window; 6's order is not valid and 7 never bought.
    assert [(one.level, one.earned) for one in found.tiers] == [(0, 1), (1, 3), (2, 1), (3, 1)]


TWO_TIERS = PROGRAM[: PROGRAM.index("  - level: 3")] + PROGRAM[PROGRAM.index("benefits:\n  - ") :]


def test_a_program_without_a_level_that_members_have_is_refused(
    published: Settings, tmp_path: Path
) -> None:
    candidate = program(tmp_path, (PROGRAM, TWO_TIERS))
    with pytest.raises(
        ConfigError, match="ends with level 2 and 1 of the members have level 3"
    ) as no:
        simulated(published, candidate)
    line = TWO_TIERS.splitlines().index("  - level: 1") + 1
    assert no.value.where == f"{tmp_path / 'first.yml'}:{line}"


def test_of_two_tiers_the_higher_one_is_the_top(published: Settings, tmp_path: Path) -> None:
    with duckdb.connect(str(published.published_dir / "current.duckdb")) as connection:
        connection.execute("update mart_member_tiers set tier_level = 2 where tier_level = 3")
    candidate = program(tmp_path, (PROGRAM, TWO_TIERS))
    [finding] = lint(candidate, simulated(published, candidate), LIMITS)
    assert finding.message.startswith("2 of 4 members reach the top tiers")


def test_the_first_step_counts_where_the_first_tier_costs_something(
    published: Settings, tmp_path: Path
) -> None:
    for first, checks in (("1.00", []), ("1.01", ["step_ratio"]), ("333.34", [])):
        candidate = program(tmp_path, ("threshold: 0.01", f"threshold: {first}"))
        relaxed = {**LIMITS, "top_tiers_share": Decimal(1)}
        found = lint(candidate, simulated(published, candidate, relaxed), relaxed)
        assert [one.check for one in found if one.check == "step_ratio"] == checks


def test_the_gate_and_the_lint_share_a_limit() -> None:
    suite = PROJECT_ROOT / "expectations" / "marts" / "mart_member_tiers.yml"
    queries = [
        expectation["kwargs"]["unexpected_rows_query"]
        for expectation in yaml.safe_load(suite.read_text(encoding="utf-8"))["expectations"]
        if "is_top_tier" in expectation["kwargs"].get("unexpected_rows_query", "")
    ]
    assert len(queries) == 1
    assert f"> {LIMITS['top_tiers_share']} * count(*)" in queries[0]


def test_lint_says_what_is_unwise(published: Settings, tmp_path: Path) -> None:
    candidate = program(tmp_path, ("threshold: 3000.00", "threshold: 3000.01"), ("0.30", "0.01"))
    found = lint(candidate, simulated(published, candidate), LIMITS)
    assert [one.check for one in found] == ["step_ratio", "break_even", "break_even"]
    assert "3.0 times" in found[0].message
    assert ["高级会员 costs" in found[1].message, "VIP会员 costs" in found[2].message] == [True] * 2
    few = program(tmp_path, ("threshold: 3000.00", "threshold: 1500.00"))
    checks = [one.check for one in lint(few, simulated(published, few), LIMITS)]
    assert checks == ["top_tiers_share"], "two of four members in the top tier"


def test_a_sound_program_has_no_finding(published: Settings, tmp_path: Path) -> None:
    sound = program(tmp_path, ("threshold: 3000.00", "threshold: 3000.00"))
    assert [one.check for one in lint(sound, simulated(published, sound), LIMITS)] == [
        "top_tiers_share"
    ]
    relaxed = {**LIMITS, "top_tiers_share": Decimal("0.25")}
    assert lint(sound, simulated(published, sound, relaxed), relaxed) == []


def test_thresholds_are_suggested_in_round_numbers(published: Settings, tmp_path: Path) -> None:
    found = simulated(published, program(tmp_path))
    assert found.suggested == (Decimal(3000),) * 3


def test_nothing_is_simulated_before_something_is_published(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="nothing is published"):
        simulated(Settings(data_dir=tmp_path), program(tmp_path))
