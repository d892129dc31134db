"""Rules of points, the catalogue, and the outlet at which a member takes a gift."""

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID
from zoneinfo import ZoneInfo

import duckdb
import pytest
import yaml

from regulars.errors import ConfigError, StateError
from regulars.keys import shop_key
from regulars.loyalty import check_begun_rules, load_point_rules, redeeming, telling
from regulars.loyalty.points import PointRule
from regulars.loyalty.redeeming import Account, find_account, redeem, rule_in_force
from regulars.settings import Settings
from regulars.state import PointRedemption, StateStore
from regulars.warehouse.read import query_published
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


def test_what_a_rule_earns_stays_once_it_has_begun(tmp_path: Path) -> None:
    known = [rule.warehouse_row() for rule in write(tmp_path)]
    begun, before = date(2017, 10, 1), date(2017, 9, 30)

    def check(last: date | None) -> None:
        check_begun_rules(tmp_path, load_point_rules(tmp_path, BRANDS), known, last)

    for old, new, line in (
        ("valid_from: 2017-10-01", "valid_from: 2017-10-02", 3),
        ("earns: by_orders", "earns: delivered", 5),
        ("points_per_unit: 1", "points_per_unit: 1.01", 7),
        ("valid_days: 365", "valid_days: 366", 8),
    ):
        write(tmp_path, POINTS.replace(old, new, 1))
        check(None)
        check(before)
        with pytest.raises(ConfigError, match="has begun with") as caught:
            check(begun)
        assert caught.value.where == f"{tmp_path / 'points' / 'base.yml'}:{line}"
    # Worth and catalogue are today's.
    write(tmp_path, POINTS.replace("point_value: 0.01", "point_value: 0.02").replace("500", "400"))
    check(begun)
    write(tmp_path, POINTS.replace("rule: base", "rule: next").replace("10-01", "10-02", 1), "next")
    check(begun)
    with pytest.raises(ConfigError, match="begin after it"):
        check(date(2017, 10, 2))
    (tmp_path / "points" / "base.yml").unlink()
    with pytest.raises(ConfigError, match="base of demo has begun and is gone"):
        check(begun)
    # A brand's first rule may begin whenever it likes: nobody has been told of points.
    known.clear()
    check(date(2018, 1, 1))


@pytest.fixture
def state(tmp_path: Path) -> StateStore:
    return StateStore(f"sqlite:///{tmp_path / 'state.db'}")


def take(state: StateStore, rules: tuple[PointRule, ...], gift: str, **changes) -> bool:
    told = {"balance": 900, "level": 2, "day": DAY, **changes}
    account = Account(
        "demo", MEMBER, UUID(int=101), (UUID(int=101),), told["balance"], told["level"], DAY
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


def test_what_the_shops_own_ledger_takes_is_not_taken_here(
    state: StateStore, tmp_path: Path
) -> None:
    rules = write(tmp_path, POINTS.replace("earns: by_orders", "earns: delivered"))
    with pytest.raises(ConfigError, match="own ledger"):
        take(state, rules, "bag")
    assert state.redemptions.find("bag") is None


ASKING, OTHER = shop_key("demo", "taobao", "grocer", "O'Neil"), UUID(int=1)
LAPSES = datetime(2018, 7, 1, 16, tzinfo=UTC)
"""The end of the day after the publication, in Shanghai."""


@pytest.fixture
def published(tmp_path: Path) -> Settings:
    """As of 2018-06-30: 570 points, 40 of which lapse a day later, and 30 owed; two zones."""
    zones = {"grocer": "Asia/Shanghai", "baker": "America/Los_Angeles"}
    [shop] = SHOPS.model_dump(mode="json")["shops"]
    listed = {
        "brands": SHOPS.model_dump(mode="json")["brands"],
        "shops": [{**shop, "shop": name, "zone": zone} for name, zone in zones.items()],
    }
    write(tmp_path)
    (tmp_path / "shops.yml").write_text(yaml.safe_dump(listed), encoding="utf-8")
    settings = Settings(data_dir=tmp_path, config_dir=tmp_path, state_url="", clock_url="")
    settings.published_dir.mkdir(parents=True)
    with duckdb.connect(str(settings.published_dir / "current.duckdb")) as connection:
        connection.execute(
            f"""
            create table mart_publication as select date '2018-06-30' as as_of_date;
            create table dim_customers as
            select uuid '{ASKING}' as customer_key,
                'taobao' as platform, 'grocer' as shop, 'O''Neil' as buyer_id;
            create table dim_member_identities as
            select * from (values (uuid '{ASKING}', uuid '{MEMBER}'), ('{OTHER}', '{MEMBER}'))
                as rows (customer_key, member_key);
            create table fct_point_lots as
            select * from (values
                (uuid '{MEMBER}', timestamp '2018-07-01 16:00:00', 40, 0),
                ('{MEMBER}', '2018-06-30 16:00:00', 7, 0),
                ('{MEMBER}', '2019-07-01 16:00:00', 500, 0),
                ('{MEMBER}', null, 30, 0),
                ('{MEMBER}', null, 0, 30),
                ('{UUID(int=2)}', null, 999, 0)
            ) as rows (member_key, closes_at, remaining_count, debt_count);
            create table mart_member_tiers (member_key uuid, tier_level integer);
            """
        )
    return settings


def test_an_account_is_found_by_the_buyer_at_the_shop(published: Settings) -> None:
    def account(now: datetime) -> Account:
        return find_account(published, SHOPS, "grocer", "O'Neil", now)

    keys = (OTHER, ASKING)
    before = account(LAPSES - timedelta(seconds=1))
    assert before == Account("demo", MEMBER, ASKING, keys, 540, 0, date(2018, 6, 30))
    # What has lapsed since the publication buys nothing, in whatever zone the instant is told.
    assert account(LAPSES.astimezone(ZoneInfo("Asia/Tokyo"))).balance == 500
    with pytest.raises(StateError, match="no such buyer") as caught:
        find_account(published, SHOPS, "grocer", "nobody-4711", LAPSES)
    assert "4711" not in str(caught.value)


def test_what_was_taken_since_the_brands_day_ended_is_taken_off(
    published: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The day of the brand ends with its western shop's.
    ended = datetime(2018, 7, 1, 7, tzinfo=UTC)
    state = StateStore(published.resolved_state_url)
    for number, at in enumerate((ended - timedelta(seconds=1), ended)):
        told = PointRedemption(
            f"r{number}", "demo", MEMBER, OTHER, "pen", 40, "base", at, "test",
        )  # fmt: skip
        terms = {"customer_keys": [], "available": 40, "stock": None, "since": at}
        assert state.redemptions.redeem(told, **terms)
    asked = []
    monkeypatch.setattr(
        redeeming,
        "query_published",
        lambda *given: asked.append(given) or query_published(*given),
    )
    for now, request, taken in (
        (LAPSES, "late", "460 are available"),
        (LAPSES - timedelta(seconds=1), "in time", "bag: taken"),
        (LAPSES - timedelta(seconds=1), "again", "0 are available"),
    ):
        monkeypatch.setattr(
            telling, "clock_for", lambda _, now=now: SimpleNamespace(now=lambda: now)
        )
        try:
            told = telling.redeem_gift(published, "grocer", "O'Neil", "bag", request)
        except StateError as error:
            told = error.what
        assert told.endswith(taken)
    # The pointer may move between two reads: balance and date come out of one.
    assert len(asked) == 3
