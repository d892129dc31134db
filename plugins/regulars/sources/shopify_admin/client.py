"""Calls to the Admin API: what is repeated, what is waited out, what ends the extraction.

| answer | reaction |
|---|---|
| HTTP 429, 5xx, timeout, broken connection | again, waiting twice as long or as Retry-After says |
| no JSON (cut in the middle, an HTML page) | again; then SourceUnavailable |
| THROTTLED (HTTP 200 or 429) | (requested - available) / restore rate seconds, then again |
| MAX_COST_EXCEEDED | TooExpensive: the caller asks for less at a time |
| INTERNAL_SERVER_ERROR, TIMEOUT | again |
| HTTP 401, 403, ACCESS_DENIED | AuthenticationFailed, never again |
| ACCESS_DENIED for protected customer data only | the data without it |
| HTTP 402, 423, SHOP_INACTIVE | SourceError: the shop is closed, never again |
| HTTP 404, 3xx, other codes, another version | SchemaChanged, never again |

There is no daily quota on this platform. Before a call whose cost is known, what the bucket lacks
is waited for, so that a polite client is hardly ever throttled. Errors carry codes only.
"""

import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from regulars.errors import AuthenticationFailed, SchemaChanged, SourceError
from regulars.sources.calling import (
    Repeat,
    Repeater,
    RetryPolicy,
    http_client,
    parsed_object,
    repeat_unless_answered,
    retry_after,
    transport_faults,
)
from regulars.sources.shopify_admin.auth import ShopifyCredentials

LARGEST_COST = 1000
"""Points that one query may cost at most, on every plan."""

_CODE = re.compile(r"[A-Za-z0-9_]{1,60}")
_OPERATION = re.compile(r"\b(?:query|mutation)\s+(\w+)")
_TRANSIENT = frozenset({"INTERNAL_SERVER_ERROR", "TIMEOUT"})
# Members that the platform gives to approved apps only.
_PROTECTED = frozenset(
    {
        "customer",
        "firstName",
        "lastName",
        "defaultEmailAddress",
        "defaultPhoneNumber",
        "email",
        "phone",
        "shippingAddress",
        "name",
        "address1",
    }
)
_LONGEST_WAIT = 120.0


class TooExpensive(Exception):
    """The query costs more points than one query may: ask for less at a time."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What the platform said of a call: points asked for and the state of the bucket."""

    requested: float
    available: float
    restore_rate: float
    largest: float

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> "Cost | None":
        """The cost that an answer tells; None when it tells none."""
        try:
            cost = answer["extensions"]["cost"]
            status = cost["throttleStatus"]
            return cls(
                float(cost["requestedQueryCost"]),
                float(status["currentlyAvailable"]),
                float(status["restoreRate"]),
                float(status["maximumAvailable"]),
            )
        except (KeyError, TypeError, ValueError):
            return None

    def wait(self, points: float, available: float) -> float:
        """Whole seconds until ``points`` are there, at most two minutes."""
        lacking = max(0.0, points - available)
        rate = max(self.restore_rate, 1.0)
        return min(float(math.ceil(lacking / rate)), _LONGEST_WAIT)


class ShopifyClient:
    """Calls of one app for one shop."""

    def __init__(
        self,
        credentials: ShopifyCredentials,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        elapsed: Callable[[], float] = time.monotonic,
        policy: RetryPolicy | None = None,
        timeout_seconds: float = 60.0,
    ) -> None:
        self._credentials = credentials
        self._http = http_client(credentials.endpoint, transport, timeout_seconds)
        # Results of bulk operations lie with another host, which must not see the token.
        self._files = http_client("https:" if transport is None else "", transport, timeout_seconds)
        self.sleep = sleep
        self.repeater = Repeater(policy, sleep)
        self._elapsed = elapsed
        self._state: tuple[Cost, float] | None = None
        self._known_costs: dict[str, float] = {}

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        self._files.close()

    @property
    def files(self) -> httpx.Client:
        """A client without the token, for results of bulk operations."""
        return self._files

    def last_cost(self, query: str, size: int) -> float | None:
        """Points that ``query`` with ``size`` elements was last said to cost."""
        return self._known_costs.get(_cost_key(query, size))

    def call(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        *,
        size: int = 1,
        attempts: int | None = None,
    ) -> dict[str, Any]:
        """The ``data`` of one query's answer; decimals as text, exactly as they were written.

        Args:
            query: the document.
            variables: its variables.
            size: elements asked for, on which the cost depends.
            attempts: instead of the policy's.

        Raises:
            TooExpensive: the query costs more than one query may.
            SourceUnavailable: still failing after every repetition.
            AuthenticationFailed: token or scopes are refused.
            SchemaChanged: query or answer have a shape that is not documented.
            SourceError: the shop is closed.
        """
        where = operation_name(query)
        key = _cost_key(query, size)
        body = {"query": query, "variables": dict(variables or {})}
        return self.repeater.run(lambda: self._once(body, key, where), where, attempts=attempts)

    def _once(self, body: dict[str, Any], key: str, where: str) -> dict[str, Any]:
        self._wait_for_points(key)
        headers = {"X-Shopify-Access-Token": self._credentials.access_token}
        with transport_faults():
            answer = self._http.post(self._credentials.endpoint, json=body, headers=headers)
        if answer.status_code == 429:
            self._remember(key, _cost_if_any(answer))
            raise self._throttled(key, answer)
        repeat_unless_answered(answer)
        if answer.status_code != 200:
            raise _http_refusal(answer.status_code, where)
        self._check_version(answer, where)
        value = parsed_object(answer)
        self._remember(key, Cost.of(value))
        errors = value.get("errors")
        data = value.get("data")
        if errors:
            self._check_errors(errors, data, key, where)
        if not isinstance(data, dict):
            raise SchemaChanged(
                "the answer has neither data nor errors",
                where=where,
                next_step="compare the platform's documentation with the source's queries",
            )
        return data

    def _wait_for_points(self, key: str) -> None:
        points = self._known_costs.get(key)
        if self._state is None or points is None:
            return
        cost, at = self._state
        gained = (self._elapsed() - at) * cost.restore_rate
        wait = cost.wait(min(points, cost.largest), cost.available + gained)
        if wait:
            self.sleep(wait)

    def _remember(self, key: str, cost: Cost | None) -> None:
        if cost is not None:
            self._state = cost, self._elapsed()
            self._known_costs[key] = cost.requested

    def _throttled(self, key: str, answer: httpx.Response) -> Repeat:
        cost = _cost_if_any(answer)
        if cost is None:
            return Repeat("throttled (HTTP 429)", retry_after(answer))
        # What has been waited for is not waited for again before the call.
        self._state = None
        wait = max(1.0, cost.wait(cost.requested, cost.available))
        return Repeat("throttled (THROTTLED)", wait, is_ban=True)

    def _check_errors(self, errors: Any, data: Any, key: str, where: str) -> None:
        codes = _codes(errors)
        shown = ", ".join(sorted(codes)) or "no code"
        if "THROTTLED" in codes:
            cost = self._state[0] if self._state else None
            self._state = None
            wait = max(1.0, cost.wait(cost.requested, cost.available)) if cost else None
            raise Repeat("throttled (THROTTLED)", wait, is_ban=wait is not None)
        if "MAX_COST_EXCEEDED" in codes:
            raise TooExpensive(where)
        if codes & _TRANSIENT:
            raise Repeat(f"the platform failed ({shown})")
        if "SHOP_INACTIVE" in codes:
            raise _closed("SHOP_INACTIVE", where)
        if codes == {"ACCESS_DENIED"}:
            if isinstance(data, dict) and all(_is_protected(error) for error in errors):
                return
            raise _authentication("ACCESS_DENIED", where)
        raise SchemaChanged(
            f"the platform refuses the query ({shown})",
            where=where,
            next_step="compare the platform's schema of this version with the source's queries",
        )

    def _check_version(self, answer: httpx.Response, where: str) -> None:
        served = answer.headers.get("X-Shopify-API-Version", self._credentials.version)
        if served != self._credentials.version:
            raise SchemaChanged(
                f"version {self._credentials.version} is no longer served",
                where=where,
                next_step="put a version that is supported into the connection's extra.version",
            )


def operation_name(query: str) -> str:
    """Name of a document's operation, for errors."""
    found = _OPERATION.search(query)
    return found.group(1) if found else "query"


def _cost_key(query: str, size: int) -> str:
    return f"{operation_name(query)}/{size}"


def _cost_if_any(answer: httpx.Response) -> Cost | None:
    try:
        return Cost.of(parsed_object(answer))
    except Repeat:
        return None


def _codes(errors: Any) -> set[str]:
    found: set[str] = set()
    for error in errors if isinstance(errors, list) else [errors]:
        extensions = error.get("extensions") if isinstance(error, dict) else None
        code = str(extensions.get("code") or "") if isinstance(extensions, dict) else ""
        found.add(code if _CODE.fullmatch(code) else "no code")
    return found


def _is_protected(error: Any) -> bool:
    path = error.get("path") if isinstance(error, dict) else None
    return isinstance(path, list) and bool(_PROTECTED & {part for part in path if part != "nodes"})


def _http_refusal(status: int, where: str) -> Exception:
    if status in (401, 403):
        return _authentication(f"HTTP {status}", where)
    if status in (402, 423):
        return _closed(f"HTTP {status}", where)
    return SchemaChanged(
        f"the endpoint answered HTTP {status}",
        where=where,
        next_step="check shop domain, host and version of the connection",
    )


def _authentication(reason: str, where: str) -> AuthenticationFailed:
    return AuthenticationFailed(
        f"the platform refuses the caller ({reason})",
        where=where,
        next_step="check that the app is installed in the shop with the scope read_orders, and "
        "put its Admin API access token into the connection's extra",
    )


def _closed(reason: str, where: str) -> SourceError:
    return SourceError(
        f"the shop is frozen, locked or inactive ({reason})",
        where=where,
        next_step="let the shop's owner settle it with the platform, then run the night again",
    )
