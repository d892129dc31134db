"""Segments of the shops that the stories of nights are about."""

from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from regulars.segments import load_segments
from regulars.shops import Brand, Shop, ShopsFile
from regulars.warehouse import control
from tests.dbt.project import PROJECT_DIR
from tests.dbt.shop_story import SHOPS, ZONES

SHOPS_FILE = ShopsFile(
    brands=(Brand(brand="b", name="b", base_currency="CNY"),),
    shops=tuple(
        Shop(
            shop=shop, name=shop, brand="b", platform="p", source="file", zone=ZONES[shop],
            currency="CNY", first_date=date(2017, 7, 1),
        )
        for shop in SHOPS
    ),
)  # fmt: skip
HEAD = """
segment: {name}
brand: b
name: {name}
title_zh: {name}
owner: marketing
reason: a story needs it
versions:
"""
SEGMENTS = {
    # Both versions fall into the story: stages by order, ages and windows by time.
    "lively": """
  - version: 1
    valid_from: 2017-09-01
    reason: first
    members:
      any:
        - {field: days_since_last_order, op: le, value: 1}
        - all:
            - {field: order_count, op: ge, value: 2, within_days: 3}
            - not: {field: activity_stage, op: eq, value: silent}
  - version: 2
    valid_from: 2017-10-03
    reason: second
    members: {field: order_count, op: between, value: [1, 2], within_days: 4}
""",
    "quiet": """
  - version: 1
    valid_from: 2017-09-15
    reason: first
    members:
      all:
        - {field: order_count, op: lt, value: 1, within_days: 2}
        - not: {field: bought_in_shop, op: eq, value: west, within_days: 5}
""",
    # Known of the business date alone.
    "scored": """
  - version: 1
    valid_from: 2017-09-15
    reason: first
    members:
      all:
        - {field: recency_score, op: ge, value: 2}
        - {field: net_amount, op: gt, value: 0}
""",
}


def write_segments(connection: duckdb.DuckDBPyConnection) -> None:
    """What the night does with config/segments before dbt."""
    with TemporaryDirectory() as folder:
        below = Path(folder) / "segments"
        below.mkdir()
        for name, versions in SEGMENTS.items():
            text = HEAD.format(name=name) + versions
            (below / f"{name}.yml").write_text(text, encoding="utf-8")
        segments = load_segments(Path(folder), PROJECT_DIR / "seeds", SHOPS_FILE)
    control.write_segments(connection, segments.warehouse_tables())
