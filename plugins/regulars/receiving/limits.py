"""Who may call, how often, and whether a body is signed."""

import hmac
import re
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from regulars.receiving.config import Network

SIGNATURE_HEADER = "x-regulars-signature"
SIGNATURE_SECONDS = 300
"""A signature counts for so long, either way: long enough for two clocks, too short to keep."""

_SIGNATURE = re.compile(r"t=(\d{1,12}),v1=([0-9a-f]{64})")


class Bucket:
    """At most ``per_minute`` in a row, refilled evenly. Not for several threads.

    Args:
        per_minute: how many may come in a minute.
        seconds: a clock that only moves forward.
    """

    def __init__(self, per_minute: int, seconds: Callable[[], float]) -> None:
        self._size = float(per_minute)
        self._rate = per_minute / 60
        self._seconds = seconds
        self._level = self._size
        self._at = seconds()

    def take(self) -> int:
        """Take one; 0 when there was one, else whole seconds after which there will be."""
        now = self._seconds()
        self._level = min(self._size, self._level + (now - self._at) * self._rate)
        self._at = now
        if self._level >= 1:
            self._level -= 1
            return 0
        return max(1, -int(-((1 - self._level) / self._rate) // 1))


def caller(peer: str, forwarded_for: Sequence[str], trusted: Sequence[Network]) -> str:
    """The address that called: the last one in X-Forwarded-For that no trusted proxy added.

    Args:
        peer: the other end of the connection.
        forwarded_for: values of the header, in order; anybody may have written them.
        trusted: networks of our own proxies.
    """
    hops = [hop.strip() for value in forwarded_for for hop in value.split(",") if hop.strip()]
    address = peer
    while hops and is_within(address, trusted):
        address = hops.pop()
    return address


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Whether an address lies in one of the networks; False for what is no address."""
    try:
        found: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return any((mapped or found) in network for network in networks)


def sign(key: str, body: bytes, at: int) -> str:
    """The header by which a body is signed: time in seconds since 1970, and HMAC-SHA256."""
    digest = hmac.digest(key.encode(), str(at).encode() + b"." + body, "sha256").hex()
    return f"t={at},v1={digest}"


def is_signed(key: str, body: bytes, header: str, now: float) -> bool:
    """Whether ``header`` signs this body with this key, and lately."""
    match = _SIGNATURE.fullmatch(header)
    if match is None:
        return False
    at = int(match[1])
    is_equal = hmac.compare_digest(sign(key, body, at).encode(), header.encode())
    return is_equal and abs(now - at) <= SIGNATURE_SECONDS
