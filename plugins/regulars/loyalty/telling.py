"""Tiers as people look at them: a candidate beside what is, and what is unwise about it."""

import json
from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.table import Table

from regulars.clock import clock_for
from regulars.loyalty import load_loyalty
from regulars.loyalty.redeeming import find_account, redeem, rule_in_force, was_honoured
from regulars.loyalty.simulation import Simulation, lint, read_lint_limits, simulate
from regulars.loyalty.tiers import (
    TierProgram,
    grade_set_parameters,
    load_tier_programs,
    read_tier_program,
)
from regulars.settings import Settings
from regulars.shops import ShopsFile, load_shops
from regulars.state import StateStore


def print_simulation(settings: Settings, file: Path, console: Console) -> None:
    """What the program in ``file`` would do to the members as published; nothing is changed.

    Raises:
        ConfigError: the file does not fit, or members have a level that it does not; names file
            and line.
        WarehouseError: nothing is published.
    """
    shops = load_shops(settings.shops_path)
    program = read_tier_program(file, _currencies(shops))
    _print(simulate(settings, shops, program, _limits(settings), file=file), program, console)


def print_lint(settings: Settings, file: Path | None, console: Console) -> bool:
    """Check one file, or all of config/tiers; False when something is unwise.

    Raises:
        ConfigError: a file breaks a limit of the platform, or members have a level that it does
            not; names file and line.
        WarehouseError: nothing is published.
    """
    shops = load_shops(settings.shops_path)
    brands = _currencies(shops)
    programs = (
        (read_tier_program(file, brands),)
        if file is not None
        else load_tier_programs(settings.config_dir, brands)
    )
    limits = _limits(settings)
    is_sound = True
    for program in programs:
        place = file or settings.config_dir / "tiers" / f"{program.program}.yml"
        found = simulate(settings, shops, program, limits, file=place)
        findings = lint(program, found, limits)
        for finding in findings:
            console.print(
                f"{program.program}: {finding.check}: {finding.message}",
                markup=False,
                highlight=False,
            )
        if not findings:
            console.print(f"{program.program}: nothing to say against it", highlight=False)
        is_sound = is_sound and not findings
    if not programs:
        console.print("no tier program in config/tiers", highlight=False)
    return is_sound


def export_program(settings: Settings, file: Path) -> str:
    """The call that sets the program in ``file`` at a Taobao shop, as JSON; nothing is sent.

    Raises:
        ConfigError: the file does not fit or breaks a limit of the platform; names file and line.
    """
    program = read_tier_program(file, _currencies(load_shops(settings.shops_path)))
    return json.dumps(grade_set_parameters(program, file), indent=2)


def redeem_gift(settings: Settings, shop: str, buyer_id: str, gift: str, request_id: str) -> str:
    """Take a gift for points; one line for a person.

    Raises:
        ConfigError: shop, rule or gift are unknown.
        StateError: the account, the tier or the stock does not bear it; nothing was taken.
        WarehouseError: nothing is published.
    """
    shops = load_shops(settings.shops_path)
    found = shops.shop(shop)
    state = StateStore(settings.resolved_state_url)
    if was_honoured(state, found, buyer_id, gift, request_id):
        return f"{gift}: this request was honoured before"
    now = clock_for(settings.clock_url).now()
    today = now.astimezone(found.tzinfo).date()
    account = find_account(settings, shops, shop, buyer_id, now)
    rule = rule_in_force(load_loyalty(settings.config_dir, shops).rules, account.brand, today)
    since = max(
        one.day_end(account.as_of_date) for one in shops.shops if one.brand == account.brand
    )
    is_new = redeem(
        state,
        account,
        rule,
        gift,
        request_id=request_id,
        since=since,
        today=today,
        now=now,
    )
    return f"{gift}: taken" if is_new else f"{gift}: this request was honoured before"


def _currencies(shops: ShopsFile) -> dict[str, str]:
    return {brand.brand: brand.base_currency for brand in shops.brands}


def _limits(settings: Settings) -> dict[str, Decimal]:
    return read_lint_limits(settings.dbt_project_dir / "seeds" / "tier_lint.csv")


def _print(found: Simulation, program: TierProgram, console: Console) -> None:
    title = f"{found.program} as of {found.as_of_date} (nothing is changed)"
    table = Table(title=title, title_justify="left")
    names = (
        *("tier", "now", "first day", "by orders", "near next", "net amount", "orders"),
        *("discount", "benefits", "margin", ""),
    )
    for name in names:
        table.add_column(name, justify="left" if name in ("tier", "") else "right")
    for tier in found.tiers:
        table.add_row(
            f"{tier.level} {tier.name}",
            *(f"{count:,}" for count in (tier.before, tier.after, tier.earned, tier.near)),
            f"{tier.amount:,.2f}",
            f"{tier.orders:,}",
            *(f"{money:,.2f}" for money in (tier.discount_cost, tier.benefit_cost, tier.margin)),
            "" if tier.breaks_even else "below break-even",
        )
    console.print(table)
    console.print(
        f"{found.ups:,} members rise on the first day, nobody goes down; {found.later_downs:,} "
        "hold more than their orders reach and fall by one at the end of it; discounts and "
        f"benefits {found.cost:,.2f} {program.currency} for a turnover like that of the last "
        f"{program.window_days} days",
        markup=False,
        highlight=False,
    )
    if found.suggested:
        listed = ", ".join(f"{value:,}" for value in found.suggested)
        console.print(
            f"thresholds by the 80th, 95th and 99th of a hundred buyers: {listed}", highlight=False
        )
