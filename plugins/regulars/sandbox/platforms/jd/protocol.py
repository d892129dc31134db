"""JD's calling protocol: parameters, signature, refusals.

The gateway's refusals come as ``error_response`` with HTTP status 200. A method that did not
succeed answers in its own envelope, with a result that says so.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from regulars.sandbox.protocol import PLATFORM_ZONE

TIMESTAMP_TOLERANCE_SECONDS = 360
BUSINESS_PARAMETER = "360buy_param_json"

_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.(\d{3}))?([+-]\d{4})?")
_WALL = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


class Refusal(Exception):
    """The gateway's error; a client sees it as JSON. ``is_bare``: without its wrapper."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text

    def envelope(self, *, is_bare: bool) -> dict[str, Any]:
        """The JSON body, in one of the two forms that occur."""
        if is_bare:
            return {"code": str(self.code), "errorMessage": self.text}
        error = {"code": str(self.code), "zh_desc": self.text, "en_desc": self.text}
        return {"error_response": error}


class Failure(Exception):
    """A method's own failure; a client sees it inside the method's result."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.number, self.text = number, text


def signature(parameters: Mapping[str, str], secret: str) -> str:
    """MD5 in upper-case hex over every parameter but ``sign``, between two secrets."""
    digest = hashlib.md5(secret.encode(), usedforsecurity=False)
    for name in sorted(set(parameters) - {"sign"}):
        digest.update((name + parameters[name]).encode())
    digest.update(secret.encode())
    return digest.hexdigest().upper()


def verify_call(
    parameters: Mapping[str, str],
    app_key: str,
    app_secret: str,
    methods: frozenset[str],
    machine_seconds: float | None,
) -> str:
    """Check everything but the token; ``machine_seconds`` None accepts any timestamp.

    Returns:
        The method's name.

    Raises:
        Refusal: with the code of the first thing that is wrong.
    """
    method = parameters.get("method", "")
    if not method:
        raise Refusal(14, "Missing Method")
    if method not in methods:
        raise Refusal(15, "Invalid Method")
    if not parameters.get("v"):
        raise Refusal(4, "Missing Version")
    if parameters["v"] != "2.0":
        raise Refusal(5, "Unsupported Version")
    _verify_timestamp(parameters.get("timestamp", ""), machine_seconds)
    if not parameters.get("app_key"):
        raise Refusal(20, "Missing App Key")
    if parameters["app_key"] != app_key:
        raise Refusal(21, "Invalid App Key")
    given = parameters.get("sign", "")
    if not given:
        raise Refusal(11, "Missing Signature")
    if not hmac.compare_digest(given.encode(), signature(parameters, app_secret).encode()):
        raise Refusal(12, "Invalid Signature")
    return method


def _verify_timestamp(text: str, machine_seconds: float | None) -> None:
    if not text:
        raise Refusal(7, "Missing Timestamp")
    match = _TIMESTAMP.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        moment = datetime.strptime(match[1] + (match[3] or "+0800"), "%Y-%m-%d %H:%M:%S%z")
    except ValueError:
        raise Refusal(8, "Invalid Timestamp") from None
    if machine_seconds is None:
        return
    if abs(moment.timestamp() - machine_seconds) > TIMESTAMP_TOLERANCE_SECONDS:
        raise Refusal(8, "Invalid Timestamp")


def envelope_name(method: str) -> str:
    """Name of the success envelope, misspelt as the platform does."""
    return method.replace(".", "_") + "_responce"


def business_parameters(parameters: Mapping[str, str]) -> dict[str, Any]:
    """The method's own parameters.

    Raises:
        Failure: they are no JSON object.
    """
    try:
        value = json.loads(parameters.get(BUSINESS_PARAMETER) or "{}")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Failure(1001, f"{BUSINESS_PARAMETER} is not a JSON object")
    return value


def wall_time(business: Mapping[str, Any], name: str) -> int:
    """A time parameter as wall seconds.

    Raises:
        Failure: it is missing or no such time.
    """
    text = business.get(name)
    if not isinstance(text, str) or not _WALL.fullmatch(text):
        raise Failure(1002, f"{name}: a time such as 2017-10-01 00:00:00 is needed")
    try:
        moment = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        raise Failure(1002, f"{name} does not exist") from None
    return int(moment.timestamp())


def number_text(business: Mapping[str, Any], name: str, largest: int) -> int:
    """A whole number from 1 that must be written as a string.

    Raises:
        Failure: it is missing, no string, no number or too large.
    """
    text = business.get(name)
    if not isinstance(text, str):
        raise Failure(1003, f"{name} must be a string")
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= largest):
        raise Failure(1004, f"{name}: a number from 1 to {largest} is needed")
    return int(text)


def whole_number(business: Mapping[str, Any], name: str, default: int, largest: int) -> int:
    """A whole number from 1.

    Raises:
        Failure: it is no number or out of bounds.
    """
    value: object = business.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= largest:
        raise Failure(1004, f"{name}: a number from 1 to {largest} is needed")
    return value


def months_before(wall: int, months: int) -> int:
    """Wall seconds so many calendar months earlier; the last day of a shorter month."""
    moment = datetime.fromtimestamp(wall, UTC)
    year, month = divmod(moment.year * 12 + moment.month - 1 - months, 12)
    following = datetime(year + (month + 1) // 12, (month + 1) % 12 + 1, 1, tzinfo=UTC)
    day = min(moment.day, (following - timedelta(days=1)).day)
    return int(moment.replace(year=year, month=month + 1, day=day).timestamp())


def wall_milliseconds(wall: int) -> int:
    """Wall seconds of GMT+8 as the milliseconds since 1970 that some apps are given."""
    moment = datetime.fromtimestamp(wall, UTC).replace(tzinfo=PLATFORM_ZONE)
    return int(moment.timestamp()) * 1000
