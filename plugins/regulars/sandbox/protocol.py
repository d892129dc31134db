"""The Taobao open platform's calling protocol: parameters, signature, refusals.

A refusal is an answer, not an error of this program: the platform sends it as JSON with HTTP
status 200, and so does the sandbox.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

PLATFORM_ZONE = timezone(timedelta(hours=8))
TIMESTAMP_TOLERANCE_SECONDS = 600
DAY_SECONDS = 86_400
DEFAULT_PAGE_SIZE = 40
LARGEST_PAGE_SIZE = 100

Parameters = Mapping[str, str]


class Refusal(Exception):
    """The platform's error envelope. Never reaches a user of Regulars; a client sees it as JSON."""

    def __init__(self, code: int, message: str, sub_code: str = "", sub_message: str = "") -> None:
        super().__init__(message)
        self.code, self.message = code, message
        self.sub_code, self.sub_message = sub_code, sub_message

    def envelope(self, request_id: str) -> dict[str, Any]:
        """The JSON body."""
        body: dict[str, Any] = {"code": self.code, "msg": self.message}
        if self.sub_code:
            body["sub_code"] = self.sub_code
        if self.sub_message:
            body["sub_msg"] = self.sub_message
        return {"error_response": {**body, "request_id": request_id}}


@dataclass(frozen=True)
class Access:
    """What the sandbox accepts; ``repr`` shows no secret."""

    app_key: str
    app_secret: str = field(repr=False)
    session: str = field(repr=False)


def signature(parameters: Parameters, secret: str, method: str) -> str:
    """Upper-case hexadecimal signature over all parameters but ``sign`` and empty ones.

    ``method`` is ``md5``, ``hmac`` or ``hmac-sha256``.

    Raises:
        Refusal: another method.
    """
    text = "".join(
        f"{name}{parameters[name]}"
        for name in sorted(parameters, key=str.encode)
        if name and name != "sign" and parameters[name]
    )
    message, key = text.encode(), secret.encode()
    if method == "md5":
        # MD5 is what the platform's protocol prescribes.
        return hashlib.md5(key + message + key, usedforsecurity=False).hexdigest().upper()
    if method == "hmac":
        return hmac.new(key, message, hashlib.md5).hexdigest().upper()
    if method == "hmac-sha256":
        return hmac.new(key, message, hashlib.sha256).hexdigest().upper()
    raise Refusal(25, "Invalid Signature", "isv.invalid-parameter:sign_method")


def verify_call(
    parameters: Parameters, access: Access, methods: frozenset[str], machine_seconds: float | None
) -> str:
    """Check everything a call must carry before its business parameters are read.

    ``machine_seconds`` is the machine's present (epoch seconds), None to accept any timestamp.

    Returns:
        The method's name.

    Raises:
        Refusal: with the code of the first thing that is wrong.
    """
    method = parameters.get("method", "")
    if not method:
        raise Refusal(21, "Missing Method")
    if method not in methods:
        raise Refusal(22, "Invalid Method")
    _expect(parameters, "app_key", access.app_key, 28, "App Key")
    _verify_timestamp(parameters, machine_seconds)
    _expect(parameters, "v", "2.0", 32, "Version")
    if parameters.get("format", "xml").lower() != "json":
        # The platform's default is XML; the sandbox speaks JSON only and says so.
        raise Refusal(23, "Invalid Format", sub_message="the sandbox answers format=json only")
    given = parameters.get("sign", "")
    if not given:
        raise Refusal(24, "Missing Signature")
    expected = signature(parameters, access.app_secret, parameters.get("sign_method", "md5"))
    if not hmac.compare_digest(given.encode(), expected.encode()):
        raise Refusal(25, "Invalid Signature")
    if not parameters.get("session"):
        raise Refusal(26, "Missing Session")
    if not hmac.compare_digest(parameters["session"].encode(), access.session.encode()):
        raise Refusal(27, "Invalid Session", "invalid-sessionkey", "sessionkey is not valid")
    return method


def envelope_name(method: str) -> str:
    """Name of the success envelope: ``trades_sold_get_response`` and the like."""
    return method.removeprefix("taobao.").replace(".", "_") + "_response"


def required(parameters: Parameters, name: str) -> str:
    """A business parameter that must be there.

    Raises:
        Refusal: it is missing or empty.
    """
    value = parameters.get(name, "")
    if not value:
        raise Refusal(40, "Missing Required Arguments", f"isv.missing-parameter:{name}")
    return value


def whole_number(parameters: Parameters, name: str, default: int, low: int, high: int) -> int:
    """A whole-number parameter within bounds.

    Raises:
        Refusal: it is no number or out of bounds.
    """
    text = parameters.get(name) or str(default)
    if text.isascii() and text.isdigit() and low <= int(text) <= high:
        return int(text)
    raise invalid(name, f"a whole number from {low} to {high}")


def flag(parameters: Parameters, name: str) -> bool:
    """A boolean parameter; absent means false."""
    return parameters.get(name, "").lower() == "true"


def wall_time(parameters: Parameters, name: str) -> int | None:
    """A time parameter (``YYYY-MM-DD HH:MM:SS``, GMT+8) as wall seconds; None when absent.

    Raises:
        Refusal: it is no such time.
    """
    text = parameters.get(name, "")
    if not text:
        return None
    try:
        return _wall_seconds(text)
    except ValueError:
        raise invalid(name, "a time such as 2017-10-01 00:00:00") from None


def invalid(name: str, expected: str) -> Refusal:
    """The refusal of a business parameter."""
    return Refusal(41, "Invalid Arguments", f"isv.invalid-parameter:{name}", f"expected {expected}")


def _expect(parameters: Parameters, name: str, expected: str, code: int, title: str) -> None:
    if not parameters.get(name):
        raise Refusal(code, f"Missing {title}")
    if parameters[name] != expected:
        raise Refusal(code + 1, f"Invalid {title}")


def _verify_timestamp(parameters: Parameters, machine_seconds: float | None) -> None:
    text = parameters.get("timestamp", "")
    if not text:
        raise Refusal(30, "Missing Timestamp")
    try:
        # Both notations occur: generated clients send epoch milliseconds.
        epoch = int(text) / 1000 if text.isdigit() else _wall_seconds(text) - 8 * 3600
    except ValueError:
        raise Refusal(31, "Invalid Timestamp") from None
    if machine_seconds is None:
        return
    if abs(epoch - machine_seconds) > TIMESTAMP_TOLERANCE_SECONDS:
        raise Refusal(31, "Invalid Timestamp", sub_message="more than 10 minutes off")


def _wall_seconds(text: str) -> int:
    moment = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return int(moment.timestamp())
