"""Tiers and points night by night: the sum of the nights is one rebuild, and nobody falls early."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.dbt.nights import Warehouse, differences, utc
from tests.dbt.project import Project, open_pair
from tests.dbt.shop_story import Batch, Night, Record

pytestmark = pytest.mark.slow

WITHOUT_QUEUES = ("--exclude", "tag:activation")
CONFIG = """
    delete from config.tier_levels;
    insert into config.tier_levels by name
    select
        'b' as brand, 'p1' as program, date '2017-01-01' as valid_from, 'buyers' as members,
        'amount' as measure, 'CNY' as currency, 'paid' as counts_from, 2 as window_days,
        2 as validity_days, level, tier, tier as tier_name, threshold,
        1000 - 50 * level as discount_permille
    from (values (1, 'one', 1.00), (2, 'two', 100.00), (3, 'three', 300.00))
        as levels (level, tier, threshold);
    delete from config.point_rules;
    insert into config.point_rules by name
    select
        'b' as brand, 'base' as rule, date '2017-01-01' as valid_from, 'CNY' as currency,
        'by_orders' as earns, 'computed' as expiry, 1.00 as points_per_unit, 2 as valid_days,
        0.01 as point_value, 0.8 as redemption_rate, 1 as expiring_days, '1:1' as text,
        2 as gift_max_orders;
    delete from config.gifts;
    insert into config.gifts by name
    select 'b' as brand, 'base' as rule, 'bag' as gift, 'bag' as name, 20 as points,
        1.00 as cost_amount, date '2017-01-01' as valid_from, 0 as min_level;
"""
GRANT = """
    insert into raw.state__tier_grants by name
    select
        row_number() over (order by grant_id)
        + (select count(*) from raw.state__tier_grants) as seq,
        grant_id, brand, member_key, customer_key, program, tier, tier_level as level,
        previous_level, grant_reason as reason, granted_date as decided_on,
        valid_until_date as valid_until
    from marts.mart_member_tiers
    where is_granted_tonight
"""
REDEEM = """
    insert into raw.state__point_redemptions by name
    select
        1 as seq, 'r1' as redemption_id, 'b' as brand, identities.member_key,
        identities.customer_key, 'bag' as gift, 20 as point_count, 'base' as rule,
        timestamp '2017-10-02 02:00:00' as redeemed_at
    from marts.dim_member_identities as identities
    inner join marts.dim_customers as customers
        on identities.customer_key = customers.customer_key
    where customers.buyer_id = 'u1'
"""
# Recorded a day after it was taken.
REDEEM_LATE = (
    REDEEM.replace("1 as seq, 'r1'", "2 as seq, 'r2'")
    .replace("2017-10-02", "2017-10-01")
    .replace("'u1'", "'u2'")
)


def _trade(tid: str, buyer: str, day: int, payment: str, modified: str | None = None) -> Record:
    """A trade that was paid and succeeded on a day of October, at the shop."""
    return {
        "tid": tid, "buyer_open_uid": buyer, "created": f"2017-10-0{day} 08:00:00",
        "modified": modified or f"2017-10-0{day} 11:00:00", "payment": payment,
        "total_fee": payment, "post_fee": "0.00", "status": "TRADE_FINISHED",
        "pay_time": f"2017-10-0{day} 09:00:00", "end_time": f"2017-10-0{day} 10:00:00",
        "orders": [{"oid": f"{tid}0", "num_iid": "i1", "price": payment, "num": "1",
                    "payment": payment, "divide_order_fee": payment}],
    }  # fmt: skip


def _entry(entry: str, buyer: str, points: int, at: str) -> Record:
    return {
        "entry_id": entry, "buyer_id": buyer, "kind": "reward" if points > 0 else "redeem",
        "points": str(points), "occurred_at": at,
    }  # fmt: skip


# Bought a year before, and given back in the last night.
OLD = {
    **_trade("0", "u1", 1, "80.00"), "created": "2016-09-01 08:00:00",
    "modified": "2016-09-01 11:00:00", "pay_time": "2016-09-01 09:00:00",
    "end_time": "2016-09-01 10:00:00",
}  # fmt: skip
OLD_REFUND = {
    "refund_id": "r0", "tid": "0", "oid": "00", "buyer_open_uid": "u1", "refund_fee": "80.00",
    "created": "2017-10-05 08:00:00", "modified": "2017-10-05 09:00:00", "status": "SUCCESS",
    "has_good_return": "true", "reason": "late",
}  # fmt: skip
# The same buyer in another currency, later on the same day.
DOLLARS = {
    "order_id": "5", "buyer_id": "u3", "status": "paid", "created_at": "2017-10-04T02:00:00Z",
    "paid_at": "2017-10-04T03:00:00Z", "paid_amount": "30.00", "currency": "USD",
}  # fmt: skip


def _night(day: int, *batches: Batch) -> Night:
    ends = {
        "east": utc(2017, 10, day, 16),
        "west": utc(2017, 10, day, 16),
    }
    return Night(date(2017, 10, day), ends, list(batches))


NIGHTS = [
    _night(
        1,
        Batch("a1", "taobao_top", "orders", "east", [
            _trade("1", "u1", 1, "350.00"), _trade("2", "u2", 1, "99.99"),
            _trade("3", "u3", 1, "5.00"), OLD,
        ]),
        Batch("a2", "file", "points", "east", [
            _entry("e1", "u2", 7, "2017-10-01T01:00:00Z"),
            # Dropped a day before it counts.
            _entry("e2", "u3", 9, "2017-10-02T01:00:00Z"),
        ]),
    ),
    # An order moves to another buyer, an entry is somebody else's, and u1 takes a gift.
    _night(
        2,
        Batch("b1", "taobao_top", "orders", "east", [
            _trade("3", "u2", 1, "5.00", modified="2017-10-02 11:00:00"),
        ]),
        Batch("b2", "file", "points", "east", [_entry("e1", "u3", 7, "2017-10-01T01:00:00Z")]),
    ),
    # Nothing lands: what was bought leaves the window, a tier ends, points lapse.
    _night(3),
    _night(
        4,
        Batch("d1", "taobao_top", "orders", "east", [_trade("4", "u3", 4, "120.00")]),
        Batch("d2", "file", "orders", "east", [DOLLARS]),
    ),
    # What u1 bought on the third lands late: it counts until the fourth, on which nobody knew.
    _night(
        5,
        Batch("e1", "taobao_top", "refunds", "east", [OLD_REFUND]),
        Batch("e2", "taobao_top", "orders", "east", [
            _trade("6", "u1", 3, "350.00", modified="2017-10-05 11:00:00"),
        ]),
    ),
]  # fmt: skip
TIERS = """
    select customers.buyer_id, tiers.tier_level, tiers.grant_reason, tiers.is_granted_tonight
    from marts.mart_member_tiers as tiers
    inner join marts.dim_customers as customers
        on tiers.customer_key = customers.customer_key
    order by all
"""
POINTS = """
    select customers.buyer_id, points.point_balance, points.redeemed_count, points.expired_count
    from marts.mart_member_points as points
    inner join marts.dim_member_identities as identities
        on points.member_key = identities.member_key
    inner join marts.dim_customers as customers
        on identities.customer_key = customers.customer_key
    order by all
"""

STANDINGS = """
    select customers.buyer_id, lifecycle.cell_code, rfm.currency, rfm.lifetime_net_amount,
        rfm.other_currency_order_count
    from marts.mart_member_rfm as rfm
    inner join marts.mart_member_lifecycle as lifecycle
        on rfm.member_key = lifecycle.member_key
    inner join marts.dim_member_identities as identities
        on rfm.member_key = identities.member_key
    inner join marts.dim_customers as customers
        on identities.customer_key = customers.customer_key
    order by all
"""


def _ask(warehouse: Warehouse, query: str) -> list[tuple[Any, ...]]:
    with open_pair(warehouse.directory) as connection:
        return connection.execute(query).fetchall()


def test_tiers_and_points_by_nights_are_those_of_a_rebuild(
    project: Project, tmp_path: Path
) -> None:
    nightly = Warehouse(project, tmp_path / "nightly")
    rebuilt = Warehouse(project, tmp_path / "rebuilt")
    for warehouse in (nightly, rebuilt):
        warehouse.prepare()
        with open_pair(warehouse.directory) as connection:
            connection.execute(CONFIG)
    tiers, points, standings = [], [], []
    for number, night in enumerate(NIGHTS):
        nightly.land(night)
        rebuilt.land(night)
        nightly.build(night, *WITHOUT_QUEUES, run_id=f"night-{number}")
        tiers.append(_ask(nightly, TIERS))
        points.append(_ask(nightly, POINTS))
        standings.append(_ask(nightly, STANDINGS))
        nightly.consume(night)
        if night is NIGHTS[-1]:
            break
        with open_pair(nightly.directory) as connection:
            connection.execute(GRANT)
            if number < 2:
                connection.execute((REDEEM, REDEEM_LATE)[number])
    with open_pair(rebuilt.directory) as connection:
        connection.execute(
            f"attach '{nightly.directory / 'warehouse.duckdb'}' as source (read_only)"
        )
        for stream in ("state__tier_grants", "state__point_redemptions"):
            connection.execute(f"insert into raw.{stream} select * from source.raw.{stream}")
    rebuilt.build(NIGHTS[-1], *WITHOUT_QUEUES, run_id="rebuild")
    assert differences(nightly.marts(), rebuilt.marts()) == ""
    assert tiers == [
        [("u1", 3, "upgrade", True), ("u2", 1, "upgrade", True), ("u3", 1, "upgrade", True)],
        # The order of u3 is u2's now: 104.99 reach the second tier. The ledger still names u3, who
        # keeps what was given: the lowest tier has no last day.
        [("u1", 3, "upgrade", False), ("u2", 2, "upgrade", True), ("u3", 1, "upgrade", False)],
        # Two days were given to u1, and nothing counts any more: one level, no more.
        [
            ("u1", 2, "downgrade_at_expiry", True),
            ("u2", 2, "upgrade", False),
            ("u3", 1, "upgrade", False),
        ],
        [
            ("u1", 2, "downgrade_at_expiry", False),
            ("u2", 1, "downgrade_at_expiry", True),
            ("u3", 2, "upgrade", True),
        ],
        [
            ("u1", 3, "upgrade", True),
            ("u2", 1, "downgrade_at_expiry", False),
            ("u3", 2, "upgrade", False),
        ],
    ]
    assert points == [
        [("u1", 350, 0, 0), ("u2", 106, 0, 0), ("u3", 5, 0, 0)],
        # What succeeded on the first stands for two days; the reward has no end.
        # Of u3 the ledger alone speaks: seven that were u2's, and nine that count from the second.
        [("u1", 0, 20, 330), ("u2", 0, 0, 104), ("u3", 16, 0, 0)],
        [("u1", 0, 20, 330), ("u2", 0, 20, 84), ("u3", 16, 0, 0)],
        [("u1", 0, 20, 330), ("u2", 0, 20, 84), ("u3", 136, 0, 0)],
        [("u1", 0, 20, 680), ("u2", 0, 20, 84), ("u3", 16, 0, 120)],
    ]
    # Three members: one with a refund after a year, one whose order is another's, one whose money
    # becomes another currency's.
    assert [[(*row[:3], str(row[3]), row[4]) for row in night] for night in standings] == [
        [
            ("u1", "returning_active", "CNY", "430.00", 0),
            ("u2", "new_active", "CNY", "99.99", 0),
            ("u3", "new_active", "CNY", "5.00", 0),
        ],
        *[
            [
                ("u1", "returning_active", "CNY", "430.00", 0),
                ("u2", "returning_active", "CNY", "104.99", 0),
            ]
        ]
        * 2,
        [
            ("u1", "returning_active", "CNY", "430.00", 0),
            ("u2", "returning_active", "CNY", "104.99", 0),
            ("u3", "returning_active", "USD", "30.00", 1),
        ],
        [
            ("u1", "returning_active", "CNY", "700.00", 0),
            ("u2", "returning_active", "CNY", "104.99", 0),
            ("u3", "returning_active", "USD", "30.00", 1),
        ],
    ]
