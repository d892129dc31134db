"""Calls to the gateway: what is repeated, what is renewed, what ends the extraction.

| answer | reaction |
|---|---|
| HTTP 429, 5xx, timeout, broken connection | again, waiting twice as long or as Retry-After says |
| no JSON (cut in the middle, an HTML page) | again; then SourceUnavailable |
| 43, 65, 66, 67 (busy, connection errors) | again, waiting twice as long each time |
| a business result without success | again; then SourceUnavailable with the result's number |
| 2 | QuotaExhausted |
| 18, 19 (token) | the token is renewed once; then AuthenticationFailed |
| 7, 8 (timestamp), 11, 12 (signature), 20, 21, 24 (app), HTTP 401, 403 | AuthenticationFailed |
| 4, 5, 14, 15 (version, method), unknown answers | SchemaChanged |
| any other code | SourceError |

Errors carry codes only: messages of the platform may repeat what was sent.
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
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
from regulars.sources.jd_jos.auth import JdCredentials, Token, signed_parameters

_QUOTA = frozenset({2})
_BUSY = frozenset({43, 65, 66, 67})
_CLOCK = frozenset({7, 8})
_TOKEN = frozenset({18, 19})
_CALLER = frozenset({11, 12, 20, 21, 24})
_REQUEST = frozenset({4, 5, 14, 15})
_RENEWAL = "oauth2/refresh_token"


class _TokenRefused(Exception):
    """The gateway does not take the token; ``reason`` carries the code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class JdClient:
    """Signed calls of one app for one seller.

    A token in its last 24 hours is renewed before the next call, one that is refused is renewed
    once. ``renewed`` is the new token, None as long as the connection's own is in use;
    ``remember`` is told it at once, because the former one cannot be renewed again.
    """

    def __init__(
        self,
        credentials: JdCredentials,
        *,
        remember: Callable[[Token], None] = lambda _: None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        machine_now: Callable[[], datetime] = lambda: datetime.now(UTC),
        policy: RetryPolicy | None = None,
    ) -> None:
        self._credentials = credentials
        self._token = credentials.token
        self._remember = remember
        self._machine_now = machine_now
        self._repeater = Repeater(policy, sleep)
        self._may_renew = bool(credentials.token.refresh)
        self.renewed: Token | None = None
        verified = next(
            (url for url in (credentials.oauth, credentials.gateway) if url.startswith("https:")),
            credentials.gateway,
        )
        self._http = http_client(verified, transport)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def call(
        self,
        method: str,
        business: Mapping[str, object],
        check: Callable[[dict[str, Any]], None] | None = None,
        *,
        attempts: int | None = None,
    ) -> dict[str, Any]:
        """The body of one method's answer: what stands inside ``<method>_responce``.

        Numbers with a decimal point come out as text, exactly as they were written.

        Args:
            method: API name.
            business: the method's own parameters.
            check: looks at the body; raises Repeat when its business result is no success.
            attempts: instead of the policy's.

        Raises:
            SourceUnavailable: still failing after every repetition.
            QuotaExhausted: the daily quota is used up.
            AuthenticationFailed: key, signature, token, permission or clock are refused.
            SchemaChanged: the request or the answer has a shape that is not documented.
            SourceError: any other refusal.
        """

        def once() -> dict[str, Any]:
            body = self._once(method, business)
            if check is not None:
                check(body)
            return body

        if self._may_renew and self._token.is_due(self._machine_now()):
            self._renew_early()
        try:
            return self._repeater.run(once, method, attempts=attempts)
        except _TokenRefused as refused:
            if not self._may_renew:
                raise _authentication(refused.reason, method, _AUTHORISE) from None
        self._renew()
        try:
            return self._repeater.run(once, method, attempts=attempts)
        except _TokenRefused as refused:
            raise _authentication(refused.reason, method, _AUTHORISE) from None

    def _once(self, method: str, business: Mapping[str, object]) -> dict[str, Any]:
        signed = signed_parameters(
            self._credentials, self._token, method, business, self._machine_now()
        )
        return _body(self._posted(self._credentials.gateway, signed, method), method)

    def _posted(self, url: str, form: dict[str, str], where: str) -> dict[str, Any]:
        with transport_faults():
            answer = self._http.post(url, data=form)
        repeat_unless_answered(answer)
        if answer.status_code in (401, 403):
            raise _authentication(f"HTTP {answer.status_code}", where, _CHECK)
        if answer.status_code != 200:
            raise SchemaChanged(
                f"the gateway answered HTTP {answer.status_code}",
                where=where,
                next_step="check the gateway address in the connection's host",
            )
        return parsed_object(answer)

    def _renew_early(self) -> None:
        try:
            self._renew()
        except SourceError:
            # The present token still counts; should it be refused, the error says what to do.
            self._may_renew = False

    def _renew(self) -> None:
        self._may_renew = False
        # In the body, not in the address, which may be logged.
        form = {
            "app_key": self._credentials.app_key,
            "app_secret": self._credentials.app_secret,
            "grant_type": "refresh_token",
            "refresh_token": self._token.refresh,
        }
        try:
            value = self._repeater.run(
                lambda: self._posted(self._credentials.oauth, form, _RENEWAL), _RENEWAL
            )
        except (AuthenticationFailed, SchemaChanged) as refused:
            raise _authentication(f"renewal: {refused.what}", _RENEWAL, _AUTHORISE) from None
        access, seconds = value.get("access_token"), str(value.get("expires_in"))
        if not isinstance(access, str) or not access:
            number = _number(value.get("code"))
            raise _authentication(f"renewal refused, code {number}", _RENEWAL, _AUTHORISE)
        expires_at = None
        if seconds.isdecimal():
            expires_at = self._machine_now() + timedelta(seconds=int(seconds))
        refresh = str(value.get("refresh_token") or self._token.refresh)
        self._token = self.renewed = Token(access, refresh, expires_at)
        self._remember(self._token)


def _body(value: dict[str, Any], method: str) -> dict[str, Any]:
    error = value.get("error_response")
    if isinstance(error, dict):
        raise _refusal(error, method)
    body = value.get(method.replace(".", "_") + "_responce")
    if isinstance(body, dict):
        if str(body.get("code", "0")) != "0":
            raise _refusal(body, method)
        return body
    if "code" in value:  # the second form, without a wrapper
        raise _refusal(value, method)
    raise SchemaChanged(
        "the answer has neither the method's envelope nor an error",
        where=method,
        next_step="compare the platform's documentation with the source's payload model",
    )


def _number(code: object) -> int:
    return int(code) if isinstance(code, int | str) and str(code).isdecimal() else -1


def _refusal(error: dict[str, Any], method: str) -> Exception:
    number = _number(error.get("code"))
    reason = f"code {number}"
    if number in _QUOTA:
        return QuotaExhausted(
            f"the quota is used up ({reason})",
            where=method,
            next_step="run the night again after 00:00 GMT+8, what is missing is asked again; "
            "if it happens every night, ask the platform for a larger quota",
        )
    if number in _BUSY:
        return Repeat(f"the platform is busy ({reason})")
    if number in _TOKEN:
        return _TokenRefused(reason)
    if number in _CLOCK:
        return _authentication(
            reason, method, "set this machine's clock; the gateway tolerates six minutes"
        )
    if number in _CALLER:
        return _authentication(reason, method, _CHECK)
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


_AUTHORISE = (
    "authorise the app again and put access_token, refresh_token and token_expires_at into the "
    "connection's extra; an expired token cannot be renewed"
)
_CHECK = "check app key, app secret and permissions of the connection"


def _authentication(reason: str, method: str, step: str) -> AuthenticationFailed:
    return AuthenticationFailed(
        f"the platform refuses the caller ({reason})", where=method, next_step=step
    )
