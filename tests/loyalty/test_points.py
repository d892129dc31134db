"""Rules of points, the catalogue, and the outlet at which a member takes a gift."""

import re
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import duckdb
import pytest

from regulars.errors import ConfigError, StateError
from regulars.loyalty import load_point_rules
from regulars.loyalty.points import PointRule
from regulars.loyalty.redeeming import Account, find_account, redeem, rule_in_force
from regulars.settings import Settings
from regulars.state import StateStore
from tests.loyalty.files import POINTS
from tests.loyalty.test_simulation import SHOPS

BRANDS = {"demo": "CNY"}
DAY = date(2017, 12, 31)
NOW = datetime(2017, 12, 31, 2, tzinfo=UTC)
MEMBER = UUID(int=1)


def write(folder: Path, text: str = POINTS, name: str = "base") -> tuple[PointRule, ...]:
    (folder / "points").mkdir(exist_ok=True)
    (folder / "points" / f"{name}.yml").write_text(text, encoding="utf-8")
    return load_point_rules(folder, BRANDS)


@pytest.mark.parametrize(
    ("old", "new", "complaint", "line"),
    [
        ("points_per_unit: 1", "point_per_unit: 1", "points_per_unit", 1),
        ("earns: by_orders", "earns: by_mood", "earns", 5),
        ("expiry: computed", "expiry: booked", "nobody would book", 1),
        ("points_per_unit: 1", "points_per_unit: -1", "points_per_unit", 7),
        ("valid_days: 365", "valid_days: 0", "valid_days", 8),
        ("redemption_rate: 0.80", "redemption_rate: 1.80", "redemption_rate", 10),
        ("currency: CNY", "currency: USD", "base currency, CNY", 4),
        ("brand: demo", "brand: nobody", "no such brand", 2),
        ("rule: base", "rule: other", "the file is called base", 1),
        ("gift: cup", "gift: bag", "bag is listed twice", 21),
        ("points: 900", "points: 0", "points", 23),
        ("valid_to: 2017-12-31", "valid_to: 2017-09-30", "valid_to lies before", 21),
    ],
)
def test_a_wrong_entry_is_named_with_file_and_line(
    tmp_path: Path, old: str, new: str, complaint: str, line: int
) -> None:
    assert old in POINTS
    with pytest.raises(ConfigError) as caught:
        write(tmp_path, POINTS.replace(old, new, 1))
    assert complaint in caught.value.what
    place = re.fullmatch(r".*/base\.yml:(\d+)", caught.value.where)
    assert place is not None
    assert int(place[1]) == line


def test_rules_follow_each_other_and_the_last_one_begun_is_in_force(tmp_path: Path) -> None:
    write(tmp_path)
    second = POINTS.replace("rule: base", "rule: next")
    with pytest.raises(ConfigError, match="base begins on the same day"):
        write(tmp_path, second, "next")
    rules = write(tmp_path, second.replace("2017-10-01", "2018-01-01", 1), "next")
    assert rule_in_force(rules, "demo", date(2017, 12, 31)).rule == "base"
    assert rule_in_force(rules, "demo", date(2018, 1, 1)).rule == "next"
    with pytest.raises(ConfigError, match="no rule of points"):
        rule_in_force(rules, "demo", date(2017, 9, 30))


@pytest.fixture
def state(tmp_path: Path) -> StateStore:
    return StateStore(f"sqlite:///{tmp_path / 'state.db'}")


def take(state: StateStore, rules: tuple[PointRule, ...], gift: str, **changes) -> bool:
    told = {"balance": 900, "level": 2, "day": DAY, **changes}
    account = Account(
        "demo", MEMBER, UUID(int=101), (UUID(int=101),), told["balance"], told["level"]
    )
    return redeem(
        state, account, rules[0], gift,
        request_id=gift, since=NOW, today=told["day"], now=NOW,
    )  # fmt: skip


def test_a_gift_is_taken_to_the_last_point_and_day(state: StateStore, tmp_path: Path) -> None:
    rules = write(tmp_path)
    for refused, complaint in (
        ({"balance": 899}, "899 are available"),
        ({"level": 1}, "tier 2 and above"),
    ):
        with pytest.raises(StateError, match=complaint):
            take(state, rules, "cup", **refused)
    with pytest.raises(ConfigError, match="no gift 'cup' on 2018-01-01"):
        take(state, rules, "cup", day=date(2018, 1, 1))
    with pytest.raises(ConfigError, match="no gift 'hat'"):
        take(state, rules, "hat")
    assert state.redemptions.find("cup") is None
    assert take(state, rules, "cup") is True
    assert take(state, rules, "cup") is False
    kept = state.redemptions.find("cup")
    assert kept is not None
    assert (kept.point_count, kept.rule, kept.member_key) == (900, "base", MEMBER)


def test_an_account_is_found_by_the_buyer_at_the_shop(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    settings.published_dir.mkdir(parents=True)
    with duckdb.connect(str(settings.published_dir / "current.duckdb")) as connection:
        connection.execute(
            """
            create table dim_customers as
            select uuid '00000000-0000-0000-0000-000000000065' as customer_key,
                'taobao' as platform, 'grocer' as shop, 'O''Neil' as buyer_id;
            create table dim_member_identities as
            select * from (values
                (uuid '00000000-0000-0000-0000-000000000065',
                 uuid '00000000-0000-0000-0000-000000000001'),
                (uuid '00000000-0000-0000-0000-000000000066',
                 uuid '00000000-0000-0000-0000-000000000001')
            ) as rows (customer_key, member_key);
            create table mart_member_points as
            select uuid '00000000-0000-0000-0000-000000000001' as member_key, 70 as point_balance;
            create table mart_member_tiers (member_key uuid, tier_level integer);
            """
        )
    found = find_account(settings, SHOPS, "grocer", "O'Neil")
    assert found == Account("demo", MEMBER, UUID(int=101), (UUID(int=101), UUID(int=102)), 70, 0)
    with pytest.raises(StateError, match="no such buyer") as caught:
        find_account(settings, SHOPS, "grocer", "nobody-4711")
    assert "4711" not in str(caught.value)
