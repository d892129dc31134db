"""Shops for tests."""

from datetime import date
from typing import Any

from regulars.shops import Shop


def demo_shop(**changes: Any) -> Shop:
    """The sandbox's shop, with ``changes``."""
    entries = {
        "shop": "demo_grocer",
        "name": "Demo Grocer",
        "brand": "demo",
        "platform": "taobao",
        "source": "taobao_top",
        "connection": "regulars_demo_grocer",
        "zone": "Asia/Shanghai",
        "currency": "CNY",
        "first_date": date(2017, 1, 1),
        "overlap_minutes": 60,
        "margin_minutes": 3,
        "quarantine_share": 0.01,
    }
    return Shop(**{**entries, **changes})
