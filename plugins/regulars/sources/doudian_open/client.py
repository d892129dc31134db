"""Calls to the gateway of the Douyin Shop open platform, and the tokens they carry.

An access token lasts seven days, a refresh token fourteen. A call whose token is refused as
expired renews it once and goes on. The new pair lives in this client; ``remember`` is told, so
that it can be kept, because the platform gives a new refresh token with every renewal.

HTTP 429 and 5xx, timeouts, broken connections and answers that are no JSON are repeated with
growing waits, or after the seconds of Retry-After; see ``answers`` for everything else.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from regulars.errors import AuthenticationFailed, SchemaChanged
from regulars.sources.calling import (
    Repeater,
    RetryPolicy,
    http_client,
    parsed_object,
    repeat_unless_answered,
    transport_faults,
)
from regulars.sources.doudian_open.answers import TokenRefused, authentication_failed, data_of
from regulars.sources.doudian_open.auth import DoudianCredentials, canonical_json, signed_query

_CREATE = "token.create"
_REFRESH = "token.refresh"

# With it the platform leaves the old names (err_no, message) out of its answers.
_HEADERS = {
    "Content-Type": "application/json;charset=UTF-8",
    "Accept": "application/json",
    "x-open-no-old-err-code": "1",
}


@dataclass(frozen=True)
class Tokens:
    """A pair of tokens; ``repr`` shows neither."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)

    def as_extra(self) -> dict[str, str]:
        """Themselves as members of a connection's extra."""
        return {"access_token": self.access_token, "refresh_token": self.refresh_token}


class DoudianClient:
    """Signed calls of one app for one shop.

    Args:
        credentials: whose calls they are.
        remember: told each new pair of tokens.

    ``renewed`` is the newest pair, None as long as the connection's own is in use.
    """

    def __init__(
        self,
        credentials: DoudianCredentials,
        *,
        remember: Callable[[Tokens], None] = lambda _: None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        machine_now: Callable[[], datetime] = lambda: datetime.now(UTC),
        policy: RetryPolicy | None = None,
        timeout_seconds: float = 30.0,
    ) -> None:
        self._credentials = credentials
        self._tokens = Tokens(credentials.access_token, credentials.refresh_token)
        self._remember = remember
        self.renewed: Tokens | None = None
        self._http = http_client(credentials.gateway, transport, timeout_seconds)
        self._repeater = Repeater(policy, sleep)
        self._machine_now = machine_now

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def call(
        self, method: str, parameters: Mapping[str, Any], *, attempts: int | None = None
    ) -> dict[str, Any]:
        """The data of one method's answer.

        Numbers with a decimal point come out as text, exactly as they were written.

        Raises:
            SourceUnavailable: still failing after every repetition.
            QuotaExhausted: the quota is used up.
            AuthenticationFailed: key, signature, token, permission, address or clock are refused.
            SchemaChanged: the request or the answer has a shape that is not documented.
            SourceError: any other refusal.
        """
        if not self._tokens.access_token:
            self._renew("there is no access token yet")
        try:
            return self._sent(method, parameters, attempts)
        except TokenRefused as refused:
            self._renew(refused.reason)
        try:
            return self._sent(method, parameters, attempts)
        except TokenRefused as refused:
            raise authentication_failed(refused.reason, method) from None

    def _sent(
        self, method: str, parameters: Mapping[str, Any], attempts: int | None = None
    ) -> dict[str, Any]:
        body = canonical_json(parameters)
        is_for_token = method in (_CREATE, _REFRESH)
        token = "" if is_for_token else self._tokens.access_token
        return self._repeater.run(
            lambda: self._once(method, body, token), method, attempts=attempts
        )

    def _once(self, method: str, body: str, token: str) -> dict[str, Any]:
        credentials = self._credentials
        seconds = int(self._machine_now().timestamp())
        with transport_faults():
            answer = self._http.post(
                f"{credentials.gateway}/{method.replace('.', '/')}",
                params=signed_query(credentials, method, body, seconds, token),
                content=body.encode(),
                headers=_HEADERS,
            )
        repeat_unless_answered(answer)
        if answer.status_code in (401, 403):
            raise authentication_failed(f"HTTP {answer.status_code}", method)
        if answer.status_code != 200:
            raise SchemaChanged(
                f"the gateway answered HTTP {answer.status_code}",
                where=method,
                next_step="check the gateway address in the connection's host",
            )
        return data_of(parsed_object(answer), method)

    def _renew(self, reason: str) -> None:
        """Get a new pair of tokens by what the connection gives.

        Raises:
            AuthenticationFailed: the platform gives none, or there is nothing to ask with.
        """
        shop_id, refresh_token = self._credentials.shop_id, self._tokens.refresh_token
        asked: list[tuple[str, dict[str, str]]] = []
        if refresh_token:
            given = {"grant_type": "refresh_token", "refresh_token": refresh_token}
            asked.append((_REFRESH, given))
        if shop_id:
            own = {"code": "", "grant_type": "authorization_self", "shop_id": shop_id}
            asked.append((_CREATE, own))
        # What is reported when nothing helps: the last refusal.
        refusal = authentication_failed(reason, "access token")
        for method, parameters in asked:
            try:
                self._take(self._sent(method, parameters), method)
            except TokenRefused as refused:
                refusal = authentication_failed(refused.reason, method)
            except AuthenticationFailed as refused:
                refusal = refused
            else:
                return
        raise refusal from None

    def _take(self, data: dict[str, Any], method: str) -> None:
        access_token = str(data.get("access_token") or "")
        if not access_token:
            raise SchemaChanged(
                "the answer has no access token",
                where=method,
                next_step="compare the platform's documentation with the source's client",
            )
        shop_id = str(data.get("shop_id") or "")
        if self._credentials.shop_id and shop_id and shop_id != self._credentials.shop_id:
            raise AuthenticationFailed(
                "the token is another shop's",
                where=method,
                next_step="correct extra.shop_id or the tokens of the connection",
            )
        self._tokens = Tokens(access_token, str(data.get("refresh_token") or ""))
        self.renewed = self._tokens
        self._remember(self._tokens)
