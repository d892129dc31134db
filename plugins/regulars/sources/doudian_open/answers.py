"""What an answer of the gateway means, and what the caller does about it.

| answer | reaction |
|---|---|
| 10000 (old replies: err_no 0) | the data |
| ``isv.access-token-expired``, ``isv.access-token-no-existed`` | renew the token once, again |
| ``isp.*``; 10001, 20000, 20001, 50001 | again, waiting twice as long each time |
| 60000 | again, waiting twice as long each time |
| 60000 with a sub code that names a quota | QuotaExhausted |
| signature, app, other token refusals, clock, 30001, 30002, 80000 | AuthenticationFailed |
| 40001 to 40004 otherwise, 70000, no data | SchemaChanged |
| 50002, 90000, any other | SourceError |

10001 (partly failed) is asked again because a list that lacks records looks complete. Errors carry
codes only: messages of the platform may repeat what was sent.
"""

import re
from typing import Any

from regulars.errors import AuthenticationFailed, QuotaExhausted, SchemaChanged, SourceError
from regulars.sources.calling import Repeat

_SUB_CODE = re.compile(r"(?:isv|isp|dop)\.[a-z0-9.\-]{1,80}")
_QUOTA = re.compile(r"quota|per-day|daily")

_SUCCESS = 10000
_THROTTLED = 60000
_PASSING = frozenset({10001, 20000, 20001, 50001})
_REQUEST = frozenset({40001, 40002, 40003, 40004, 70000})
_CALLER = frozenset({30001, 30002, 80000})

_RENEWED = frozenset({"isv.access-token-expired", "isv.access-token-no-existed"})

_KEY_STEP = "check app key and app secret of the connection"
_AUTHORISE_STEP = (
    "authorise the app for the shop again and put the new access_token and refresh_token into "
    "the connection's extra"
)
# By sub code or, where that says nothing, by code; the first that fits.
_STEPS = {
    "isv.signature": _KEY_STEP,
    "isv.app-id": _KEY_STEP,
    "isv.access-token": _AUTHORISE_STEP,
    "dop.token-generate-failed": _AUTHORISE_STEP,
    "dop.authorization": _AUTHORISE_STEP,
    "isv.timestamp": "set this machine's clock; calls carry its unix seconds",
    "isv.app-permissions": "apply for the API's permission in the app's console",
    "30001": "check the app's permissions and the shop's authorisation in the app's console",
    "30002": "add this machine's address to the app's list of allowed addresses",
    "80000": "read the security notice in the app's console before any further call",
}


class TokenRefused(Exception):
    """The access token is no longer accepted, and a new one may be; ``reason`` is its code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def data_of(reply: dict[str, Any], method: str) -> dict[str, Any]:
    """The data of a reply.

    Args:
        reply: the answer's JSON object, new style (code) or old style (err_no).
        method: API name, for the error.

    Raises:
        TokenRefused: the access token has expired.
        Repeat: the call may succeed later.
        QuotaExhausted: the quota is used up.
        AuthenticationFailed: key, signature, token, permission, address or clock are refused.
        SchemaChanged: request or answer have a shape that is not documented.
        SourceError: any other refusal.
    """
    number = _code(reply)
    if number != _SUCCESS:
        raise _refusal(number, str(reply.get("sub_code") or ""), method)
    data = reply.get("data")
    if not isinstance(data, dict):
        raise _changed("the answer has no data object", method)
    return data


def authentication_failed(reason: str, method: str) -> AuthenticationFailed:
    """The error of a caller who is refused for good; ``reason`` is ``code 30001, isv.x``."""
    keys = reason.removeprefix("code ").split(", ")
    step = next(
        (text for start, text in _STEPS.items() for key in keys[::-1] if key.startswith(start)),
        "check app key, app secret, tokens and permissions of the connection",
    )
    return AuthenticationFailed(
        f"the platform refuses the caller ({reason})", where=method, next_step=step
    )


def _code(reply: dict[str, Any]) -> int | None:
    """The reply's code; an old reply's err_no, whose success is 0. None for neither."""
    for name, success in (("code", _SUCCESS), ("err_no", 0)):
        text = str(reply.get(name, "")).strip()
        if text.isascii() and text.isdigit():
            number = int(text)
            return _SUCCESS if number == success else number
    return None


def _refusal(number: int | None, sub_code: str, method: str) -> Exception:
    if number is None:
        return _changed("the answer has no code", method)
    # What follows a colon is free text.
    sub = sub_code.partition(":")[0]
    sub = sub if _SUB_CODE.fullmatch(sub) else ""
    reason = f"code {number}" + (f", {sub}" if sub else "")
    if sub in _RENEWED:
        return TokenRefused(reason)
    if number == _THROTTLED and _QUOTA.search(sub):
        return QuotaExhausted(
            f"the daily quota is used up ({reason})",
            where=method,
            next_step="run the night again after 00:00 GMT+8; what is missing is asked again",
        )
    if number == _THROTTLED:
        return Repeat(f"throttled ({reason})")
    if sub.startswith("isp."):
        return Repeat(f"the platform failed ({reason})")
    if number in _CALLER or any(sub and sub.startswith(start) for start in _STEPS):
        return authentication_failed(reason, method)
    if number in _PASSING:
        return Repeat(f"the platform failed ({reason})")
    if number in _REQUEST:
        return _changed(f"the platform refuses the request ({reason})", method)
    return SourceError(
        f"the platform refuses the call ({reason})",
        where=method,
        next_step="look the code up in the platform's documentation",
    )


def _changed(what: str, method: str) -> SchemaChanged:
    return SchemaChanged(
        what,
        where=method,
        next_step="compare the platform's documentation with the source's streams",
    )
