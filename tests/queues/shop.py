"""A shop with campaigns, caps and hours, for tests of the exit."""

import json
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from regulars.queues import Campaign, Cap, ExportRules, SendingHours

NIGHT = datetime(2017, 10, 1, 18, tzinfo=UTC)
"""02:00 in Shanghai after the first of October: when its night runs."""

HOURS = SendingHours(marketing_opens="08:00", marketing_closes="21:00", slots=("10:00", "17:00"))
ZONES = {"grocer": ZoneInfo("Asia/Shanghai")}

SMS_DAY = Cap("marketing", "sms", 24, 1)
SMS_WEEK = Cap("marketing", "sms", 7 * 24, 2)
SMS_MONTH = Cap("marketing", "sms", 30 * 24, 4)
EMAIL_HOURS = Cap("marketing", "email", 16, 1)
EMAIL_WEEK = Cap("marketing", "email", 7 * 24, 3)
EVERY_WEEK = Cap("marketing", "all", 7 * 24, 4)
CAPS = (SMS_DAY, SMS_WEEK, SMS_MONTH, EMAIL_HOURS, EMAIL_WEEK, EVERY_WEEK)


def campaign(code: str = "gift", **changes: Any) -> Campaign:
    values: dict[str, Any] = {
        "campaign": code,
        "name": code,
        "kind": "triggered",
        "channel": "sms",
        "purpose": "marketing",
        "audience": code,
        "salt": code,
        "holdout_share": "0.1",
        "start_date": "2017-10-01",
        "end_date": "2018-09-30",
        "send_at_local": "10:00",
        "trigger_day": 30,
        "catch_up_days": 3,
        "cooldown_days": 3,
        "coupon_code": "MONTH5",
        "coupon_amount": "5.00",
        "priority": 20,
        "template": code,
        "monitor_days": 15,
        "is_active": True,
        "brand": "demo",
        **changes,
    }
    return Campaign.model_validate(values)


def rules(*campaigns: Campaign, **changes: Any) -> ExportRules:
    values: dict[str, Any] = {
        "campaigns": campaigns or (campaign(),),
        "zones": ZONES,
        "hours": HOURS,
        "caps": CAPS,
        **changes,
    }
    return ExportRules(**values)


def shanghai(day: int, clock: str) -> datetime:
    """A moment of October 2017 on the shop's wall."""
    moment = datetime.combine(datetime(2017, 10, day).date(), time.fromisoformat(clock))  # noqa: DTZ001
    return moment.replace(tzinfo=ZoneInfo("Asia/Shanghai")).astimezone(UTC)


def queued(folder: Path) -> list[dict[str, Any]]:
    """Every row of every queue file that a sender would take."""
    rows = []
    for manifest in sorted(folder.rglob("*.manifest.json")):
        data = manifest.with_name(json.loads(manifest.read_bytes())["file"])
        rows += [json.loads(line) for line in data.read_bytes().splitlines()]
    return rows


def queued_members(folder: Path) -> list[int]:
    """Numbers of the members with a message in the queue files."""
    return sorted(int(row["contact_ref"].removeprefix("tok_")) for row in queued(folder))
