"""Calls to the gateway: what is repeated, what is waited out, what ends the extraction.

| answer | reaction |
|---|---|
| HTTP 429, 5xx, timeout, broken connection | again, waiting twice as long or as Retry-After says |
| no JSON (cut in the middle, an HTML page) | again; then SourceUnavailable |
| 10019, 10035 access token expired | renewed once, then again; else AuthenticationFailed |
| 52101, 52102, 52103, 70033 limited or closed for a while | again, waiting twice as long |
| 70031 called too often | once the API's limit counts anew, then again |
| 70036 an app in its test phase has used up its calls | QuotaExhausted |
| app, signature, address, authorisation, permission, risk, clock | AuthenticationFailed |
| parameters, unknown API, an answer of another shape | SchemaChanged, never again |
| 50000 to 52004 and whatever else | SourceError, never again |

Errors carry codes only: messages of the platform may repeat what was sent.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from regulars.errors import AuthenticationFailed, QuotaExhausted, SchemaChanged, SourceError
from regulars.sources.calling import (
    Repeat,
    Repeater,
    RetryPolicy,
    http_client,
    parsed_object,
    repeat_unless_answered,
    transport_faults,
)
from regulars.sources.pdd_open.auth import PddCredentials, signed_parameters
from regulars.sources.pdd_open.pacing import Pacer

REFRESH = "pdd.pop.auth.token.refresh"
RESPONSE_KEYS = {
    "pdd.order.number.list.increment.get": "order_sn_increment_get_response",
    "pdd.order.list.get": "order_list_get_response",
    "pdd.order.basic.list.get": "order_basic_list_get_response",
    "pdd.order.information.get": "order_info_get_response",
    "pdd.refund.list.increment.get": "refund_increment_get_response",
    REFRESH: "pop_auth_token_refresh_response",
}
"""Where each answer's body stands: the names do not follow from the APIs'."""

_EXPIRED = frozenset({10019, 10035})
_PASSING = frozenset({52101, 52102, 52103, 70033})
_TOO_OFTEN = 70031
_TEST_PHASE = 70036
_PUBLIC_PARAMETER = 10001
_REQUEST = frozenset({10000, 10002, 10017, 20007, 20034, 20035, 21001, 21002, 50012, 52004})
_AUTHORISE_AGAIN = (
    "let the seller authorise the app again and put the new tokens into the connection's extra"
)
_CALLER = {
    10010: "check login (client_id) of the connection",
    10011: "read in the platform's console why the app was rejected",
    10014: _AUTHORISE_AGAIN,
    10016: "check login (client_id) of the connection, and that the app is online",
    10018: "check login (client_id) of the connection, and that the app is online",
    20004: "check password (client_secret) of the connection",
    20005: "add this machine's address to the app's list in the platform's console",
    20031: "apply for the permission package of this API in the platform's console",
    20032: "check login (client_id) and extra.access_token of the connection",
    30000: "apply for the permission package of this API in the platform's console",
    30001: "check login (client_id) of the connection",
    70032: "ask the platform why it forbids the call",
    70034: "ask the platform why it sees a risk in the seller or the app",
    70035: "ask the platform why it sees a risk in the seller or the app",
}


@dataclass(frozen=True, slots=True)
class RenewedTokens:
    """What a refresh gave; ``repr`` shows neither."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)

    def as_extra(self) -> dict[str, str]:
        """Themselves as members of a connection's extra."""
        return {"access_token": self.access_token, "refresh_token": self.refresh_token}


class _TokenExpired(Exception):
    """The access token has run out."""


class PddClient:
    """Signed calls of one app for one seller.

    Attributes:
        renewed: the tokens of the last refresh, for whoever keeps the connection; None before.
    """

    def __init__(
        self,
        credentials: PddCredentials,
        *,
        remember: Callable[[RenewedTokens], None] = lambda _: None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        elapsed: Callable[[], float] = time.monotonic,
        machine_now: Callable[[], datetime] = lambda: datetime.now(UTC),
        policy: RetryPolicy | None = None,
        timeout_seconds: float = 30.0,
    ) -> None:
        self._credentials = credentials
        self._http = http_client(credentials.gateway, transport, timeout_seconds)
        self._repeater = Repeater(policy, sleep)
        self._pacer = Pacer(sleep, elapsed)
        self._machine_now = machine_now
        self._access_token = credentials.access_token
        self._refresh_token = credentials.refresh_token
        self._is_untried = False
        self._remember = remember
        self.renewed: RenewedTokens | None = None

    @property
    def has_all_refunds(self) -> bool:
        """Whether the app may ask for refunds of every status at once."""
        return self._credentials.has_all_refunds

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def call(
        self, method: str, parameters: Mapping[str, Any], *, attempts: int | None = None
    ) -> dict[str, Any]:
        """The body of one method's answer: what stands inside its response key.

        Numbers with a decimal point come out as text, exactly as they were written. An expired
        access token is renewed on the way and used from then on.

        Raises:
            SourceUnavailable: still failing after every repetition.
            QuotaExhausted: the app has used up its calls.
            AuthenticationFailed: app, signature, token, permission or clock are refused.
            SchemaChanged: the request or the answer has a shape that is not documented.
            SourceError: any other refusal.
        """
        return self._repeater.run(lambda: self._once(method, parameters), method, attempts=attempts)

    def _once(self, method: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        try:
            body = self._answered(method, parameters, self._access_token)
        except _TokenExpired:
            self._refresh(method)
            try:
                body = self._answered(method, parameters, self._access_token)
            except _TokenExpired:
                raise _expired("the renewed access token has expired, too", method) from None
        self._is_untried = False
        return body

    def _refresh(self, method: str) -> None:
        if not self._refresh_token:
            raise _expired("the access token has expired, and there is none to renew it", method)
        if self._is_untried:
            raise _expired("the renewed access token has expired, too", method)
        try:
            body = self._answered(REFRESH, {"refresh_token": self._refresh_token}, "")
        except (_TokenExpired, SourceError) as error:
            reason = error.what if isinstance(error, SourceError) else "it has expired"
            raise _expired(f"the access token cannot be renewed: {reason}", method) from None
        tokens = [body.get("access_token"), body.get("refresh_token") or self._refresh_token]
        if not all(isinstance(one, str) and one for one in tokens):
            raise SchemaChanged(
                "the answer holds no access token",
                where=REFRESH,
                next_step="compare the platform's documentation with the source's client",
            )
        self._access_token, self._refresh_token = str(tokens[0]), str(tokens[1])
        self._is_untried = True
        self.renewed = RenewedTokens(self._access_token, self._refresh_token)
        # At once: whatever fails from here on, the former tokens may be worth nothing already.
        self._remember(self.renewed)

    def _answered(
        self, method: str, parameters: Mapping[str, Any], access_token: str
    ) -> dict[str, Any]:
        self._pacer.before(method)
        signed = signed_parameters(
            self._credentials, method, parameters, self._machine_now(), access_token
        )
        with transport_faults():
            answer = self._http.post(self._credentials.gateway, data=signed)
        repeat_unless_answered(answer)
        if answer.status_code in (401, 403):
            raise AuthenticationFailed(
                f"the platform refuses the caller (HTTP {answer.status_code})",
                where=method,
                next_step="check client_id, client_secret and tokens of the connection",
            )
        if answer.status_code != 200:
            raise SchemaChanged(
                f"the gateway answered HTTP {answer.status_code}",
                where=method,
                next_step="check the gateway address in the connection's host",
            )
        return self._body(parsed_object(answer), method)

    def _body(self, value: dict[str, Any], method: str) -> dict[str, Any]:
        error = value.get("error_response")
        if isinstance(error, dict):
            raise self._refusal(error, method)
        body = value.get(RESPONSE_KEYS[method])
        if not isinstance(body, dict):
            raise SchemaChanged(
                "the answer has neither the method's envelope nor an error",
                where=method,
                next_step="compare the platform's documentation with the client's response keys",
            )
        return body

    def _refusal(self, error: dict[str, Any], method: str) -> Exception:
        given = error.get("error_code")
        code = int(given) if isinstance(given, int | str) and str(given).isdecimal() else -1
        if code in _EXPIRED:
            return _TokenExpired()
        if code in _PASSING:
            return Repeat(f"the platform is busy (code {code})")
        if code == _TOO_OFTEN:
            return Repeat(f"called too often (code {code})", self._pacer.span(method), is_ban=True)
        return _final_refusal(code, str(error.get("error_msg") or ""), method)


def _final_refusal(code: int, message: str, method: str) -> SourceError:
    if code == _TEST_PHASE:
        return QuotaExhausted(
            f"the app has used up the calls of its test phase (code {code})",
            where=method,
            next_step="publish the app, or run the night again when its calls are counted anew; "
            "what is missing is asked again",
        )
    step = _CALLER.get(code)
    if code == _PUBLIC_PARAMETER:
        step = _public_parameter(message)
    if step is not None:
        return AuthenticationFailed(
            f"the platform refuses the caller (code {code})", where=method, next_step=step
        )
    if code in _REQUEST or code == _PUBLIC_PARAMETER:
        return SchemaChanged(
            f"the platform refuses the request (code {code})",
            where=method,
            next_step="compare the platform's documentation with the source's streams",
        )
    return SourceError(
        f"the platform refuses the call (code {code})",
        where=method,
        next_step="look the code up in the platform's documentation",
    )


def _public_parameter(message: str) -> str | None:
    """What to do about the parameter that the message names behind its colon."""
    named = message.replace("：", ":").rpartition(":")[2].strip()
    if named == "timestamp":
        return "set this machine's clock; the gateway tolerates ten minutes"
    if named in ("client_id", "access_token", "sign"):
        return f"check {named} of the connection"
    return None


def _expired(what: str, method: str) -> AuthenticationFailed:
    return AuthenticationFailed(what, where=method, next_step=_AUTHORISE_AGAIN)
