"""The Douyin Shop open platform's calling protocol: query, signature, refusals, parameters.

A refusal is an answer with HTTP status 200 and a code other than 10000, here as on the platform.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from regulars.sandbox.protocol import Access

SUCCESS = 10000
LARGEST_PAGE_SIZE = 100
DEEPEST_RECORD = 50_000
"""page * size may not pass it."""
DEPTH_DAYS = 90
TIMESTAMP_TOLERANCE_SECONDS = 600
_GMT8 = 8 * 3600

Query = Mapping[str, str]
Parameters = Mapping[str, Any]


class Refusal(Exception):
    """What the platform answers instead of data; a client sees it as JSON."""

    def __init__(self, code: int, sub_code: str = "", sub_message: str = "") -> None:
        super().__init__(f"{code} {sub_code}")
        self.code, self.sub_code, self.sub_message = code, sub_code, sub_message

    @property
    def message(self) -> str:
        """The platform's word for the code."""
        return _MESSAGES.get(self.code, "error")


_MESSAGES = {
    20000: "service unavailable",
    30001: "permission denied",
    40001: "missing parameter",
    40002: "missing parameter",
    40003: "invalid parameter",
    40004: "invalid parameter",
    50001: "platform processing failed",
    50002: "business processing failed",
    60000: "rate limited",
    70000: "api offline",
}


def envelope(data: Any, log_id: str, *, with_old_names: bool) -> dict[str, Any]:
    """The body of a successful answer; old names are left out for clients that ask for that."""
    body = {
        "code": SUCCESS,
        "msg": "success",
        "sub_code": "",
        "sub_msg": "",
        "log_id": log_id,
        "data": data,
    }
    return {"err_no": 0, "message": "success", **body} if with_old_names else body


def refusal_envelope(refusal: Refusal, log_id: str, *, with_old_names: bool) -> dict[str, Any]:
    """The body of a refusal."""
    body = {
        "code": refusal.code,
        "msg": refusal.message,
        "sub_code": refusal.sub_code,
        "sub_msg": refusal.sub_message,
        "log_id": log_id,
        "data": None,
    }
    old = {"err_no": refusal.code, "message": refusal.message}
    return {**old, **body} if with_old_names else body


def signature(query: Query, body: str, secret: str) -> str:
    """Lower-case hexadecimal signature over the fixed names and the body as it was received.

    Raises:
        Refusal: the query names a method that is neither of the two.
    """
    names = ("app_key", "method", "param_json", "timestamp", "v")
    values = {**query, "param_json": body}
    text = secret + "".join(name + values.get(name, "") for name in names) + secret
    kind = query.get("sign_method") or "md5"
    if kind == "hmac-sha256":
        return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    if kind == "md5":
        # The older alternative, which the platform still takes.
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    raise Refusal(40003, "isv.signature-invalid", "unknown sign_method")


def verify_call(
    path: str, query: Query, body: str, access: Access, machine_seconds: float | None
) -> str:
    """Check everything that every call carries but its token.

    ``machine_seconds`` is the machine's present (unix), None to accept any timestamp.

    Returns:
        The method's name.

    Raises:
        Refusal: with the code of the first thing that is wrong.
    """
    method = path.strip("/").replace("/", ".")
    if query.get("method") != method:
        raise Refusal(40003, "isv.method-invalid", "method and path differ")
    if query.get("app_key") != access.app_key:
        raise Refusal(40003, "isv.app-id-invalid", "unknown app_key")
    if query.get("v") != "2":
        raise Refusal(40003, "isv.parameter-invalid", "v must be 2")
    _verify_timestamp(query.get("timestamp", ""), machine_seconds)
    given = query.get("sign", "")
    if not given:
        raise Refusal(40001, "isv.signature-missing")
    expected = signature(query, body, access.app_secret)
    if not hmac.compare_digest(given.encode(), expected.encode()):
        raise Refusal(40003, "isv.signature-invalid")
    return method


def _verify_timestamp(text: str, machine_seconds: float | None) -> None:
    try:
        # The official SDK sends unix seconds, other clients the platform's wall clock.
        seconds = int(text) if text.isdigit() else _unix_seconds(text)
    except ValueError:
        raise Refusal(40003, "isv.timestamp-invalid") from None
    if machine_seconds is None:
        return
    if abs(seconds - machine_seconds) > TIMESTAMP_TOLERANCE_SECONDS:
        raise Refusal(40003, "isv.timestamp-invalid", "more than 10 minutes off")


def _unix_seconds(text: str) -> int:
    moment = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return int(moment.timestamp()) - _GMT8


def parsed(body: str) -> Parameters:
    """The parameters of a call.

    Raises:
        Refusal: the body is no JSON object.
    """
    try:
        value = orjson.loads(body or "{}")
    except orjson.JSONDecodeError:
        raise Refusal(40003, "isv.parameter-format-invalid", "no JSON") from None
    if not isinstance(value, dict):
        raise Refusal(40003, "isv.parameter-format-invalid", "no JSON object")
    return value


def whole_number(parameters: Parameters, name: str, default: int, low: int, high: int) -> int:
    """A whole-number parameter within bounds.

    Raises:
        Refusal: it is no whole number or out of bounds.
    """
    value: object = parameters.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refusal(40003, "isv.parameter-format-invalid", f"{name} is no whole number")
    if not low <= value <= high:
        raise Refusal(40004, "isv.parameter-invalid", f"{name} is not within {low} and {high}")
    return value


def seconds_of(parameters: Parameters, name: str) -> int | None:
    """A time parameter in unix seconds; None when absent.

    Raises:
        Refusal: it is no such number.
    """
    if parameters.get(name) is None:
        return None
    return whole_number(parameters, name, 0, 0, 2**40)


def text_of(parameters: Parameters, name: str) -> str:
    """A text parameter; empty when absent.

    Raises:
        Refusal: it is no text.
    """
    value = parameters.get(name, "")
    if not isinstance(value, str):
        raise Refusal(40003, "isv.parameter-format-invalid", f"{name} is no text")
    return value
