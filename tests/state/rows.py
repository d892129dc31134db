"""Proposals as the activation models make them, for tests of state and queues."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from regulars.state import PointRedemption, TierGrant, message_id_of

DAY = date(2017, 10, 1)
PLANNED = datetime(2017, 10, 2, 2, tzinfo=UTC)
"""10:00 in Shanghai on the day after."""
EXPIRES = datetime(2017, 10, 5, 16, tzinfo=UTC)
"""The end of the fifth in Shanghai: three days later it is too late."""


class ManualClock:
    """A clock that only tests move."""

    def __init__(self, now: datetime = datetime(2026, 11, 1, tzinfo=UTC)) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **amount: float) -> None:
        self.now += timedelta(**amount)


def member(number: int) -> UUID:
    return UUID(int=number)


def proposal(number: int, **changes: Any) -> dict[str, Any]:
    """A message to member ``number``; ``changes`` replace columns, the message id follows."""
    row: dict[str, Any] = {
        "campaign": "gift",
        "brand": "demo",
        "platform": "taobao",
        "shop": "grocer",
        "member_key": member(number),
        "customer_key": UUID(int=number + 10**6),
        "channel": "sms",
        "purpose": "marketing",
        "occasion": "2017-09-01",
        "outcome": "send",
        "arm": "treatment",
        "reason": None,
        "is_final": True,
        "bucket": 5000,
        "planned_at": PLANNED.replace(tzinfo=None),
        "contact_ref": f"tok_{number}",
        "contact_hash": f"hash_{number}",
        "coupon_code": "MONTH5",
        "coupon_amount": "5.00",
        "template": "gift",
        "expires_at": EXPIRES.replace(tzinfo=None),
        "as_of_date": DAY,
        **changes,
    }
    row.setdefault(
        "message_id",
        message_id_of(row["campaign"], row["member_key"], row["channel"], row["occasion"]),
    )
    return row


def held_out(number: int, **changes: Any) -> dict[str, Any]:
    return proposal(number, **{"outcome": "holdout", "arm": "holdout", "bucket": 3, **changes})


def suppressed(number: int, reason: str = "refused", **changes: Any) -> dict[str, Any]:
    return proposal(number, **{"outcome": "suppressed", "arm": None, "reason": reason, **changes})


def grant(number: int, **changes: Any) -> TierGrant:
    """A tier given to member ``number``; ``changes`` replace columns."""
    values: dict[str, Any] = {
        "grant_id": f"grant-{number}",
        "run_id": "night-20171001",
        "brand": "demo",
        "member_key": member(number),
        "customer_key": UUID(int=number + 10**6),
        "program": "first",
        "tier": "senior",
        "level": 2,
        "previous_level": 0,
        "reason": "upgrade",
        "decided_on": DAY,
        "valid_until": DAY + timedelta(days=364),
        "evidence": "mart_member_tiers of night-20171001",
        **changes,
    }
    return TierGrant(**values)


def redemption(number: int, **changes: Any) -> PointRedemption:
    """A gift of 50 points taken by member ``number``; ``changes`` replace columns."""
    values: dict[str, Any] = {
        "redemption_id": f"request-{number}",
        "brand": "demo",
        "member_key": member(number),
        "customer_key": UUID(int=number + 10**6),
        "gift": "bag",
        "point_count": 50,
        "rule": "base",
        "redeemed_at": PLANNED,
        "evidence": "counter",
        **changes,
    }
    return PointRedemption(**values)
