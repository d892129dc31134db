"""Every row of the retry table: what is repeated, waited out, or ends the extraction."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from regulars.errors import (
    AuthenticationFailed,
    QuotaExhausted,
    RegularsError,
    SchemaChanged,
    SourceError,
    SourceUnavailable,
)
from regulars.sources.calling import RetryPolicy
from tests.sources.gateway import (
    CREDENTIALS,
    ORDERS,
    Answer,
    Sleeper,
    client_for,
    envelope,
    refusal,
)

GOOD = envelope(ORDERS, {"total_results": 0})
HTML = httpx.Response(200, content=b"<html><body>502 Bad Gateway</body></html>")
BAN = "This ban will last for 7 more seconds"
REQUEST = httpx.Request("POST", "http://gateway.test")


class Script:
    """Gives the answers one after the other, the last one for ever."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.calls: list[dict[str, str]] = []

    def __call__(self, parameters: dict[str, str]) -> Answer:
        self.calls.append(parameters)
        return self.answers[min(len(self.calls), len(self.answers)) - 1]


def transient() -> list[Any]:
    return [
        pytest.param(httpx.Response(429), id="429"),
        pytest.param(httpx.Response(500), id="500"),
        pytest.param(httpx.Response(502), id="502"),
        pytest.param(httpx.Response(503), id="503"),
        pytest.param(httpx.ConnectTimeout("x", request=REQUEST), id="connect timeout"),
        pytest.param(httpx.ReadTimeout("x", request=REQUEST), id="read timeout"),
        pytest.param(httpx.ConnectError("x", request=REQUEST), id="refused connection"),
        pytest.param(httpx.RemoteProtocolError("x", request=REQUEST), id="cut connection"),
        pytest.param(httpx.Response(200, content=b'{"trades_sold'), id="truncated JSON"),
        pytest.param(httpx.Response(200, content=b""), id="empty body"),
        pytest.param(httpx.Response(200, content=b"[]"), id="not an object"),
        pytest.param(httpx.Response(200, content=b"[" * 100_000), id="nested without end"),
        pytest.param(HTML, id="HTML"),
        pytest.param(refusal(10), id="10 service unavailable"),
        pytest.param(refusal(8), id="8 old rate limit"),
        pytest.param(refusal(7), id="7 without sub code"),
        pytest.param(refusal(15, "isp.top-remote-connection-timeout"), id="15 isp"),
        pytest.param(refusal(15, "isp.remote-service-error-tmall"), id="15 isp tmall"),
        pytest.param(refusal(530, "isp.system-busy"), id="530 isp"),
        pytest.param(refusal(50, "isp.service-error"), id="50 isp"),
        pytest.param(refusal(7, "isp.call-limited"), id="call limited"),
    ]


@pytest.mark.parametrize("failure", transient())
def test_a_passing_fault_is_repeated_with_growing_waits(failure: Answer) -> None:
    sleeper, script = Sleeper(), Script(failure, failure, failure, GOOD)
    assert client_for(script, sleeper).call(ORDERS, {}) == {"total_results": 0}
    assert sleeper.waits == [1.0, 2.0, 4.0]


@pytest.mark.parametrize("failure", transient())
def test_a_fault_that_stays_ends_as_unavailable(failure: Answer) -> None:
    sleeper, script = Sleeper(), Script(failure)
    with pytest.raises(SourceUnavailable) as caught:
        client_for(script, sleeper).call(ORDERS, {})
    assert len(script.calls) == 5
    assert len(sleeper.waits) == 4
    assert caught.value.where == ORDERS
    assert "again" in caught.value.next_step


def test_no_wait_is_longer_than_the_longest() -> None:
    policy = RetryPolicy(attempts=9, first_wait_seconds=1, longest_wait_seconds=10)
    sleeper = Sleeper()
    with pytest.raises(SourceUnavailable):
        client_for(Script(httpx.Response(500)), sleeper, policy=policy).call(ORDERS, {})
    assert sleeper.waits == [1, 2, 4, 8, 10, 10, 10, 10]


@pytest.mark.parametrize(
    ("written", "wait"), [("17", 17.0), ("100000", 300.0), ("tomorrow", 1.0), ("", 1.0)]
)
def test_retry_after_is_heeded(written: str, wait: float) -> None:
    sleeper = Sleeper()
    limited = httpx.Response(429, headers={"Retry-After": written})
    client_for(Script(limited, GOOD), sleeper).call(ORDERS, {})
    assert sleeper.waits == [wait]


@pytest.mark.parametrize(
    "sub_code",
    [
        "accesscontrol.limited-by-api-access-count",
        "accesscontrol.limited-by-app-api-access-count",
        "accesscontrol.limited-by-dynamic-access-count",
        "isp.call-limited",
    ],
)
def test_a_ban_is_waited_out_for_its_own_seconds_and_one(sub_code: str) -> None:
    sleeper = Sleeper()
    client_for(Script(refusal(7, sub_code, BAN), GOOD), sleeper).call(ORDERS, {})
    assert sleeper.waits == [8.0]


def test_bans_do_not_use_up_the_attempts() -> None:
    ban = refusal(7, "accesscontrol.limited-by-api-access-count", BAN)
    sleeper = Sleeper()
    client_for(Script(*[ban] * 12, GOOD), sleeper).call(ORDERS, {})
    assert sleeper.waits == [8.0] * 12


def test_endless_bans_end_as_unavailable() -> None:
    ban = refusal(7, "accesscontrol.limited-by-api-access-count", BAN)
    with pytest.raises(SourceUnavailable, match="throttled"):
        client_for(Script(ban), policy=RetryPolicy(bans=3)).call(ORDERS, {})


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        *[(refusal(code), AuthenticationFailed) for code in (11, 12, 13, 24, 25, 28, 29, 30, 31)],
        (refusal(27, "session-expired"), AuthenticationFailed),
        (refusal(26), AuthenticationFailed),
        (httpx.Response(401), AuthenticationFailed),
        (httpx.Response(403), AuthenticationFailed),
        (refusal(7, "accesscontrol.limited-by-app-access-count"), QuotaExhausted),
        *[(refusal(code), QuotaExhausted) for code in (4, 5, 6)],
        *[(refusal(code), SchemaChanged) for code in (3, 9, 21, 22, 23, 32, 33, 34, 42, 43)],
        (refusal(40, "isv.missing-parameter:fields"), SchemaChanged),
        (refusal(41, "isv.invalid-parameter:page_size"), SchemaChanged),
        (httpx.Response(404), SchemaChanged),
        (httpx.Response(302), SchemaChanged),
        ({"something_else": {}}, SchemaChanged),
        (envelope(ORDERS, [])["trades_sold_increment_get_response"] or {}, SchemaChanged),  # type: ignore[arg-type]
        (refusal(15, "isv.trade-not-exist"), SourceError),
        (refusal(15), SourceError),
        (refusal(50, "isv.permission-ip-whitelist-limit"), SourceError),
        (refusal(9999), SourceError),
    ],
)
def test_what_cannot_pass_is_asked_once(answer: Answer, error: type[RegularsError]) -> None:
    sleeper, script = Sleeper(), Script(answer)
    with pytest.raises(error) as caught:
        client_for(script, sleeper).call(ORDERS, {})
    assert type(caught.value) is error
    assert len(script.calls) == 1
    assert sleeper.waits == []
    assert caught.value.next_step


@pytest.mark.parametrize(
    ("code", "step"), [(27, "authorise"), (25, "app secret"), (30, "clock"), (31, "clock")]
)
def test_the_next_step_fits_the_refusal(code: int, step: str) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        client_for(Script(refusal(code))).call(ORDERS, {})
    assert step in caught.value.next_step


def leaking() -> list[Callable[[], Answer]]:
    private = "session the-session of 13900001234"
    return [
        lambda: refusal(27, "13900001234 the-session", private),
        lambda: refusal(7, "", private),
        lambda: {"error_response": {"code": "the-session", "msg": private}},
        lambda: httpx.Response(200, content=private.encode()),
        lambda: httpx.ConnectError(private, request=REQUEST),
        lambda: refusal(9999, private, private),
    ]


@pytest.mark.parametrize("answer", leaking())
def test_errors_repeat_nothing_that_was_sent_or_received(answer: Callable[[], Answer]) -> None:
    with pytest.raises(RegularsError) as caught:
        client_for(Script(answer())).call(ORDERS, {"buyer_nick": "private"})
    text = str(caught.value) + repr(caught.value.__cause__)
    assert "13900001234" not in text
    assert "the-session" not in text
    assert CREDENTIALS.app_secret not in text


def test_numbers_keep_their_digits() -> None:
    body = b'{"trades_sold_increment_get_response":{"tid":9223372036854775807,"payment":12.10}}'
    answer = client_for(Script(httpx.Response(200, content=body))).call(ORDERS, {})
    assert answer == {"tid": 9223372036854775807, "payment": "12.10"}
