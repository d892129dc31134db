"""What a tier program would do to the members as published; nothing changes until it is applied.

The figures come from the published marts, so they can be had while a night runs. Rules of tiers are
the models'; what is worked out here is the same window over the same orders, and a test holds the
two together.
"""

import csv
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

from regulars.loyalty.tiers import Tier, TierProgram, wrong
from regulars.settings import Settings
from regulars.shops import ShopsFile
from regulars.warehouse.read import query_published

_FEN = Decimal("0.01")
_QUANTILES = ("0.80", "0.95", "0.99")


@dataclass(frozen=True)
class SimulatedTier:
    """One level under a candidate; level 0 is a buyer without a tier. Money in its currency.

    Attributes:
        before: members who have it now.
        after: members who would have it on the first day: nobody goes down.
        earned: members whose orders of the window reach it.
        near: of the members after, those that miss little for the next level.
        amount: net amount of the window of the members after.
        orders: their orders.
        discount_cost: what the tier's discount gives away of such a turnover.
        benefit_cost: what its benefits cost for as many orders, compensations included.
        margin: gross margin of the turnover before both.
    """

    level: int
    name: str
    before: int
    after: int
    earned: int
    near: int
    amount: Decimal
    orders: int
    discount_cost: Decimal
    benefit_cost: Decimal
    margin: Decimal

    @property
    def breaks_even(self) -> bool:
        """Whether the margin bears discount and benefits."""
        return self.margin >= self.discount_cost + self.benefit_cost


@dataclass(frozen=True)
class Simulation:
    """A candidate against the members as published.

    Attributes:
        tiers: by level, 0 first.
        ups: members who would rise on the first day.
        later_downs: members who would keep their level only until its last day; the lowest has
            none.
        suggested: rounded quantiles of what members reach, for thresholds of levels 2, 3 and 4.
    """

    program: str
    as_of_date: Any
    tiers: tuple[SimulatedTier, ...]
    ups: int
    later_downs: int
    suggested: tuple[Decimal, ...]

    @property
    def cost(self) -> Decimal:
        """Discounts and benefits of all tiers for a turnover like the window's."""
        return sum(
            (tier.discount_cost + tier.benefit_cost for tier in self.tiers), start=Decimal(0)
        )


@dataclass(frozen=True)
class Finding:
    """Something that the design of a program does not do well."""

    check: str
    message: str


def read_lint_limits(path: Path) -> dict[str, Decimal]:
    """Seed tier_lint: limit of each check."""
    with path.open(encoding="utf-8", newline="") as file:
        return {row["check"]: Decimal(row["value"]) for row in csv.DictReader(file)}


def simulate(
    settings: Settings,
    shops: ShopsFile,
    program: TierProgram,
    limits: dict[str, Decimal],
    *,
    file: Path,
) -> Simulation:
    """Apply ``program`` to the members as published.

    Args:
        settings: where the published marts are.
        shops: config/shops.yml, for the shops' days.
        program: the candidate; its first date is not looked at.
        limits: seed tier_lint.
        file: where the candidate was read from, for the error.

    Raises:
        ConfigError: members have a level that the candidate does not: they would go down.
        WarehouseError: nothing is published yet, or it was published before there were tiers.
    """
    _, [(as_of_date,)] = query_published(settings, "select as_of_date from mart_publication")
    with_levels = _members_sql(shops, program)
    near = limits["near_next_share"]
    _, rows = query_published(
        settings,
        f"""
        {with_levels}
        select
            level, count(*) as after_count,
            coalesce(sum(amount), 0) as amount, coalesce(sum(order_count), 0) as order_count,
            count(*) filter (
                where next_threshold is not null
                and next_threshold - measured <= {near} * next_threshold
            ) as near_count
        from judged group by level order by level
        """,
    )
    after = {row[0]: row for row in rows}
    _, counts = query_published(
        settings,
        f"""
        {with_levels}
        select 'before' as what, held_now as level, count(*) from judged group by all
        union all
        select 'earned', earned, count(*) from judged group by all
        union all
        select 'ups', 0, count(*) from judged where level > held_now
        union all
        select 'downs', 0, count(*) from judged where earned < held_now and held_now > 1
        """,
    )
    found = {(what, level): int(count) for what, level, count in counts}
    held = max((level for what, level in found if what == "before"), default=0)
    if held > len(program.tiers):
        raise wrong(
            file,
            ("tiers",),
            f"this program ends with level {len(program.tiers)} and {found['before', held]:,} "
            f"of the members have level {held}: they would go down on the switch",
        )
    tiers = tuple(
        _simulated(program, level, after.get(level), found)
        for level in range(len(program.tiers) + 1)
    )
    return Simulation(
        program=program.program,
        as_of_date=as_of_date,
        tiers=tiers,
        ups=found.get(("ups", 0), 0),
        later_downs=found.get(("downs", 0), 0),
        suggested=_suggested(settings, with_levels),
    )


def _simulated(
    program: TierProgram, level: int, row: tuple[Any, ...] | None, found: dict[tuple[str, int], int]
) -> SimulatedTier:
    amount = Decimal(row[2]) if row else Decimal(0)
    orders = int(row[3]) if row else 0
    tier = program.tiers[level - 1] if level else None
    discount = Decimal(0)
    benefit = Decimal(0)
    if tier is not None:
        off = Decimal(1000 - tier.discount_permille) / 1000
        discount = (amount * program.discounted_share * off).quantize(_FEN, ROUND_HALF_UP)
        benefit = (cost_per_order(program, tier) * orders).quantize(_FEN, ROUND_HALF_UP)
    return SimulatedTier(
        level=level,
        name=tier.name if tier else "—",
        before=found.get(("before", level), 0),
        after=int(row[1]) if row else 0,
        earned=found.get(("earned", level), 0),
        near=int(row[4]) if row else 0,
        amount=amount,
        orders=orders,
        discount_cost=discount,
        benefit_cost=benefit,
        margin=(amount * program.margin_rate).quantize(_FEN, ROUND_HALF_UP),
    )


def cost_per_order(program: TierProgram, tier: Tier) -> Decimal:
    """What a tier's benefits cost per order, in the program's currency.

    A benefit goes with the share of the turnover that is neither special nor a campaign's, where
    such goods are excluded; its compensation goes with the rest.
    """
    by_code = {benefit.benefit: benefit for benefit in program.benefits}
    cost = Decimal(0)
    for code in tier.benefits:
        benefit = by_code[code]
        share = program.discounted_share if benefit.excluded_tags else Decimal(1)
        cost += benefit.cost_amount * benefit.uses_per_order * share
        if benefit.compensation is not None:
            instead = by_code[benefit.compensation]
            cost += instead.cost_amount * instead.uses_per_order * (1 - share)
    return cost


def lint(program: TierProgram, simulation: Simulation, limits: dict[str, Decimal]) -> list[Finding]:
    """What is unwise about a program that the platform would take; empty when nothing is."""
    findings = []
    tiers = program.tiers
    for before, tier in pairwise(tiers):
        # Everybody who buys stands in a first tier for next to nothing: that step is no climb.
        if before.threshold <= limits["nominal_threshold"]:
            continue
        if tier.threshold > limits["step_ratio"] * before.threshold:
            findings.append(
                Finding(
                    "step_ratio",
                    f"{tier.name} is {tier.threshold / before.threshold:.1f} times {before.name}; "
                    f"more than {limits['step_ratio']} is given up on",
                )
            )
    with_tier = [tier for tier in simulation.tiers if tier.level > 0]
    total = sum(tier.earned for tier in with_tier)
    # As mart_member_tiers has it: the upper half, without the middle one.
    top = sum(tier.earned for tier in with_tier if 2 * tier.level > len(tiers) + 1)
    if total and top > limits["top_tiers_share"] * total:
        findings.append(
            Finding(
                "top_tiers_share",
                f"{top:,} of {total:,} members reach the top tiers, "
                f"{100 * top / total:.0f} % instead of at most "
                f"{100 * limits['top_tiers_share']:.0f} %",
            )
        )
    below = [tier for tier in with_tier if tier.level < len(tiers)]
    climbing = sum(tier.after for tier in below)
    near = sum(tier.near for tier in below)
    if climbing and near < limits["near_next_few"] * climbing:
        findings.append(
            Finding(
                "near_next_few",
                f"only {near:,} of {climbing:,} members are near their next tier",
            )
        )
    findings += [
        Finding(
            "break_even",
            f"{tier.name} costs {tier.discount_cost + tier.benefit_cost:,.2f} "
            f"{program.currency}, its margin is {tier.margin:,.2f}",
        )
        for tier in with_tier
        if not tier.breaks_even
    ]
    return findings


def _suggested(settings: Settings, with_levels: str) -> tuple[Decimal, ...]:
    listed = ", ".join(_QUANTILES)
    _, [(cuts,)] = query_published(
        settings,
        f"{with_levels} "
        f"select quantile_disc(measured, [{listed}]) from judged where order_count > 0",
    )
    return tuple(_rounded(Decimal(cut)) for cut in cuts or ())


def _rounded(value: Decimal) -> Decimal:
    """To a number that can be told: two leading digits, and nothing below 1."""
    if value < 1:
        return Decimal(1)
    step = Decimal(10) ** max(len(str(int(value))) - 2, 0)
    return (value / step).to_integral_value(ROUND_HALF_UP) * step


def _members_sql(shops: ShopsFile, program: TierProgram) -> str:
    """The common table expressions up to ``judged``: one row per member of the brand.

    Everything put into the text was checked when config/ was read: codes, dates and numbers.
    """
    own = [shop for shop in shops.shops if shop.brand == program.brand]
    days = " ".join(
        f"when orders.platform = '{shop.platform}' and orders.shop = '{shop.shop}' "
        f"then cast(timezone('{shop.zone}', timezone('UTC', orders.finished_at)) as date)"
        for shop in own
    )
    counted = f"case {days} end" if program.counts_from == "finished" else "orders.paid_date"
    if program.counts_from == "finished" and not own:
        counted = "cast(null as date)"
    measured = "amount" if program.measure == "amount" else "order_count"
    ladder = " ".join(
        f"when {measured} >= {tier.threshold} and (order_count > 0 or {tier.threshold} = 0) "
        f"then {tier.level}"
        for tier in reversed(program.tiers)
    )
    nexts = " ".join(
        f"when {tier.level - 1} then cast({tier.threshold} as decimal(18, 2))"
        for tier in program.tiers
    )
    # A buyer has bought at some time, be it before the window.
    is_buyer = "sums.member_key is not null"
    may_have = is_buyer if program.members == "buyers" else "members.is_enrolled"
    # Who is enrolled may stand in the first tier for nothing; who only might buy does not count.
    waiting = "false" if program.members == "buyers" else "may_have"
    return f"""
        with sums as (
            select
                identities.member_key,
                sum(orders.net_amount) filter (
                    where orders.currency = '{program.currency}'
                    and {counted} > run.as_of_date - {program.window_days}
                ) as amount,
                count(*) filter (
                    where {counted} > run.as_of_date - {program.window_days}
                ) as order_count
            from fct_orders as orders
            inner join dim_member_identities as identities
                on orders.customer_key = identities.customer_key
            cross join mart_publication as run
            where
                orders.brand = '{program.brand}'
                and orders.is_valid_order
                and {counted} <= run.as_of_date
            group by all
        ),

        measured as (
            select
                members.member_key,
                coalesce(sums.amount, 0) as amount,
                coalesce(sums.order_count, 0) as order_count,
                {may_have} as may_have,
                coalesce(tiers.tier_level, 0) as held_now
            from dim_members as members
            left join sums on members.member_key = sums.member_key
            left join mart_member_tiers as tiers on members.member_key = tiers.member_key
            where members.brand = '{program.brand}'
        ),

        graded as (
            select
                *,
                cast({measured} as decimal(18, 2)) as measured,
                case when may_have then coalesce(case {ladder} end, 0) else 0 end as earned
            from measured
        ),

        judged as (
            select
                *,
                greatest(held_now, earned) as level,
                case greatest(held_now, earned) {nexts} end as next_threshold
            from graded
            where order_count > 0 or held_now > 0 or earned > 0 or {waiting}
        )
    """
