"""Calls to the gateway: what is repeated, what is waited out, what ends the extraction.

| answer | reaction |
|---|---|
| HTTP 429, 5xx, timeout, broken connection | again, waiting twice as long or as Retry-After says |
| no JSON (cut in the middle, an HTML page) | again; then SourceUnavailable |
| ``isp.*``, code 10, code 8 | again, waiting twice as long each time |
| a ban that names its seconds | those seconds and one more, then again |
| daily quota | QuotaExhausted |
| key, signature, session, permission, clock | AuthenticationFailed, never again |
| parameters, unknown answers | SchemaChanged, never again |
| other ``isv.*`` and business errors | SourceError, never again |

Errors carry codes only: messages of the platform may repeat what was sent.
"""

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

from regulars.errors import (
    AuthenticationFailed,
    QuotaExhausted,
    SchemaChanged,
    SourceError,
)
from regulars.sources.calling import (
    Repeat,
    Repeater,
    RetryPolicy,
    http_client,
    parsed_object,
    repeat_unless_answered,
    transport_faults,
)
from regulars.sources.taobao_top.auth import TopCredentials, signed_parameters

_BAN = re.compile(r"ban will last for (\d+) more second")
_CODE = re.compile(r"[A-Za-z0-9_.:\-]{1,120}")

_DAILY_QUOTA = "accesscontrol.limited-by-app-access-count"
_QUOTA_CODES = frozenset({4, 5, 6})
_THROTTLED = frozenset({7, 8})
_AUTHENTICATION = frozenset({11, 12, 13, 24, 25, 26, 27, 28, 29, 30, 31})
_REQUEST = frozenset({3, 9, 21, 22, 23, 32, 33, 34, 40, 41, 42, 43})


class TopClient:
    """Signed calls of one app for one seller."""

    def __init__(
        self,
        credentials: TopCredentials,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        machine_now: Callable[[], datetime] = lambda: datetime.now(UTC),
        policy: RetryPolicy | None = None,
        timeout_seconds: float = 30.0,
    ) -> None:
        self._credentials = credentials
        self._http = http_client(credentials.gateway, transport, timeout_seconds)
        self._repeater = Repeater(policy, sleep)
        self._machine_now = machine_now

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def call(
        self, method: str, parameters: Mapping[str, str], *, attempts: int | None = None
    ) -> dict[str, Any]:
        """The body of one method's answer: what stands inside ``<method>_response``.

        Numbers with a decimal point come out as text, exactly as they were written.

        Raises:
            SourceUnavailable: still failing after every repetition.
            QuotaExhausted: the daily quota is used up.
            AuthenticationFailed: key, signature, session, permission or clock are refused.
            SchemaChanged: the request or the answer has a shape that is not documented.
            SourceError: any other refusal.
        """
        return self._repeater.run(lambda: self._once(method, parameters), method, attempts=attempts)

    def _once(self, method: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        signed = signed_parameters(self._credentials, method, parameters, self._machine_now())
        with transport_faults():
            answer = self._http.post(self._credentials.gateway, data=signed)
        repeat_unless_answered(answer)
        if answer.status_code in (401, 403):
            raise _authentication(f"HTTP {answer.status_code}", method)
        if answer.status_code != 200:
            raise SchemaChanged(
                f"the gateway answered HTTP {answer.status_code}",
                where=method,
                next_step="check the gateway address in the connection's host",
            )
        return _body(parsed_object(answer), method)


def _body(value: dict[str, Any], method: str) -> dict[str, Any]:
    error = value.get("error_response")
    if isinstance(error, dict):
        raise _refusal(error, method)
    body = value.get(method.removeprefix("taobao.").replace(".", "_") + "_response")
    if not isinstance(body, dict):
        raise SchemaChanged(
            "the answer has neither the method's envelope nor an error",
            where=method,
            next_step="compare the platform's documentation with the source's payload model",
        )
    return body


def _refusal(error: dict[str, Any], method: str) -> Exception:
    code = error.get("code")
    number = int(code) if isinstance(code, int | str) and str(code).isdecimal() else -1
    sub_code = str(error.get("sub_code") or "")
    shown = sub_code if _CODE.fullmatch(sub_code) else ""
    reason = f"code {number}" + (f", {shown}" if shown else "")
    if sub_code == _DAILY_QUOTA or number in _QUOTA_CODES:
        return QuotaExhausted(
            f"the daily quota is used up ({reason})",
            where=method,
            next_step="run the night again after 00:00 GMT+8; what is missing is asked again",
        )
    if number in _THROTTLED or "call-limited" in sub_code:
        ban = _BAN.search(f"{error.get('sub_msg') or ''} {error.get('msg') or ''}")
        if ban:
            return Repeat(f"throttled ({reason})", float(ban.group(1)) + 1.0, is_ban=True)
        return Repeat(f"throttled ({reason})")
    if sub_code.startswith("isp.") or number == 10:
        return Repeat(f"the platform failed ({reason})")
    if number in _AUTHENTICATION:
        return _authentication(reason, method)
    if number in _REQUEST:
        return SchemaChanged(
            f"the platform refuses the request ({reason})",
            where=method,
            next_step="compare the platform's documentation with the source's streams",
        )
    return SourceError(
        f"the platform refuses the call ({reason})",
        where=method,
        next_step="look the code up in the platform's documentation",
    )


def _authentication(reason: str, method: str) -> AuthenticationFailed:
    if reason.startswith(("code 30", "code 31")):
        step = "set this machine's clock; the gateway tolerates ten minutes"
    elif reason.startswith(("code 26", "code 27")):
        step = "authorise the app again and put the new session into the connection's extra"
    else:
        step = "check app key, app secret, session and permissions of the connection"
    return AuthenticationFailed(
        f"the platform refuses the caller ({reason})", where=method, next_step=step
    )
