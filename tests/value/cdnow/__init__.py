"""The CDNOW sample: 2,357 customers, their 6,919 purchases, and what the models make of them.

Data of Fader and Hardie as distributed with ``lifetimes`` 0.11.3 (MIT); the expected predictions
are those at the maximum of the likelihood, with the first 39 weeks as the calibration period.
"""

import csv
import gzip
from datetime import date
from decimal import Decimal
from pathlib import Path

CUT = date(1997, 9, 30)
HORIZON_DAYS = 273

_FOLDER = Path(__file__).parent


def read_purchases() -> list[tuple[int, date, Decimal]]:
    """Customer, day and amount of every purchase, in the file's order."""
    return [
        (int(row["customer_id"]), date.fromisoformat(row["order_date"]), Decimal(row["amount"]))
        for row in _rows("purchases")
    ]


def read_expected() -> dict[int, dict[str, float]]:
    """x, t_x, T, m_x and the predictions of each customer, by customer."""
    return {
        int(row["customer_id"]): {name: float(value) for name, value in row.items()}
        for row in _rows("expected")
    }


def _rows(name: str) -> list[dict[str, str]]:
    with gzip.open(_FOLDER / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
