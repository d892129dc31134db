import re
import shutil
from datetime import date, time
from decimal import Decimal
from pathlib import Path

import pytest

from regulars.errors import ConfigError
from regulars.queues import load_campaigns, load_sending_hours, queue_models, read_caps
from regulars.queues.caps import Cap
from regulars.shops import load_shops
from regulars.warehouse.tables import CONFIG_TABLES

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "config"
MODELS = queue_models(ROOT / "dbt_project")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A copy of the shipped configuration that a test may spoil."""
    return Path(shutil.copytree(CONFIG, tmp_path / "config"))


def spoil(config: Path, name: str, old: str, new: str) -> None:
    path = config / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_shipped_campaigns_are_the_documented_two() -> None:
    brands = {brand.brand for brand in load_shops(CONFIG / "shops.yml").brands}
    gift, coupon = load_campaigns(CONFIG, brands, MODELS)
    assert (gift.campaign, gift.trigger_day, gift.catch_up_days) == ("first_month_gift", 30, 3)
    assert (coupon.campaign, coupon.trigger_day) == ("just_silent_coupon", None)
    for campaign in (gift, coupon):
        assert campaign.kind == "triggered"
        assert campaign.coupon_amount == Decimal("5.00")
        assert campaign.holdout_share == Decimal("0.1")
        assert campaign.salt == campaign.campaign


def test_the_warehouse_row_has_the_agreed_columns() -> None:
    row = load_campaigns(CONFIG, {"demo"}, MODELS)[0].warehouse_row()
    assert set(row) == {
        "campaign",
        "name",
        "kind",
        "channel",
        "purpose",
        "audience",
        "salt",
        "holdout_share",
        "start_date",
        "end_date",
        "send_at_local",
        "trigger_day",
        "catch_up_days",
        "cooldown_days",
        "coupon_code",
        "coupon_amount",
        "priority",
        "template",
        "monitor_days",
        "is_active",
        "brand",
    }
    assert row["send_at_local"] == "10:00"
    assert row["start_date"] == date(2017, 10, 1)


def test_every_number_of_a_shipped_campaign_says_why() -> None:
    for path in (CONFIG / "campaigns").glob("*.yml"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if re.match(r'\w+: ["\d]', line):
                assert re.search(r"# \S+.*: ", line), line


@pytest.mark.parametrize(
    ("old", "new", "field", "line"),
    [
        ("kind: triggered", "kind: sometimes", "kind", 5),
        ("holdout_share: 0.10", "holdout_share: 1.10", "holdout_share", 10),
        ('send_at_local: "10:00"', "send_at_local: 10:00", "send_at_local", 13),
        ("catch_up_days: 3", "catch_up_days: -1", "catch_up_days", 15),
        ("coupon_amount: 5.00", "coupon_amount: 5.001", "coupon_amount", 18),
        ("priority: 20", "prioritiy: 20", "priority", 1),
        ("brand: demo", "brand: nobody", "brand", 4),
        ("campaign: first_month_gift\n", "campaign: gift\n", "campaign", 2),
        ("template: first_month_gift", "template: missing", "template", 20),
        ("audience: first_month_gift", "audience: everybody", "audience", 8),
        ("end_date: 2018-09-30", "end_date: 2017-09-30", "end_date", 1),
        ("coupon_code: MONTH5", "coupon_code: null", "coupon_code", 1),
    ],
)
def test_a_wrong_entry_is_named_with_file_and_line(
    config: Path, old: str, new: str, field: str, line: int
) -> None:
    spoil(config, "campaigns/first_month_gift.yml", old, new)
    with pytest.raises(ConfigError) as caught:
        load_campaigns(config, {"demo"}, MODELS)
    assert field in caught.value.what
    place = re.fullmatch(r".*first_month_gift\.yml:(\d+)", caught.value.where)
    assert place is not None
    assert int(place[1]) == line


def test_a_text_that_may_not_be_sent_stops_the_campaign(config: Path) -> None:
    spoil(config, "templates/first_month_gift.txt", "拒收请回复R", "回T退订")
    with pytest.raises(ConfigError, match="拒收请回复R") as caught:
        load_campaigns(config, {"demo"}, MODELS)
    assert "first_month_gift.txt:1" in caught.value.where


def test_hours_are_read_in_the_shops_time(config: Path) -> None:
    hours = load_sending_hours(config)
    assert (hours.marketing_opens, hours.marketing_closes) == (time(8), time(21))
    assert hours.slots == (time(10), time(17))


@pytest.mark.parametrize("slots", ['["17:00", "10:00"]', '["10:00", "21:00"]', '["07:59"]', "[]"])
def test_slots_must_ascend_within_the_open_hours(config: Path, slots: str) -> None:
    spoil(config, "sending.yml", '["10:00", "17:00"]', slots)
    with pytest.raises(ConfigError, match="slot"):
        load_sending_hours(config)


def test_a_slot_may_be_the_first_open_minute(config: Path) -> None:
    spoil(config, "sending.yml", '["10:00", "17:00"]', '["08:00", "20:59"]')
    assert load_sending_hours(config).slots == (time(8), time(20, 59))


def test_caps_are_read_from_the_seed(tmp_path: Path) -> None:
    seed = tmp_path / "message_caps.csv"
    header = "purpose,channel,window_hours,max_messages,reason\n"
    seed.write_text(f"{header}marketing,sms,24,1,one a day\nmarketing,all,168,4,all\n")
    assert read_caps(seed) == (Cap("marketing", "sms", 24, 1), Cap("marketing", "all", 168, 4))
    seed.write_text(f"{header}marketing,sms,24,1,one a day\nmarketing,sms,a week,2,two\n")
    with pytest.raises(ConfigError, match=r"message_caps\.csv:3"):
        read_caps(seed)
    seed.write_text(header)
    with pytest.raises(ConfigError, match="nothing is sent without caps"):
        read_caps(seed)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_caps(tmp_path / "missing.csv")


def test_the_shipped_seed_holds_the_decided_caps() -> None:
    seed = CONFIG.parent / "dbt_project" / "seeds"
    (path,) = seed.rglob("message_caps.csv")
    caps = {(cap.channel, cap.window_hours): cap.max_messages for cap in read_caps(path)}
    assert caps == {
        ("sms", 24): 1,
        ("sms", 168): 2,
        ("sms", 720): 4,
        ("email", 16): 1,
        ("email", 168): 3,
        ("all", 168): 4,
    }


def test_models_plan_by_the_hours_that_the_exit_keeps(config: Path) -> None:
    """One file says it: config/sending.yml, which the warehouse gets as a table."""
    spoil(config, "sending.yml", 'marketing_closes: "21:00"', 'marketing_closes: "20:30"')
    spoil(config, "sending.yml", '["10:00", "17:00"]', '["09:30", "17:00"]')
    row = load_sending_hours(config).warehouse_row()
    assert row == {"opens": "08:00", "closes": "20:30", "first_slot": "09:30"}
    assert set(row) == set(CONFIG_TABLES["sending_hours"])
