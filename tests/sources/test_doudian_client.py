"""Every row of the error table: what is repeated, renewed, or ends the extraction."""

from collections.abc import Callable
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
from regulars.sources.doudian_open.client import Tokens
from tests.sources.doudian_calls import (
    CREATE,
    CREDENTIALS,
    MACHINE_NOW,
    ORDERS,
    REFRESH,
    Answer,
    Script,
    client_for,
    good,
    refusal,
    tokens,
)
from tests.sources.gateway import Sleeper

GOOD = good({"total": 0})
REQUEST = httpx.Request("POST", "http://gateway.test")
EXPIRED = refusal(40003, "isv.access-token-expired")


def test_a_call_posts_its_canonical_body_to_the_methods_path() -> None:
    script = Script(GOOD)
    client_for(script).call(ORDERS, {"size": 100, "page": 0})
    (call,) = script.calls
    assert (call.path, call.method) == ("/order/searchList", ORDERS)
    assert call.body == '{"page":0,"size":100}'
    assert call.query["access_token"] == "the-token"
    assert call.query["timestamp"] == "1795233600"
    assert call.headers["content-type"].startswith("application/json")


def transient() -> list[Any]:
    return [
        pytest.param(httpx.Response(429), id="HTTP 429"),
        pytest.param(httpx.Response(500), id="HTTP 500"),
        pytest.param(httpx.Response(503), id="HTTP 503"),
        pytest.param(httpx.ReadTimeout("x", request=REQUEST), id="timeout"),
        pytest.param(httpx.ConnectError("x", request=REQUEST), id="refused connection"),
        pytest.param(httpx.RemoteProtocolError("x", request=REQUEST), id="cut connection"),
        pytest.param(httpx.Response(200, content=b'{"code": 10000, "da'), id="cut in the body"),
        pytest.param(httpx.Response(200, content=b"<html>maintenance</html>"), id="HTML"),
        pytest.param(httpx.Response(200, content=b"[]"), id="not an object"),
        pytest.param(refusal(10001), id="10001 partly failed"),
        pytest.param(refusal(20000, "dop.service-error"), id="20000 service unavailable"),
        pytest.param(refusal(20000, "isp.service-error:1001"), id="20000 isp"),
        pytest.param(refusal(20001), id="20001 timeout"),
        pytest.param(refusal(50001), id="50001 platform failed"),
        pytest.param(refusal(50002, "isp.service-error:2190008"), id="50002 isp"),
        pytest.param(refusal(60000), id="60000 rate limit"),
        pytest.param({"err_no": 60000, "message": "x"}, id="60000 in an old reply"),
    ]


@pytest.mark.parametrize("failure", transient())
def test_a_passing_fault_is_repeated_with_growing_waits(failure: Answer) -> None:
    sleeper, script = Sleeper(), Script(failure, failure, failure, GOOD)
    assert client_for(script, sleeper).call(ORDERS, {}) == {"total": 0}
    assert sleeper.waits == [1.0, 2.0, 4.0]


@pytest.mark.parametrize("failure", transient())
def test_a_fault_that_stays_ends_as_unavailable(failure: Answer) -> None:
    sleeper, script = Sleeper(), Script(failure)
    with pytest.raises(SourceUnavailable) as caught:
        client_for(script, sleeper).call(ORDERS, {})
    assert (len(script.calls), len(sleeper.waits)) == (5, 4)
    assert caught.value.where == ORDERS
    assert "again" in caught.value.next_step


@pytest.mark.parametrize(("written", "wait"), [("17", 17.0), ("100000", 300.0), ("soon", 1.0)])
def test_a_ban_is_waited_out_for_the_seconds_it_names(written: str, wait: float) -> None:
    sleeper = Sleeper()
    banned = httpx.Response(429, headers={"Retry-After": written})
    client_for(Script(banned, GOOD), sleeper).call(ORDERS, {})
    assert sleeper.waits == [wait]


def test_a_repeated_call_is_stamped_and_signed_anew() -> None:
    script = Script(refusal(60000), GOOD)
    client = client_for(script)
    minutes = iter((0, 1))
    client._machine_now = lambda: MACHINE_NOW + timedelta(minutes=next(minutes))
    client.call(ORDERS, {"page": 1})
    first, second = (call.query for call in script.calls)
    assert int(second["timestamp"]) - int(first["timestamp"]) == 60
    assert first["sign"] != second["sign"]


def test_an_old_reply_without_code_is_understood() -> None:
    old = {"err_no": 0, "message": "success", "data": {"total": 1}}
    assert client_for(Script(old)).call(ORDERS, {}) == {"total": 1}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refusal(30001, "isv.app-permissions-insufficient"), AuthenticationFailed),
        (refusal(30001, "dop.authorization-no-existed"), AuthenticationFailed),
        (refusal(30001, "dop.authorization-closed"), AuthenticationFailed),
        (refusal(30001), AuthenticationFailed),
        (refusal(30002), AuthenticationFailed),
        (refusal(40003, "isv.signature-invalid"), AuthenticationFailed),
        (refusal(40001, "isv.signature-missing"), AuthenticationFailed),
        (refusal(40003, "isv.access-token-invalid"), AuthenticationFailed),
        (refusal(40001, "isv.access-token-missing"), AuthenticationFailed),
        (refusal(40003, "isv.timestamp-invalid"), AuthenticationFailed),
        (refusal(40003, "isv.app-id-invalid"), AuthenticationFailed),
        (refusal(50001, "dop.token-generate-failed:whatever"), AuthenticationFailed),
        (refusal(80000), AuthenticationFailed),
        (httpx.Response(401), AuthenticationFailed),
        (httpx.Response(403), AuthenticationFailed),
        (refusal(60000, "isv.daily-quota-exceeded"), QuotaExhausted),
        (refusal(40001), SchemaChanged),
        (refusal(40002), SchemaChanged),
        (refusal(40003, "isv.parameter-format-invalid"), SchemaChanged),
        (refusal(40004), SchemaChanged),
        (refusal(70000), SchemaChanged),
        (httpx.Response(404), SchemaChanged),
        (httpx.Response(302), SchemaChanged),
        ({"something": "else"}, SchemaChanged),
        ({"code": None}, SchemaChanged),
        (good(None), SchemaChanged),
        (good([]), SchemaChanged),
        (refusal(50002), SourceError),
        (refusal(90000), SourceError),
        (refusal(12345), SourceError),
        ({"err_no": 7, "message": "x"}, SourceError),
    ],
)
def test_what_cannot_pass_is_asked_once(answer: Answer, error: type[RegularsError]) -> None:
    sleeper, script = Sleeper(), Script(answer)
    with pytest.raises(error) as caught:
        client_for(script, sleeper).call(ORDERS, {})
    assert type(caught.value) is error
    assert (len(script.calls), sleeper.waits) == (1, [])
    assert caught.value.next_step


@pytest.mark.parametrize(
    ("answer", "step"),
    [
        (refusal(40003, "isv.signature-invalid"), "app secret"),
        (refusal(40003, "isv.app-id-invalid"), "app key"),
        (refusal(40003, "isv.timestamp-invalid"), "clock"),
        (refusal(40003, "isv.access-token-invalid"), "authorise"),
        (refusal(30001, "dop.authorization-closed"), "authorise"),
        (refusal(30001, "isv.app-permissions-insufficient"), "permission"),
        (refusal(30001), "permissions"),
        (refusal(30002), "addresses"),
        (refusal(80000), "security"),
        (httpx.Response(403), "connection"),
    ],
)
def test_the_next_step_fits_the_refusal(answer: Answer, step: str) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        client_for(Script(answer)).call(ORDERS, {})
    assert step in caught.value.next_step


# --- tokens -----------------------------------------------------------------------------------


@pytest.mark.parametrize("sub_code", ["isv.access-token-expired", "isv.access-token-no-existed"])
def test_an_expired_token_is_refreshed_once_and_the_call_goes_on(sub_code: str) -> None:
    kept: list[Tokens] = []
    script = Script(refusal(40003, sub_code), tokens("new-token"), GOOD)
    client = client_for(script, remember=kept.append)
    assert client.call(ORDERS, {"page": 3}) == {"total": 0}
    assert client.call(ORDERS, {"page": 2}) == {"total": 0}
    assert script.methods == [ORDERS, REFRESH, ORDERS, ORDERS]
    refreshed = script.calls[1]
    assert refreshed.parameters == {
        "grant_type": "refresh_token",
        "refresh_token": "the-refresh-token",
    }
    assert refreshed.path == "/token/refresh"
    assert "access_token" not in refreshed.query
    assert script.calls[2].parameters == {"page": 3}
    assert [call.query["access_token"] for call in script.calls[2:]] == ["new-token"] * 2
    assert kept == [Tokens("new-token", "next-refresh")]


def test_a_new_pair_is_told_before_anything_else_can_fail() -> None:
    kept: list[dict[str, str]] = []
    script = Script(EXPIRED, tokens("new-token"), httpx.ConnectError("gone", request=REQUEST))
    client = client_for(script, remember=lambda pair: kept.append(pair.as_extra()))
    with pytest.raises(SourceUnavailable):
        client.call(ORDERS, {})
    assert kept == [{"access_token": "new-token", "refresh_token": "next-refresh"}]


def test_the_next_renewal_uses_the_new_refresh_token() -> None:
    script = Script(EXPIRED, tokens("b"), GOOD, EXPIRED, tokens("c"), GOOD)
    client = client_for(script)
    client.call(ORDERS, {})
    client.call(ORDERS, {})
    assert script.calls[4].parameters["refresh_token"] == "next-refresh"


def test_a_renewed_token_that_is_refused_too_ends_the_extraction() -> None:
    script = Script(EXPIRED, tokens("new-token"), EXPIRED)
    with pytest.raises(AuthenticationFailed, match="access-token-expired") as caught:
        client_for(script).call(ORDERS, {})
    assert script.methods == [ORDERS, REFRESH, ORDERS]
    assert "authorise" in caught.value.next_step


def test_an_app_of_the_shop_makes_its_token_itself() -> None:
    script = Script(tokens("own-token", "own-refresh"), GOOD)
    client_for(script, access_token="", refresh_token="").call(ORDERS, {})
    assert script.methods == [CREATE, ORDERS]
    assert script.calls[0].body == '{"code":"","grant_type":"authorization_self","shop_id":"4711"}'
    assert script.calls[1].query["access_token"] == "own-token"


def test_a_refused_refresh_is_followed_by_a_new_token_of_the_shops_own_app() -> None:
    refused = refusal(50001, "dop.token-generate-failed:refresh_token expired")
    script = Script(EXPIRED, refused, tokens("own-token"), GOOD)
    assert client_for(script).call(ORDERS, {}) == {"total": 0}
    assert script.methods == [ORDERS, REFRESH, CREATE, ORDERS]


def test_a_refused_refresh_ends_with_the_next_step() -> None:
    script = Script(EXPIRED, refusal(50001, "dop.token-generate-failed:expired"))
    with pytest.raises(AuthenticationFailed) as caught:
        client_for(script, shop_id="").call(ORDERS, {})
    assert script.methods == [ORDERS, REFRESH]
    assert "extra" in caught.value.next_step


def test_without_refresh_token_or_shop_an_expired_token_is_the_end() -> None:
    script = Script(EXPIRED)
    with pytest.raises(AuthenticationFailed) as caught:
        client_for(script, shop_id="", refresh_token="").call(ORDERS, {})
    assert script.methods == [ORDERS]
    assert "authorise" in caught.value.next_step


def test_a_refresh_waits_out_a_passing_fault() -> None:
    sleeper = Sleeper()
    script = Script(EXPIRED, refusal(20000), tokens("b"), GOOD)
    client_for(script, sleeper).call(ORDERS, {})
    assert sleeper.waits == [1.0]


def test_a_token_of_another_shop_is_refused() -> None:
    script = Script(EXPIRED, tokens("b", shop_id=815))
    with pytest.raises(AuthenticationFailed, match="another shop"):
        client_for(script).call(ORDERS, {})
    assert script.methods == [ORDERS, REFRESH, CREATE]


def test_a_token_answer_without_token_is_a_changed_schema() -> None:
    with pytest.raises(SchemaChanged, match="access token"):
        client_for(Script(EXPIRED, good({}))).call(ORDERS, {})


# --- what errors say ----------------------------------------------------------------------------


def leaking() -> list[Callable[[], Answer]]:
    private = "token the-token of 13900001234"
    return [
        lambda: refusal(40003, "isv.signature-invalid:13900001234 the-token", private),
        lambda: refusal(60000, private, private),
        lambda: {"code": "the-token", "msg": private},
        lambda: httpx.Response(200, content=private.encode()),
        lambda: httpx.ConnectError(private, request=REQUEST),
        lambda: refusal(12345, "13900001234", private),
    ]


@pytest.mark.parametrize("answer", leaking())
def test_errors_repeat_nothing_that_was_sent_or_received(answer: Callable[[], Answer]) -> None:
    with pytest.raises(RegularsError) as caught:
        client_for(Script(answer())).call(ORDERS, {"product": "private"})
    text = str(caught.value) + repr(caught.value.__cause__)
    for secret in ("13900001234", "the-token", "private", CREDENTIALS.app_secret):
        assert secret not in text


def test_numbers_keep_their_digits() -> None:
    body = b'{"code":10000,"data":{"room_id":9223372036854775807,"rate":12.10}}'
    answer = client_for(Script(httpx.Response(200, content=body))).call(ORDERS, {})
    assert answer == {"room_id": 9223372036854775807, "rate": "12.10"}
