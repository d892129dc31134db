"""Gifts for points: what the catalogue holds, and the outlet at which a member takes one.

A request is judged by what stands of the published points at its instant, less what was redeemed
since, and recorded in the same transaction; its id makes sure that asking twice takes once. Handing
the gift over, and telling a platform, is the shop's.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

from regulars.errors import ConfigError, StateError
from regulars.keys import shop_key
from regulars.loyalty.points import Gift, PointRule
from regulars.settings import Settings
from regulars.shops import Shop, ShopsFile
from regulars.state import PointRedemption, StateStore
from regulars.warehouse.read import query_published


@dataclass(frozen=True)
class Account:
    """A member's points, all of them out of one publication.

    Attributes:
        customer_key: the buyer who asks.
        customer_keys: all customers of the member.
        balance: points of the published business date that stand at the instant that was asked
            for, less what the member owes.
        level: tier level; 0 for none.
        as_of_date: the published business date.
    """

    brand: str
    member_key: UUID
    customer_key: UUID
    customer_keys: tuple[UUID, ...]
    balance: int
    level: int
    as_of_date: date


def find_account(
    settings: Settings, shops: ShopsFile, shop: str, buyer_id: str, now: datetime
) -> Account:
    """The account of a buyer at a shop.

    Args:
        settings: where the published marts are.
        shops: config/shops.yml.
        shop: code of the shop.
        buyer_id: the platform's id of the buyer.
        now: instant (aware) at which points have to stand: some lapse between two publications.

    Raises:
        ConfigError: there is no such shop.
        StateError: nobody published is that buyer; the id is not shown.
    """
    found = shops.shop(shop)
    buyer = buyer_id.replace("'", "''")
    instant = now.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")
    _, rows = query_published(
        settings,
        f"""
        select
            own.member_key, own.customer_key, coalesce(tiers.tier_level, 0), run.as_of_date,
            (
                select coalesce(sum(
                    case
                        when coalesce(lots.closes_at > timestamp '{instant}', true)
                            then lots.remaining_count
                        else 0
                    end
                    - lots.debt_count
                ), 0)
                from fct_point_lots as lots where lots.member_key = own.member_key
            ),
            (
                select list(every.customer_key order by every.customer_key)
                from dim_member_identities as every where every.member_key = own.member_key
            )
        from dim_customers as customers
        inner join dim_member_identities as own on customers.customer_key = own.customer_key
        cross join mart_publication as run
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
    member_key, customer_key, level, as_of_date, balance, keys = rows[0]
    return Account(
        brand=found.brand,
        member_key=member_key,
        customer_key=customer_key,
        customer_keys=tuple(keys),
        balance=int(balance),
        level=int(level),
        as_of_date=as_of_date,
    )


def was_honoured(state: StateStore, shop: Shop, buyer_id: str, gift: str, request_id: str) -> bool:
    """Whether this buyer got this gift for this request: what was given stays given.

    Asked before anything else: since then the gift may have left the catalogue, the tier may have
    fallen, and the points are gone.
    """
    known = state.redemptions.find(request_id)
    asking = shop_key(shop.brand, shop.platform, shop.shop, buyer_id)
    return known is not None and (known.customer_key, known.gift) == (asking, gift)


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
        ConfigError: the catalogue has no such gift today, or the shop's own ledger takes it.
        StateError: too few points, too low a tier, or none left; nothing was taken.
    """
    if rule.earns == "delivered":
        raise ConfigError(
            f"the shop's own ledger keeps the points of {rule.rule}, and would take them again",
            where=f"config/points/{rule.rule}.yml",
            next_step="nothing was taken; book the gift in that ledger, whose file brings it here",
        )
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
