"""config/tiers/*.yml: a brand's tier programs, each from its first business date on.

Errors name the file and the line, because the files are edited by the people who run the shops.
The limits are Taobao's own: at most four tiers, thresholds by amount or by orders and never by
both, strictly rising; discounts strictly falling, in per mille, none below 700. A program that
fits can be set there as it is.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from regulars.errors import ConfigError
from regulars.shops import Slug, line_of, read_yaml_model

MAX_TIERS = 4
"""Levels 1 to 4 of the platform; 0 is a customer who is no member."""
LOWEST_DISCOUNT_PERMILLE = 700
"""The platform takes no discount below 7折."""


def _as_decimal(value: Any) -> Any:
    """YAML's 5.00 arrives as a float; its shortest text is the number that was written."""
    return str(value) if isinstance(value, float) else value


Money = Annotated[
    Decimal, BeforeValidator(_as_decimal), Field(ge=0, max_digits=18, decimal_places=2)
]
Rate = Annotated[Decimal, BeforeValidator(_as_decimal), Field(ge=0, le=1, decimal_places=4)]
Days = Annotated[int, Field(ge=1, le=3660)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Benefit(_Model):
    """Something that a tier gives beside its discount.

    Attributes:
        benefit: its code.
        cost_amount: what one use costs the shop, in the program's currency.
        uses_per_order: share (0..1) of the tier's orders that use it.
        excluded_tags: goods that it, and the tier's discount, does not apply to.
        compensation: the benefit that excluded goods get instead; None when they get nothing.
    """

    benefit: Slug
    name: str
    cost_amount: Money
    uses_per_order: Rate
    excluded_tags: tuple[Slug, ...] = ()
    compensation: Slug | None = None


class Tier(_Model):
    """One tier.

    Attributes:
        level: 1 is the lowest; the platform's number.
        threshold: what the measure has to reach: money, or orders.
        discount_permille: what is paid of the price, 1000 is all of it.
        benefits: codes of the program's benefits.
    """

    level: int
    tier: Slug
    name: str
    threshold: Money
    discount_permille: int
    benefits: tuple[Slug, ...] = ()


class TierProgram(_Model):
    """One file of config/tiers.

    Attributes:
        valid_from: first business date; the brand's next program ends it.
        members: whose tiers it keeps: ``enrolled`` members, or all ``buyers``.
        measure: what thresholds are of: ``amount`` (net of refunds) or ``orders``.
        currency: of thresholds and amounts; orders in another one count as orders alone.
        counts_from: instant from which an order counts: ``paid``, or ``finished`` as the platform
            has it.
        window_days: days, the business date included, of which orders count.
        validity_days: days for which a tier above the lowest is given.
        margin_rate: gross margin (0..1) of the tier's orders, before discount and benefits.
        discounted_share: share (0..1) of the turnover that the discount applies to; the rest is
            special or campaign goods.
    """

    program: Slug
    brand: Slug
    name: str
    valid_from: date
    members: Literal["enrolled", "buyers"]
    measure: Literal["amount", "orders"]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    counts_from: Literal["paid", "finished"]
    window_days: Days
    validity_days: Days
    margin_rate: Rate
    discounted_share: Rate
    tiers: Annotated[tuple[Tier, ...], Field(min_length=1)]
    benefits: tuple[Benefit, ...] = ()

    def warehouse_rows(self) -> list[dict[str, Any]]:
        """The rows of ``config.tier_levels``: one per tier, with the program's own settings."""
        of_program = {
            name: getattr(self, name)
            for name in (
                *("program", "brand", "valid_from", "members", "measure", "currency"),
                *("counts_from", "window_days", "validity_days"),
            )
        }
        return [
            {
                **of_program,
                "level": tier.level,
                "tier": tier.tier,
                "tier_name": tier.name,
                "threshold": tier.threshold,
                "discount_permille": tier.discount_permille,
            }
            for tier in self.tiers
        ]


def grade_set_parameters(program: TierProgram, file: Path) -> dict[str, str]:
    """What ``taobao.crm.grade.set`` takes to set this program at a shop, each value as it is sent.

    One number per level, separated by commas: ``amount`` (fen) or ``count`` (orders) is what has
    to be reached for the level, ``discount`` is per mille. ``hierarchy`` says of each of the
    platform's levels whether it is set.

    Raises:
        ConfigError: amounts are in a currency that has no fen; names file and line.
    """
    if program.measure == "amount" and program.currency != "CNY":
        raise wrong(file, ("currency",), f"the platform counts fen, not {program.currency}")
    by_amount = program.measure == "amount"
    unit = 100 if by_amount else 1
    levels = range(1, MAX_TIERS + 1)
    return {
        "method": "taobao.crm.grade.set",
        "grade": _listed(tier.level for tier in program.tiers),
        "amount" if by_amount else "count": _listed(
            int(tier.threshold * unit) for tier in program.tiers
        ),
        "discount": _listed(tier.discount_permille for tier in program.tiers),
        "hierarchy": _listed(
            "true" if level <= len(program.tiers) else "false" for level in levels
        ),
    }


def _listed(values: Iterable[object]) -> str:
    return ",".join(map(str, values))


def load_tier_programs(config_dir: Path, brands: Mapping[str, str]) -> tuple[TierProgram, ...]:
    """Read every file of ``config_dir/tiers``, sorted by brand and first date.

    Args:
        config_dir: folder with tiers/; without the folder there is no program.
        brands: code of every brand of config/shops.yml with its base currency.

    Raises:
        ConfigError: a file does not fit, breaks a limit of the platform, or would take somebody
            down on the switch from the program before it; names file and line.
    """
    paths = sorted((config_dir / "tiers").glob("*.yml"))
    programs = [read_tier_program(path, brands) for path in paths]
    _check_succession(list(zip(paths, programs, strict=True)))
    return tuple(sorted(programs, key=lambda one: (one.brand, one.valid_from)))


def read_tier_program(path: Path, brands: Mapping[str, str]) -> TierProgram:
    """Read one file, which may stand anywhere: a candidate is looked at before it is applied.

    Raises:
        ConfigError: it does not fit or breaks a limit; names file and line.
    """
    program = read_yaml_model(path, TierProgram)
    if program.program != path.stem:
        raise wrong(path, ("program",), f"the file is called {path.stem}")
    if program.brand not in brands:
        known = ", ".join(sorted(brands)) or "none"
        raise wrong(path, ("brand",), f"there is no such brand, only {known}")
    if program.currency != brands[program.brand]:
        raise wrong(
            path,
            ("currency",),
            f"thresholds are in the brand's base currency, {brands[program.brand]}",
        )
    _check_levels(path, program.tiers)
    _check_thresholds(path, program)
    _check_discounts(path, program.tiers)
    _check_benefits(path, program)
    return program


def wrong(path: Path, place: tuple[Any, ...], message: str) -> ConfigError:
    """The error about what stands at ``place`` of the YAML file."""
    line = line_of(path.read_text(encoding="utf-8"), place)
    field = ".".join(str(part) for part in place)
    return ConfigError(f"{field}: {message}", where=f"{path}:{line}", next_step="correct the entry")


def _check_levels(path: Path, tiers: Sequence[Tier]) -> None:
    for index, tier in enumerate(tiers):
        if tier.level != index + 1:
            raise wrong(
                path,
                ("tiers", index, "level"),
                f"levels are 1, 2, 3 … without gap or repetition, {index + 1} stands here",
            )
        if tier.tier in [other.tier for other in tiers[:index]]:
            raise wrong(path, ("tiers", index, "tier"), f"{tier.tier} is listed twice")
    if len(tiers) > MAX_TIERS:
        raise wrong(
            path, ("tiers", MAX_TIERS, "level"), f"the platform has {MAX_TIERS} tiers, no more"
        )


def _check_thresholds(path: Path, program: TierProgram) -> None:
    before: Tier | None = None
    for index, tier in enumerate(program.tiers):
        place = ("tiers", index, "threshold")
        if program.measure == "orders" and tier.threshold != int(tier.threshold):
            raise wrong(path, place, "orders are counted whole")
        if before is not None and tier.threshold <= before.threshold:
            raise wrong(
                path,
                place,
                f"{tier.tier} overlaps {before.tier}: thresholds rise strictly, and "
                f"{tier.threshold} is not above {before.threshold}",
            )
        before = tier


def _check_discounts(path: Path, tiers: Sequence[Tier]) -> None:
    before: Tier | None = None
    for index, tier in enumerate(tiers):
        place = ("tiers", index, "discount_permille")
        if not LOWEST_DISCOUNT_PERMILLE <= tier.discount_permille <= 1000:
            raise wrong(
                path, place, f"the platform takes {LOWEST_DISCOUNT_PERMILLE} to 1000 per mille"
            )
        if before is not None and tier.discount_permille >= before.discount_permille:
            raise wrong(
                path,
                place,
                f"{tier.tier} pays no less than {before.tier}: discounts fall strictly",
            )
        before = tier


def _check_benefits(path: Path, program: TierProgram) -> None:
    codes = [benefit.benefit for benefit in program.benefits]
    for index, benefit in enumerate(program.benefits):
        if benefit.benefit in codes[:index]:
            raise wrong(path, ("benefits", index, "benefit"), f"{benefit.benefit} is listed twice")
        if benefit.compensation is not None:
            _check_compensation(path, index, benefit, codes)
    for index, tier in enumerate(program.tiers):
        for unknown in [code for code in tier.benefits if code not in codes]:
            raise wrong(
                path, ("tiers", index, "benefits"), f"there is no benefit {unknown} in this file"
            )


def _check_compensation(path: Path, index: int, benefit: Benefit, codes: Collection[str]) -> None:
    place = ("benefits", index, "compensation")
    if benefit.compensation not in codes:
        raise wrong(path, place, f"there is no benefit {benefit.compensation} in this file")
    if benefit.compensation == benefit.benefit:
        raise wrong(path, place, "a benefit does not stand in for itself")
    if not benefit.excluded_tags:
        raise wrong(path, place, "nothing is excluded that would have to be made up for")


def _check_succession(programs: Sequence[tuple[Path, TierProgram]]) -> None:
    """Programs of one brand follow each other, and none has fewer tiers than the one before."""
    by_brand: dict[str, list[tuple[Path, TierProgram]]] = defaultdict(list)
    for path, program in programs:
        by_brand[program.brand].append((path, program))
    for own in by_brand.values():
        own.sort(key=lambda one: one[1].valid_from)
        for (_, before), (path, program) in pairwise(own):
            if program.valid_from == before.valid_from:
                raise wrong(
                    path, ("valid_from",), f"{before.program} begins on the same day: one brand, "
                    "one program at a time",
                )  # fmt: skip
            if len(program.tiers) < len(before.tiers):
                raise wrong(
                    path,
                    ("tiers",),
                    f"{before.program} has {len(before.tiers)} tiers, this one "
                    f"{len(program.tiers)}: its members would go down on the switch",
                )
