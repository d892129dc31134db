"""Every row of Pinduoduo's error table, and each limit: repeated, waited out, or the end."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from regulars.errors import (
    AuthenticationFailed,
    QuotaExhausted,
    SchemaChanged,
    SourceError,
    SourceUnavailable,
)
from regulars.sources.calling import RetryPolicy
from regulars.sources.pdd_open.client import RESPONSE_KEYS, RenewedTokens
from regulars.sources.pdd_open.pacing import LIMITS, CallLimit, Pacer
from tests.sources.gateway import Answer, Sleeper
from tests.sources.pdd_gateway import (
    CREDENTIALS,
    ORDERS,
    REFRESH,
    REFUNDS,
    client_for,
    envelope,
    refusal,
)

GOOD = envelope(ORDERS, {"total_count": 0})
TOKENS = envelope(REFRESH, {"access_token": "token-2", "refresh_token": "refresh-2"})
REQUEST = httpx.Request("POST", "http://gateway.test")


class Script:
    """Gives the answers one after the other, the last one for ever."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.calls: list[dict[str, str]] = []

    def __call__(self, parameters: dict[str, str]) -> Answer:
        self.calls.append(parameters)
        return self.answers[min(len(self.calls), len(self.answers)) - 1]


@pytest.mark.parametrize("method", sorted(RESPONSE_KEYS))
def test_the_answer_stands_under_the_key_of_the_table(method: str) -> None:
    assert client_for(Script(envelope(method, {"n": 1}))).call(method, {}) == {"n": 1}


def test_a_key_derived_from_the_name_is_not_an_answer() -> None:
    derived = {"order_number_list_increment_get_response": {"total_count": 0}}
    with pytest.raises(SchemaChanged, match="neither the method's envelope"):
        client_for(Script(derived)).call(ORDERS, {})


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(httpx.Response(429), id="429"),
        pytest.param(httpx.Response(502), id="502"),
        pytest.param(httpx.ReadTimeout("x", request=REQUEST), id="read timeout"),
        pytest.param(httpx.RemoteProtocolError("x", request=REQUEST), id="cut connection"),
        pytest.param(httpx.Response(200, content=b'{"order_sn_incre'), id="truncated JSON"),
        pytest.param(httpx.Response(200, content=b"<html>busy</html>"), id="HTML"),
        pytest.param(refusal(52101), id="52101 the API is limited"),
        pytest.param(refusal(52102), id="52102 the API is closed for a while"),
        pytest.param(refusal(52103), id="52103 the service is closed for a while"),
        pytest.param(refusal(70033), id="70033 maintenance"),
    ],
)
def test_a_passing_fault_is_repeated_waiting_twice_as_long(fault: Any) -> None:
    sleeper = Sleeper()
    assert client_for(Script(fault, fault, fault, GOOD), sleeper).call(ORDERS, {})
    assert sleeper.waits == [1.0, 2.0, 4.0]


def test_a_fault_that_stays_ends_the_window() -> None:
    script = Script(refusal(52101))
    with pytest.raises(SourceUnavailable, match=r"code 52101.*after 5 calls"):
        client_for(script).call(ORDERS, {})
    assert len(script.calls) == 5


def test_retry_after_names_the_seconds() -> None:
    sleeper = Sleeper()
    limited = httpx.Response(429, headers={"Retry-After": "17"})
    client_for(Script(limited, GOOD), sleeper).call(ORDERS, {})
    assert sleeper.waits == [17.0]


@pytest.mark.parametrize(("method", "seconds"), [(ORDERS, 60.0), (REFUNDS, 10.0)])
def test_calling_too_often_waits_until_the_limit_counts_anew(method: str, seconds: float) -> None:
    sleeper = Sleeper()
    good = envelope(method, {"total_count": 0})
    client_for(Script(*[refusal(70031)] * 7, good), sleeper).call(method, {})
    assert sleeper.waits == [seconds] * 7


def test_calling_too_often_for_ever_gives_up() -> None:
    script = Script(refusal(70031))
    with pytest.raises(SourceUnavailable, match="code 70031"):
        client_for(script, policy=RetryPolicy(bans=3)).call(ORDERS, {})
    assert len(script.calls) == 4


def test_a_used_up_quota_stops_politely() -> None:
    script = Script(refusal(70036))
    with pytest.raises(QuotaExhausted, match="70036"):
        client_for(script).call(ORDERS, {})
    assert len(script.calls) == 1


CALLERS = [
    (10010, "client_id"),
    (10011, "rejected"),
    (10014, "authorise the app again"),
    (10016, "client_id"),
    (10018, "client_id"),
    (20004, "client_secret"),
    (20005, "address"),
    (20031, "permission package"),
    (20032, "access_token"),
    (30000, "permission package"),
    (30001, "client_id"),
    (70032, "forbids"),
    (70034, "risk"),
    (70035, "risk"),
]


@pytest.mark.parametrize(("code", "step"), CALLERS)
def test_a_refused_caller_is_told_what_to_do(code: int, step: str) -> None:
    script = Script(refusal(code, "the-secret token-1"))
    with pytest.raises(AuthenticationFailed, match=str(code)) as raised:
        client_for(script).call(ORDERS, {})
    assert step in raised.value.next_step
    assert "the-secret" not in str(raised.value)
    assert len(script.calls) == 1


@pytest.mark.parametrize(
    ("message", "step"),
    [
        ("公共参数错误:timestamp", "set this machine's clock"),
        ("公共参数错误：client_id", "check client_id"),
        ("公共参数错误:access_token", "check access_token"),
    ],
)
def test_a_public_parameter_is_named(message: str, step: str) -> None:
    with pytest.raises(AuthenticationFailed, match="10001") as raised:
        client_for(Script(refusal(10001, message))).call(ORDERS, {})
    assert step in raised.value.next_step


@pytest.mark.parametrize(
    "code", [10000, 10001, 10002, 10017, 20007, 20034, 20035, 21001, 21002, 50012, 52004]
)
def test_a_refused_request_is_never_repeated(code: int) -> None:
    script = Script(refusal(code, "公共参数错误:type"))
    with pytest.raises(SchemaChanged, match=str(code)):
        client_for(script).call(ORDERS, {})
    assert len(script.calls) == 1


@pytest.mark.parametrize("code", [19999, 39999, 50000, 50001, 50002, 52001, 52002, 52003, 99999])
def test_other_refusals_are_never_repeated(code: int) -> None:
    script = Script(refusal(code))
    with pytest.raises(SourceError, match=str(code)) as raised:
        client_for(script).call(ORDERS, {})
    assert type(raised.value) is SourceError
    assert len(script.calls) == 1


@pytest.mark.parametrize("code", ["10019", None, True, "x"])
def test_an_error_code_of_any_type_is_understood(code: Any) -> None:
    answer = {"error_response": {"error_code": code}}
    credentials = replace(CREDENTIALS, refresh_token="")
    with pytest.raises(SourceError):
        client_for(Script(answer), credentials=credentials).call(ORDERS, {})


@pytest.mark.parametrize(
    ("status", "error"), [(401, AuthenticationFailed), (403, AuthenticationFailed), (404, None)]
)
def test_other_http_statuses_end_it(status: int, error: type[SourceError] | None) -> None:
    with pytest.raises(error or SchemaChanged, match=str(status)):
        client_for(Script(httpx.Response(status))).call(ORDERS, {})


# --- tokens -----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [10019, 10035])
def test_an_expired_token_is_renewed_once_and_used_from_then_on(code: int) -> None:
    script = Script(refusal(code), TOKENS, GOOD)
    client = client_for(script)
    assert client.renewed is None
    client.call(ORDERS, {"page": 1})
    client.call(ORDERS, {"page": 2})
    assert [call["type"] for call in script.calls] == [ORDERS, REFRESH, ORDERS, ORDERS]
    assert [call.get("access_token") for call in script.calls] == [
        "token-1",
        None,
        "token-2",
        "token-2",
    ]
    assert script.calls[1]["refresh_token"] == "refresh-1"
    assert client.renewed == RenewedTokens("token-2", "refresh-2")
    assert "token-2" not in repr(client.renewed)


def test_renewed_tokens_are_told_before_anything_else_can_fail() -> None:
    kept: list[dict[str, str]] = []
    script = Script(refusal(10019), TOKENS, httpx.ConnectError("gone", request=REQUEST))
    client = client_for(script, remember=lambda pair: kept.append(pair.as_extra()))
    with pytest.raises(SourceUnavailable):
        client.call(ORDERS, {"page": 1})
    assert kept == [{"access_token": "token-2", "refresh_token": "refresh-2"}]


def test_a_renewed_token_that_served_may_be_renewed_again() -> None:
    again = envelope(REFRESH, {"access_token": "token-3"})
    script = Script(refusal(10019), TOKENS, GOOD, refusal(10019), again, GOOD)
    client = client_for(script)
    client.call(ORDERS, {})
    client.call(ORDERS, {})
    assert script.calls[4]["refresh_token"] == "refresh-2"
    assert client.renewed == RenewedTokens("token-3", "refresh-2")


def test_a_renewed_token_that_has_expired_too_ends_it() -> None:
    script = Script(refusal(10019), TOKENS, refusal(10019))
    with pytest.raises(AuthenticationFailed, match="expired, too") as raised:
        client_for(script).call(ORDERS, {})
    assert "authorise the app again" in raised.value.next_step
    assert len(script.calls) == 3


def test_a_renewed_token_refused_after_a_busy_answer_ends_it() -> None:
    script = Script(refusal(10019), TOKENS, refusal(52101), refusal(10019))
    with pytest.raises(AuthenticationFailed, match="expired, too"):
        client_for(script).call(ORDERS, {})
    assert len(script.calls) == 4


def test_without_a_refresh_token_an_expired_token_ends_it() -> None:
    script = Script(refusal(10019))
    with pytest.raises(AuthenticationFailed, match="none to renew it") as raised:
        client_for(script, credentials=replace(CREDENTIALS, refresh_token="")).call(ORDERS, {})
    assert "authorise the app again" in raised.value.next_step
    assert len(script.calls) == 1


@pytest.mark.parametrize("code", [10000, 10019, 20004, 50001])
def test_a_refused_refresh_ends_it_with_the_next_step(code: int) -> None:
    script = Script(refusal(10019), refusal(code))
    with pytest.raises(AuthenticationFailed, match="cannot be renewed") as raised:
        client_for(script).call(ORDERS, {})
    assert "authorise the app again" in raised.value.next_step
    assert len(script.calls) == 2


def test_a_busy_refresh_is_repeated() -> None:
    script = Script(refusal(10019), refusal(52103), refusal(10019), TOKENS, GOOD)
    client_for(script).call(ORDERS, {})
    assert [call["type"] for call in script.calls] == [ORDERS, REFRESH, ORDERS, REFRESH, ORDERS]


@pytest.mark.parametrize("body", [{}, {"access_token": ""}, {"access_token": 5}])
def test_a_refresh_without_a_token_is_a_changed_schema(body: dict[str, Any]) -> None:
    with pytest.raises(SchemaChanged, match="no access token"):
        client_for(Script(refusal(10019), envelope(REFRESH, body))).call(ORDERS, {})


# --- published limits -------------------------------------------------------------------------


class Ticking:
    """A clock that the sleeper moves, and each call by a little."""

    def __init__(self, per_call: float = 0.0) -> None:
        self.now = 0.0
        self.per_call = per_call
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def elapsed(self) -> float:
        self.now += self.per_call
        return self.now


def test_the_published_limits_are_these() -> None:
    assert {ORDERS: CallLimit(3000, 60), REFUNDS: CallLimit(100, 10)} == LIMITS


@pytest.mark.parametrize("method", [ORDERS, REFUNDS])
def test_no_span_holds_more_calls_than_its_limit(method: str) -> None:
    limit = LIMITS[method]
    clock = Ticking(per_call=limit.seconds / limit.calls / 7)
    pacer = Pacer(clock.sleep, clock.elapsed)
    times = []
    for _ in range(2 * limit.calls + 5):
        pacer.before(method)
        times.append(clock.now)
    assert clock.waits
    for first, beyond in zip(times, times[limit.calls :], strict=False):
        assert beyond - first >= limit.seconds - 1e-9


def test_a_slow_caller_is_not_held_back() -> None:
    clock = Ticking(per_call=0.2)
    pacer = Pacer(clock.sleep, clock.elapsed)
    for _ in range(300):
        pacer.before(REFUNDS)
    assert clock.waits == []


def test_apis_are_counted_apart_and_others_not_at_all() -> None:
    clock = Ticking()
    pacer = Pacer(clock.sleep, clock.elapsed)
    for _ in range(100):
        pacer.before(REFUNDS)
        pacer.before(ORDERS)
        pacer.before("pdd.some.other")
    assert clock.waits == []
    pacer.before(REFUNDS)
    assert clock.waits == [10.0]
    assert pacer.span("pdd.some.other") == 10.0


def test_the_client_keeps_to_the_limit_of_refunds() -> None:
    sleeper = Sleeper()
    script: Callable[[dict[str, str]], Answer] = Script(envelope(REFUNDS, {"total_count": 0}))
    client = client_for(script, sleeper)
    for _ in range(101):
        client.call(REFUNDS, {})
    assert sleeper.waits == [10.0]
