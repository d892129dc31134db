"""Gifts for points: what the catalogue holds, and the outlet at which a member takes one.

A request is judged by the balance as published less what was redeemed since, and recorded in the
same transaction; its id makes sure that asking twice takes once. Handing the gift over, and telling
a platform, is the shop's.
"""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from regulars.errors import ConfigError, StateError
from regulars.loyalty.points import Gift, PointRule
from regulars.settings import Settings
from regulars.shops import ShopsFile
from regulars.state import PointRedemption, StateStore
from regulars.warehouse.read import query_published


@dataclass(frozen=True)
class Account:
    """A member's points as published.

    Attributes:
        customer_key: the buyer who asks.
        customer_keys: all customers of the member.
        balance: points at the end of the published business date.
        level: tier level; 0 for none.
    """

    brand: str
    member_key: UUID
    customer_key: UUID
    customer_keys: tuple[UUID, ...]
    balance: int
    level: int


def find_account(settings: Settings, shops: ShopsFile, shop: str, buyer_id: str) -> Account:
    """The account of a buyer at a shop.

    Raises:
        ConfigError: there is no such shop.
        StateError: nobody published is that buyer; the id is not shown.
    """
    found = shops.shop(shop)
    buyer = buyer_id.replace("'", "''")
    _, rows = query_published(
        settings,
        f"""
        select
            own.member_key, own.customer_key,
            coalesce(points.point_balance, 0), coalesce(tiers.tier_level, 0),
            (
                select list(every.customer_key order by every.customer_key)
                from dim_member_identities as every where every.member_key = own.member_key
            )
        from dim_customers as customers
        inner join dim_member_identities as own on customers.customer_key = own.customer_key
        left join mart_member_points as points on own.member_key = points.member_key
        left join mart_member_tiers as tiers on own.member_key = tiers.member_key
        where
            customers.platform = '{found.platform}' and customers.shop = '{found.shop}'
            and customers.buyer_id = '{buyer}'
        """,
    )
    if not rows:
        raise StateError(
            "no such buyer has been published",
            where=f"shop {shop}",
            next_step="check the id; whoever is new is published by the next night",
        )
    member_key, customer_key, balance, level, keys = rows[0]
    return Account(found.brand, member_key, customer_key, tuple(keys), int(balance), int(level))


def rule_in_force(rules: tuple[PointRule, ...], brand: str, day: date) -> PointRule:
    """The brand's rule of points on a business date.

    Raises:
        ConfigError: the brand has none.
    """
    begun = [rule for rule in rules if rule.brand == brand and rule.valid_from <= day]
    if not begun:
        raise ConfigError(
            f"brand {brand} has no rule of points on {day}",
            where="config/points",
            next_step="write one; docs/how-to/run-tiers-and-points.md shows it",
        )
    return max(begun, key=lambda rule: rule.valid_from)


def redeem(
    state: StateStore,
    account: Account,
    rule: PointRule,
    gift_code: str,
    *,
    request_id: str,
    since: datetime,
    today: date,
    now: datetime,
) -> bool:
    """Take a gift for points; False when this request was honoured before.

    Args:
        state: recorded state.
        account: see :func:`find_account`.
        rule: the rule in force.
        gift_code: code in its catalogue.
        request_id: id of the request; no personal data.
        since: end of the business date that the balance is as of (aware).
        today: the shop's day.
        now: the present on the shops' clock (aware).

    Raises:
        ConfigError: the catalogue has no such gift today.
        StateError: too few points, too low a tier, or none left; nothing was taken.
    """
    gift = _gift_of(rule, gift_code, today)
    if account.level < gift.min_level:
        raise StateError(
            f"{gift.gift} is for tier {gift.min_level} and above",
            where=f"redemption {request_id}",
            next_step="nothing was taken; tell whoever asked",
        )
    return state.redemptions.redeem(
        PointRedemption(
            redemption_id=request_id,
            brand=account.brand,
            member_key=account.member_key,
            customer_key=account.customer_key,
            gift=gift.gift,
            point_count=gift.points,
            rule=rule.rule,
            redeemed_at=now,
            evidence="regulars points redeem",
        ),
        customer_keys=account.customer_keys,
        available=account.balance,
        stock=gift.stock,
        since=since,
    )


def _gift_of(rule: PointRule, code: str, today: date) -> Gift:
    for gift in rule.gifts:
        ends = gift.valid_to or date.max
        if gift.gift == code and gift.valid_from <= today <= ends:
            return gift
    known = ", ".join(gift.gift for gift in rule.gifts) or "none"
    raise ConfigError(
        f"the catalogue has no gift {code!r} on {today}",
        where=f"config/points/{rule.rule}.yml",
        next_step=f"ask for one of {known} within its days",
    )
