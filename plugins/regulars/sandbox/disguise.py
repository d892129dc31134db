"""Deterministic disguises: what a platform would know of a buyer and the source data does not say.

Everything is a pure function of a household, basket or line number, so that two machines, two
runs and the two ways out of the sandbox (API and file drop) always agree. Phone numbers begin with
12, a range that is not assigned to anybody; mail addresses end in the reserved ``.invalid``.
"""

import base64
import hashlib

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]

_SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗"
_PLACES = (
    ("上海", "上海市", "浦东新区", "张杨路"),
    ("北京", "北京市", "朝阳区", "建国路"),
    ("广东省", "广州市", "天河区", "中山大道"),
    ("广东省", "深圳市", "福田区", "深南大道"),
    ("浙江省", "杭州市", "西湖区", "文三路"),
    ("江苏省", "南京市", "鼓楼区", "中山北路"),
    ("江苏省", "苏州市", "姑苏区", "人民路"),
    ("四川省", "成都市", "武侯区", "人民南路"),
    ("湖北省", "武汉市", "江汉区", "解放大道"),
    ("陕西省", "西安市", "雁塔区", "长安路"),
    ("山东省", "青岛市", "市南区", "香港中路"),
    ("福建省", "厦门市", "思明区", "湖滨南路"),
)

# Two factors of a product that is prime to 10^9: distinct households get distinct numbers.
_PHONE_STRIDE, _PHONE_SHIFT = 387_420_489, 271_828_183
# Households that share one number, as couples do: they make a contact appear twice.
_SHARED_PHONES = {2: 1, 1001: 1000, 1802: 1801}

_TID_SCALE = 1_000_000
_REFUND_ID_OFFSET = 700_000_000_000_000_000


def mixed(values: Int64s, salt: str) -> NDArray[np.uint64]:
    """A 64-bit hash of each value (splitmix64), independent for different salts."""
    seed = int.from_bytes(hashlib.sha256(salt.encode()).digest()[:8], "big")
    z = values.astype(np.uint64) + np.uint64(seed)
    z += np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: NDArray[np.uint64] = z ^ (z >> np.uint64(31))
    return result


def shares(values: Int64s, salt: str) -> NDArray[np.float64]:
    """A number in [0, 1) for each value."""
    return (mixed(values, salt) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def spread(values: Int64s, salt: str, low: int, high: int) -> Int64s:
    """A whole number in [low, high) for each value."""
    return (mixed(values, salt) % np.uint64(high - low)).astype(np.int64) + low


def trade_ids(basket_ids: Int64s, households: Int64s) -> Int64s:
    """Trade numbers (tid): above 2^53, unique, and 1000 apart from each other at least.

    The last three digits stay below 800, so that line numbers can be added to them.
    """
    buyer_digits = spread(households, "tid buyer", 0, 1000) * 1000
    return basket_ids * _TID_SCALE + buyer_digits + spread(basket_ids, "tid", 0, 800)


def line_id(tid: int, position: int, line_count: int) -> int:
    """Sub-order number (oid); equal to the tid when the trade has one line only."""
    return tid if line_count == 1 else tid + position


def line_ids(tids: Int64s, positions: Int64s, line_counts: Int64s) -> Int64s:
    """:func:`line_id` for arrays of equal length."""
    return np.where(line_counts == 1, tids, tids + positions)


def refund_ids(oids: Int64s) -> Int64s:
    """Refund numbers: one refund per line at most."""
    return oids + _REFUND_ID_OFFSET


def buyer_open_uid(household: int) -> str:
    """The platform's opaque, stable id of a buyer: ``AA`` and 22 base64url characters."""
    digest = hashlib.sha256(f"regulars sandbox buyer {household}".encode()).digest()
    return "AA" + base64.urlsafe_b64encode(digest[:16]).decode().rstrip("=")


def buyer_nick(household: int) -> str:
    """A nickname as the platform shows it: first and last character only."""
    number = _number(household, "nick")
    return f"{'abcdefghjkmnpqrstwxyz'[number % 21]}**{number // 21 % 10}"


def oaid(tid: int) -> str:
    """The platform's opaque id of the addressee of one trade."""
    digest = hashlib.sha256(f"regulars sandbox addressee {tid}".encode()).digest()
    return "1" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def phone(household: int) -> str:
    """The household's mobile number, ``12`` and nine digits; three pairs share one."""
    owner = _SHARED_PHONES.get(household, household)
    return f"12{(owner * _PHONE_STRIDE + _PHONE_SHIFT) % 1_000_000_000:09d}"


def email(household: int) -> str:
    """The household's mail address, in the reserved top-level domain ``invalid``."""
    return f"m{_number(household, 'mail') % 10**12:012d}@example.invalid"


def place(household: int) -> tuple[str, str, str, str]:
    """Province, city, district and street of a household."""
    return _PLACES[_number(household, "place") % len(_PLACES)]


def masked_receiver(household: int) -> tuple[str, str, str]:
    """Name, mobile and address of the receiver as the platform masks them."""
    surname = _SURNAMES[_number(household, "name") % len(_SURNAMES)]
    return f"{surname}**", f"*******{phone(household)[-4:]}", f"{place(household)[3]}**号*幢***室"


def _number(value: int, salt: str) -> int:
    return int(mixed(np.array([value], dtype=np.int64), salt)[0])
