"""config/points/*.yml: how a brand's points are earned, what they are worth, what they buy.

One file per rule, each from its first business date on. Points are worked out of orders anew
whenever a rule is edited: of one that has begun a night refuses a change of what it earns, and
another file takes over from a day to come. Errors name the file and the line, because the files are
edited by the people who run the shops.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from regulars.errors import ConfigError
from regulars.loyalty.tiers import Money, Rate, wrong
from regulars.shops import Slug, read_yaml_model


def _as_decimal(value: Any) -> Any:
    return str(value) if isinstance(value, float) else value


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Gift(_Model):
    """One gift of the catalogue.

    Attributes:
        points: what it takes.
        cost_amount: what it costs the shop, in the rule's currency.
        valid_from, valid_to: first and last business date on which it can be taken; None: no end.
        min_level: tier level needed at least; 0 for everybody.
        stock: how many there ever are; None for no limit.
    """

    gift: Slug
    name: str
    points: Annotated[int, Field(ge=1)]
    cost_amount: Money
    valid_from: date
    valid_to: date | None = None
    min_level: Annotated[int, Field(ge=0, le=4)] = 0
    stock: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> "Gift":
        if self.valid_to is not None and self.valid_to < self.valid_from:
            raise ValueError("valid_to lies before valid_from")
        return self


class PointRule(_Model):
    """One file of config/points.

    Attributes:
        valid_from: first business date; the brand's next rule ends it.
        earns: ``by_orders``: finished orders earn points here; ``delivered``: the shop keeps the
            ledger and drops it as a file, nothing is earned here.
        points_per_unit: points per whole unit of the currency of an order's net amount, rounded
            down per order.
        valid_days: days for which earned points stand, the day of earning included.
        point_value: what one point is worth to its owner, in the currency.
        redemption_rate: share (0..1) of open points that will be redeemed, for the liability.
        expiring_days: days ahead that count as expiring soon.
        text: the rule in the words that members read.
        gift_max_orders: members with at least one and at most this many valid orders in the RFM
            window are offered a gift for their points.
        expiry: ``computed`` from each lot's own end, or ``booked``: the delivered ledger takes what
            lapses out itself, with entries of kind expire.
    """

    rule: Slug
    brand: Slug
    valid_from: date
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    earns: Literal["by_orders", "delivered"]
    expiry: Literal["computed", "booked"]
    points_per_unit: Annotated[
        Decimal, BeforeValidator(_as_decimal), Field(ge=0, le=1000, decimal_places=2)
    ]
    valid_days: Annotated[int, Field(ge=1, le=3660)]
    point_value: Annotated[
        Decimal, BeforeValidator(_as_decimal), Field(ge=0, le=1000, decimal_places=4)
    ]
    redemption_rate: Rate
    expiring_days: Annotated[int, Field(ge=1, le=366)]
    text: Annotated[str, Field(min_length=1, max_length=60)]
    gift_max_orders: Annotated[int, Field(ge=1)]
    gifts: tuple[Gift, ...] = ()

    @model_validator(mode="after")
    def _what_is_earned_here_ends_here(self) -> "PointRule":
        if self.earns == "by_orders" and self.expiry == "booked":
            raise ValueError("nobody would book the end of points that are earned here: computed")
        return self

    def warehouse_row(self) -> dict[str, Any]:
        """The row of ``config.point_rules``."""
        return self.model_dump(exclude={"gifts"})

    def gift_rows(self) -> list[dict[str, Any]]:
        """The rows of ``config.gifts``: the catalogue of this rule."""
        return [
            {"brand": self.brand, "rule": self.rule, **gift.model_dump()} for gift in self.gifts
        ]


_EARNING = ("valid_from", "currency", "earns", "expiry", "points_per_unit", "valid_days")
"""What of a rule decides which points there are."""


def check_begun_rules(
    config_dir: Path,
    rules: Iterable[PointRule],
    known: Iterable[Mapping[str, Any]],
    last_date: date | None,
) -> None:
    """Refuse what would change points that members have been told of.

    Args:
        config_dir: folder with points/, for the error.
        rules: the rules as they stand in it.
        known: rows of ``config.point_rules`` as the nights before had them.
        last_date: business date of the last completed night; None before the first.

    Raises:
        ConfigError: a rule that had begun by then earns otherwise now or is gone, or a rule that
            nobody knew begins before; names file and line.
    """
    if last_date is None:
        return
    begun = {(row["brand"], row["rule"]): row for row in known if row["valid_from"] <= last_date}
    now = {(rule.brand, rule.rule): rule.warehouse_row() for rule in rules}
    for (brand, code), row in begun.items():
        path = config_dir / "points" / f"{code}.yml"
        if (brand, code) not in now:
            raise ConfigError(
                f"rule {code} of {brand} has begun and is gone: members' points would change",
                where=str(path),
                next_step=f"put it back; another file takes over from a day after {last_date}",
            )
        for name in _EARNING:
            if now[brand, code][name] != row[name]:
                raise wrong(
                    path,
                    (name,),
                    f"{code} has begun with {row[name]}, and members' points would change: put it "
                    f"back, and write another file for the days after {last_date}",
                )
    brands = {brand for brand, _ in begun}
    for (brand, code), row in now.items():
        if brand in brands and (brand, code) not in begun and row["valid_from"] <= last_date:
            raise wrong(
                config_dir / "points" / f"{code}.yml",
                ("valid_from",),
                f"points up to {last_date} have been told to members: begin after it",
            )


def load_point_rules(config_dir: Path, brands: Mapping[str, str]) -> tuple[PointRule, ...]:
    """Read every file of ``config_dir/points``, sorted by brand and first date.

    Args:
        config_dir: folder with points/; without the folder there are no points.
        brands: code of every brand of config/shops.yml with its base currency.

    Raises:
        ConfigError: a file does not fit; names file and line.
    """
    found: dict[tuple[str, date], str] = {}
    rules = []
    for path in sorted((config_dir / "points").glob("*.yml")):
        rule = read_yaml_model(path, PointRule)
        if rule.rule != path.stem:
            raise wrong(path, ("rule",), f"the file is called {path.stem}")
        if rule.brand not in brands:
            known = ", ".join(sorted(brands)) or "none"
            raise wrong(path, ("brand",), f"there is no such brand, only {known}")
        if rule.currency != brands[rule.brand]:
            raise wrong(
                path, ("currency",), f"points count the base currency, {brands[rule.brand]}"
            )
        other = found.setdefault((rule.brand, rule.valid_from), rule.rule)
        if other != rule.rule:
            raise wrong(
                path, ("valid_from",), f"{other} begins on the same day: one rule at a time"
            )
        codes = [gift.gift for gift in rule.gifts]
        for index, code in enumerate(codes):
            if code in codes[:index]:
                raise wrong(path, ("gifts", index, "gift"), f"{code} is listed twice")
        rules.append(rule)
    return tuple(sorted(rules, key=lambda rule: (rule.brand, rule.valid_from)))
