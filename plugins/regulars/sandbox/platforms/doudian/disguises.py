"""What Douyin would know and the source data does not say; a pure function of the order book.

Salted with the platform's name: nobody can tell by an id that a buyer also shops elsewhere.
"""

import base64
import hashlib
from functools import cache

import numpy as np
from numpy.typing import NDArray

from regulars.sandbox import disguise

Int64s = NDArray[np.int64]

SHOP_ID = 12_874_635
SHOP_NAME = "Demo Grocer"

_ORDER_BASE = 6_900_000_000_000_000_000
_AFTERSALE_OFFSET = 200_000_000_000_000_000
_PRODUCT_BASE = 3_500_000_000_000_000_000
_SKU_BASE = 1_700_000_000_000_000
_AUTHOR_BASE = 98_000_000_000_000
_ROOM_BASE = 7_000_000_000_000_000_000

_INFLUENCERS = 24
_INFLUENCER_SHARE = 0.45
_LIVE_SHARE = 0.5


def order_ids(tids: Int64s) -> Int64s:
    """Order numbers: 19 digits, far beyond 2^53, and far enough apart to add line numbers."""
    return tids * 10 + disguise.spread(tids, "doudian order", 0, 10) + _ORDER_BASE


def tid_of(order_id: str) -> int | None:
    """The book's number of an order, None for a number that is not the platform's."""
    if not (order_id.isascii() and order_id.isdigit()) or len(order_id) != 19:
        return None
    tid = (int(order_id) - _ORDER_BASE) // 10
    known = tid > 0 and int(order_ids(np.array([tid], dtype=np.int64))[0]) == int(order_id)
    return tid if known else None


def line_ids(orders: Int64s, positions: Int64s, counts: Int64s) -> Int64s:
    """Numbers of lines; an order of one line gives it its own number."""
    return np.where(counts == 1, orders, orders + positions)


def aftersale_ids(lines: Int64s) -> Int64s:
    """Numbers of after-sales requests: one per line at most."""
    return lines + _AFTERSALE_OFFSET


def product_id(article: int) -> int:
    """The platform's number of a product."""
    return _PRODUCT_BASE + article


def sku_id(article: int) -> int:
    """The platform's number of a product's only variant."""
    return _SKU_BASE + article


@cache
def open_id(household: int) -> str:
    """The platform's opaque, stable id of a buyer at this app."""
    return "1@#" + _base64(f"doudian buyer {household}")


@cache
def ciphertext(value: str) -> str:
    """Something that looks like an encrypted field; it holds nothing."""
    return f"${_base64(f'doudian cipher {value}')}${_base64(value[::-1])[:8]}$1$"


@cache
def masked(household: int) -> tuple[str, str, str]:
    """Name, phone and address of the consignee as the platform masks them."""
    name, mobile, address = disguise.masked_receiver(household)
    return f"{name[0]}*", f"1********{mobile[-2:]}", address


def influencers(baskets: Int64s) -> Int64s:
    """Number of the influencer (from 1) who brought each order, 0 for nobody."""
    drawn = disguise.spread(baskets, "doudian influencer", 1, _INFLUENCERS + 1)
    return np.where(disguise.shares(baskets, "doudian brought") < _INFLUENCER_SHARE, drawn, 0)


def is_live(baskets: Int64s) -> NDArray[np.bool_]:
    """Whether an influencer brought the order from a live room rather than by a video."""
    live: NDArray[np.bool_] = disguise.shares(baskets, "doudian live") < _LIVE_SHARE
    return live


def author_id(influencer: int) -> int:
    """The platform's number of an influencer."""
    return _AUTHOR_BASE + influencer * 7919


def room_id(influencer: int, day: int) -> int:
    """The platform's number of an influencer's live room of one day."""
    return _ROOM_BASE + day * 1000 + influencer


def video_id(influencer: int, day: int) -> str:
    """The platform's number of an influencer's video, a new one each week."""
    return str(_ROOM_BASE + 500_000_000 + day // 7 * 1000 + influencer)


def _base64(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
