"""Tiers and points: what a shop's people set, and what it would do before it is applied."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regulars.loyalty.points import PointRule, check_begun_rules, load_point_rules
from regulars.loyalty.tiers import TierProgram, load_tier_programs
from regulars.shops import ShopsFile

__all__ = ["Loyalty", "PointRule", "TierProgram", "check_begun_rules", "load_loyalty"]


@dataclass(frozen=True)
class Loyalty:
    """config/tiers and config/points of an installation."""

    programs: tuple[TierProgram, ...] = ()
    rules: tuple[PointRule, ...] = ()

    def warehouse_tables(self) -> dict[str, list[dict[str, Any]]]:
        """Rows of the tables ``config.tier_levels``, ``config.point_rules``, ``config.gifts``."""
        return {
            "tier_levels": [row for program in self.programs for row in program.warehouse_rows()],
            "point_rules": [rule.warehouse_row() for rule in self.rules],
            "gifts": [row for rule in self.rules for row in rule.gift_rows()],
        }


def load_loyalty(config_dir: Path, shops: ShopsFile) -> Loyalty:
    """Read config/tiers and config/points; neither folder has to be there.

    Raises:
        ConfigError: a file does not fit; names file and line.
    """
    brands = {brand.brand: brand.base_currency for brand in shops.brands}
    return Loyalty(load_tier_programs(config_dir, brands), load_point_rules(config_dir, brands))
