"""Every row of JD's error table: what is repeated, renewed, or ends the extraction."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
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
from regulars.sources.calling import Repeat
from regulars.sources.jd_jos.auth import Token
from regulars.sources.jd_jos.orders import METHOD
from tests.sources.gateway import Sleeper
from tests.sources.jd_gateway import (
    CREDENTIALS,
    MACHINE_NOW,
    Answer,
    Script,
    bare,
    client_for,
    envelope,
    refusal,
)

GOOD = envelope(METHOD, {"x": "1"})
BODY = {"code": "0", "x": "1"}
REQUEST = httpx.Request("POST", "http://gateway.test")
RENEWED = {"access_token": "new-token", "refresh_token": "new-refresh", "expires_in": 31536000}
NO_REFRESH = replace(CREDENTIALS, token=Token("the-token"))


def transient() -> list[Any]:
    return [
        *(pytest.param(httpx.Response(code), id=str(code)) for code in (429, 500, 502, 503)),
        pytest.param(httpx.ReadTimeout("x", request=REQUEST), id="read timeout"),
        pytest.param(httpx.ConnectError("x", request=REQUEST), id="refused connection"),
        pytest.param(httpx.RemoteProtocolError("x", request=REQUEST), id="cut connection"),
        pytest.param(httpx.Response(200, content=b'{"jingdong_pop'), id="truncated JSON"),
        pytest.param(httpx.Response(200, content=b"<html>502</html>"), id="HTML"),
        pytest.param(httpx.Response(200, content=b"[]"), id="not an object"),
        *(pytest.param(refusal(code), id=f"{code} busy") for code in (43, 65, 66, 67)),
        pytest.param(bare(65), id="65 busy, bare"),
    ]


@pytest.mark.parametrize("failure", transient())
def test_a_passing_fault_is_repeated_with_growing_waits(failure: Answer) -> None:
    sleeper, script = Sleeper(), Script(failure, failure, failure, GOOD)
    assert client_for(script, sleeper).call(METHOD, {}) == BODY
    assert sleeper.waits == [1.0, 2.0, 4.0]


@pytest.mark.parametrize("failure", transient())
def test_a_fault_that_stays_ends_as_unavailable(failure: Answer) -> None:
    script = Script(failure)
    with pytest.raises(SourceUnavailable) as caught:
        client_for(script).call(METHOD, {})
    assert len(script.calls) == 5
    assert "again" in caught.value.next_step


def test_seconds_of_a_throttle_are_heeded() -> None:
    sleeper = Sleeper()
    limited = httpx.Response(429, headers={"Retry-After": "17"})
    client_for(Script(limited, GOOD), sleeper).call(METHOD, {})
    assert sleeper.waits == [17.0]


@pytest.mark.parametrize(
    ("answer", "error", "step"),
    [
        (refusal(2), QuotaExhausted, "00:00 GMT+8"),
        (bare("2"), QuotaExhausted, "larger quota"),
        *[(refusal(code), SchemaChanged, "documentation") for code in (4, 5, 14, 15)],
        *[(refusal(code), AuthenticationFailed, "clock") for code in (7, 8)],
        *[(refusal(code), AuthenticationFailed, "app secret") for code in (11, 12, 20, 21, 24)],
        (bare(12), AuthenticationFailed, "app secret"),
        (envelope(METHOD, {"code": "12"}), AuthenticationFailed, "app secret"),
        (httpx.Response(401), AuthenticationFailed, "app key"),
        (httpx.Response(403), AuthenticationFailed, "app key"),
        (httpx.Response(404), SchemaChanged, "host"),
        ({"something_else": {}}, SchemaChanged, "documentation"),
        ({METHOD.replace(".", "_") + "_response": {}}, SchemaChanged, "documentation"),
        ({METHOD.replace(".", "_") + "_responce": []}, SchemaChanged, "documentation"),
        (refusal(999), SourceError, "documentation"),
        (refusal("odd"), SourceError, "documentation"),
    ],
)
def test_what_cannot_pass_is_asked_once(
    answer: Answer, error: type[RegularsError], step: str
) -> None:
    sleeper, script = Sleeper(), Script(answer)
    with pytest.raises(error) as caught:
        client_for(script, sleeper).call(METHOD, {})
    assert type(caught.value) is error
    assert len(script.calls) == 1
    assert sleeper.waits == []
    assert step in caught.value.next_step


def test_a_body_without_success_is_repeated() -> None:
    def check(body: dict[str, Any]) -> None:
        if body["x"] != "1":
            raise Repeat("no success")

    sleeper = Sleeper()
    script = Script(envelope(METHOD, {"x": "0"}), GOOD)
    assert client_for(script, sleeper).call(METHOD, {}, check) == BODY
    assert sleeper.waits == [1.0]


@pytest.mark.parametrize("code", [18, 19])
def test_a_refused_token_is_renewed_once_and_the_call_goes_on(code: int) -> None:
    script = Script(refusal(code), RENEWED, GOOD)
    client = client_for(script)
    assert client.call(METHOD, {}) == BODY
    first, renewal, again = script.calls
    assert renewal["_path"] == "/oauth2/refresh_token"
    assert (renewal["grant_type"], renewal["refresh_token"]) == ("refresh_token", "the-refresh")
    assert (first["access_token"], again["access_token"]) == ("the-token", "new-token")
    expires_at = MACHINE_NOW + timedelta(days=365)
    assert client.renewed == Token("new-token", "new-refresh", expires_at)


@pytest.mark.parametrize(
    "answer",
    [{"code": 403, "msg": "the-refresh"}, bare(402), httpx.Response(400), httpx.Response(401), {}],
)
def test_a_refused_renewal_says_that_the_app_must_be_authorised(answer: Answer) -> None:
    script = Script(refusal(19), answer)
    with pytest.raises(AuthenticationFailed, match="authorise the app again") as caught:
        client_for(script).call(METHOD, {})
    assert len(script.calls) == 2
    assert "the-refresh" not in str(caught.value)


def test_a_renewed_token_is_told_before_anything_else_can_fail() -> None:
    kept: list[dict[str, str]] = []
    script = Script(refusal(19), RENEWED, httpx.ConnectError("gone", request=REQUEST))
    client = client_for(script, remember=lambda token: kept.append(token.as_extra()))
    with pytest.raises(SourceUnavailable):
        client.call(METHOD, {})
    expires_at = MACHINE_NOW + timedelta(days=365)
    assert kept == [
        {
            "access_token": "new-token",
            "refresh_token": "new-refresh",
            "token_expires_at": expires_at.isoformat(),
        }
    ]


def test_a_token_is_renewed_once_in_a_run() -> None:
    script = Script(refusal(19), RENEWED, refusal(19))
    client = client_for(script)
    for _ in range(2):
        with pytest.raises(AuthenticationFailed, match="code 19"):
            client.call(METHOD, {})
    assert [call["_path"] for call in script.calls].count("/oauth2/refresh_token") == 1


def test_without_a_refresh_token_nothing_is_renewed() -> None:
    script = Script(refusal(19))
    with pytest.raises(AuthenticationFailed, match="authorise the app again"):
        client_for(script, credentials=NO_REFRESH).call(METHOD, {})
    assert len(script.calls) == 1


def expiring(hours: int) -> Any:
    expires_at = MACHINE_NOW + timedelta(hours=hours)
    return replace(CREDENTIALS, token=Token("the-token", "the-refresh", expires_at))


def test_a_token_in_its_last_hours_is_renewed_before_the_call() -> None:
    script = Script(RENEWED, GOOD)
    assert client_for(script, credentials=expiring(20)).call(METHOD, {}) == BODY
    assert [call.get("access_token") for call in script.calls] == [None, "new-token"]


def test_a_token_with_days_to_go_is_left_alone() -> None:
    script = Script(GOOD)
    client = client_for(script, credentials=expiring(25))
    assert client.call(METHOD, {}) == BODY
    assert client.renewed is None
    assert len(script.calls) == 1


def test_an_early_renewal_that_is_refused_does_not_stop_the_call() -> None:
    script = Script({"code": 403}, GOOD, GOOD)
    client = client_for(script, credentials=expiring(20))
    client.call(METHOD, {})
    client.call(METHOD, {})
    assert [call.get("access_token") for call in script.calls] == [None, "the-token", "the-token"]


def leaking() -> list[Callable[[], Answer]]:
    private = "token the-token of 13900001234"
    return [
        lambda: {"error_response": {"code": 19, "zh_desc": private}},
        lambda: {"error_response": {"code": "the-token", "en_desc": private}},
        lambda: {"code": "999", "errorMessage": private},
        lambda: httpx.Response(200, content=private.encode()),
        lambda: httpx.ConnectError(private, request=REQUEST),
    ]


@pytest.mark.parametrize("answer", leaking())
def test_errors_repeat_nothing_that_was_sent_or_received(answer: Callable[[], Answer]) -> None:
    with pytest.raises(RegularsError) as caught:
        client_for(Script(answer()), credentials=NO_REFRESH).call(METHOD, {"pin": "private"})
    text = str(caught.value) + repr(caught.value.__cause__)
    for secret in ("13900001234", "the-token", CREDENTIALS.app_secret, "private"):
        assert secret not in text


def test_numbers_keep_their_digits() -> None:
    name = METHOD.replace(".", "_") + "_responce"
    body = f'{{"{name}":{{"code":"0","id":9223372036854775807,"price":12.10}}}}'.encode()
    answer = client_for(Script(httpx.Response(200, content=body))).call(METHOD, {})
    assert answer == {"code": "0", "id": 9223372036854775807, "price": "12.10"}
