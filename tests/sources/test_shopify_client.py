"""Every row of the client's table: what is repeated, waited out, or ends the extraction."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from regulars.errors import (
    AuthenticationFailed,
    RegularsError,
    SchemaChanged,
    SourceError,
    SourceUnavailable,
)
from regulars.sources.calling import RetryPolicy
from regulars.sources.shopify_admin.client import ShopifyClient, TooExpensive
from tests.sources.shopify_shop import CREDENTIALS, ENDPOINT, TOKEN, Time

QUERY = "query AskShop { shop { name } }"
GOOD = {"data": {"shop": {"name": "x"}}}

Answer = httpx.Response | Exception | dict[str, Any]


def cost(requested: float, available: float, rate: float = 100.0) -> dict[str, Any]:
    status = {"maximumAvailable": 2000, "currentlyAvailable": available, "restoreRate": rate}
    return {"cost": {"requestedQueryCost": requested, "throttleStatus": status}}


def refusal(code: str, **changes: Any) -> dict[str, Any]:
    return {"errors": [{"message": "some text", "extensions": {"code": code}}], **changes}


class Script:
    """A client whose calls are answered one after the other, the last answer for ever."""

    def __init__(self, *answers: Answer) -> None:
        self.time = Time()
        self.requests: list[httpx.Request] = []
        self._answers = list(answers)
        self.client = ShopifyClient(
            CREDENTIALS,
            transport=httpx.MockTransport(self._handle),
            sleep=self.time.sleep,
            elapsed=self.time.elapsed,
            policy=RetryPolicy(attempts=4, first_wait_seconds=1, longest_wait_seconds=30, bans=6),
        )

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        return httpx.Response(200, json=answer)

    def call(self) -> dict[str, Any]:
        return self.client.call(QUERY)


def test_a_call_carries_token_query_and_variables() -> None:
    script = Script(GOOD)
    assert script.client.call(QUERY, {"id": "1"}) == GOOD["data"]
    (request,) = script.requests
    assert str(request.url) == ENDPOINT
    assert request.method == "POST"
    assert request.headers["X-Shopify-Access-Token"] == TOKEN
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.content) == {"query": QUERY, "variables": {"id": "1"}}


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(429),
        httpx.Response(500),
        httpx.Response(503),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut"),
        httpx.ConnectError("refused"),
        httpx.Response(200, content=b"<html><body>maintenance</body></html>"),
        httpx.Response(200, content=b'{"data": {"shop"'),
        httpx.Response(200, content=b"[]"),
        refusal("INTERNAL_SERVER_ERROR"),
        refusal("TIMEOUT"),
    ],
)
def test_what_may_pass_is_repeated_with_growing_waits(answer: Answer) -> None:
    script = Script(answer, answer, GOOD)
    assert script.call() == GOOD["data"]
    assert script.time.waits == [1.0, 2.0]


def test_what_does_not_pass_ends_in_unavailable() -> None:
    script = Script(httpx.Response(500))
    with pytest.raises(SourceUnavailable, match=r"HTTP 500, after 4 calls \[AskShop\]"):
        script.call()


def test_the_seconds_of_retry_after_are_waited() -> None:
    script = Script(httpx.Response(429, headers={"Retry-After": "7"}), GOOD)
    script.call()
    assert script.time.waits == [7.0]


@pytest.mark.parametrize("status", [200, 429])
def test_throttled_waits_until_the_points_are_there(status: int) -> None:
    body = refusal("THROTTLED", extensions=cost(752, 252))
    script = Script(httpx.Response(status, json=body), GOOD)
    assert script.call() == GOOD["data"]
    assert script.time.waits == [5.0]  # (752 - 252) / 100


@pytest.mark.parametrize("status", [200, 429])
def test_throttled_for_ever_ends_in_unavailable(status: int) -> None:
    body = refusal("THROTTLED", extensions=cost(500, 0))
    script = Script(httpx.Response(status, json=body))
    with pytest.raises(SourceUnavailable, match="throttled"):
        script.call()
    assert script.time.waits == [5.0] * 6


def test_throttled_without_a_cost_is_repeated_like_a_failure() -> None:
    script = Script(refusal("THROTTLED"), httpx.Response(429, content=b"no json"), GOOD)
    script.call()
    assert script.time.waits == [1.0, 2.0]


def test_a_slow_bucket_is_waited_for_two_minutes_at_a_time() -> None:
    script = Script(refusal("THROTTLED", extensions=cost(900, 0, rate=1)), GOOD)
    script.call()
    assert script.time.waits == [120.0]


def test_what_the_bucket_lacks_is_waited_for_before_the_call() -> None:
    told = {**GOOD, "extensions": cost(600, 400)}
    script = Script(told)
    script.call()
    assert script.time.waits == []
    script.call()
    assert script.time.waits == [2.0]  # 600 wanted, 400 there, 100 a second
    script.time.seconds += 10  # the bucket fills by itself meanwhile
    script.call()
    assert script.time.waits == [2.0]


def test_a_query_that_is_too_expensive_is_the_callers_to_shrink() -> None:
    script = Script(refusal("MAX_COST_EXCEEDED"))
    with pytest.raises(TooExpensive):
        script.call()
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (httpx.Response(401), AuthenticationFailed, "HTTP 401"),
        (httpx.Response(403), AuthenticationFailed, "HTTP 403"),
        (refusal("ACCESS_DENIED"), AuthenticationFailed, "read_orders"),
        (httpx.Response(402), SourceError, "HTTP 402"),
        (httpx.Response(423), SourceError, "HTTP 423"),
        (refusal("SHOP_INACTIVE"), SourceError, "SHOP_INACTIVE"),
        (httpx.Response(404), SchemaChanged, "check shop domain"),
        (httpx.Response(302, headers={"Location": "/login"}), SchemaChanged, "HTTP 302"),
        (refusal("undefinedField"), SchemaChanged, "undefinedField"),
        ({"errors": "a text"}, SchemaChanged, "no code"),
        ({}, SchemaChanged, "neither data nor errors"),
        (
            httpx.Response(200, json=GOOD, headers={"X-Shopify-API-Version": "2027-01"}),
            SchemaChanged,
            "2026-10 is no longer served",
        ),
    ],
)
def test_what_repeating_cannot_help_is_refused_at_once(
    answer: Answer, error: type[RegularsError], says: str
) -> None:
    script = Script(answer)
    with pytest.raises(error, match=says) as raised:
        script.call()
    assert type(raised.value) is error
    assert (len(script.requests), script.time.waits) == (1, [])
    assert TOKEN not in str(raised.value)
    assert "some text" not in str(raised.value)


def test_protected_customer_data_is_done_without() -> None:
    data = {"nodes": [{"id": "1", "customer": {"displayName": None}}]}
    body = refusal("ACCESS_DENIED", data=data)
    body["errors"][0]["path"] = ["nodes", 0, "customer", "displayName"]
    assert Script(body).call() == data


def test_other_data_is_not_done_without() -> None:
    body = refusal("ACCESS_DENIED", data={"nodes": [None]})
    body["errors"][0]["path"] = ["nodes", 0, "transactions"]
    with pytest.raises(AuthenticationFailed):
        Script(body).call()


def test_decimals_keep_their_digits() -> None:
    answer = httpx.Response(200, content=b'{"data": {"shop": {"name": 1.10}}}')
    assert Script(answer).call() == {"shop": {"name": "1.10"}}


def test_no_secret_is_shown() -> None:
    assert TOKEN not in repr(CREDENTIALS)
    shown: Callable[[], str] = Script(GOOD).client.__repr__
    assert TOKEN not in shown()
