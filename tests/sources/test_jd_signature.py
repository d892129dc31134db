"""Signatures against an independent client, and what must never show."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from jd.api.base import sign as sdk_sign

from regulars.credentials import Credentials
from regulars.errors import ConfigError
from regulars.sources.jd_jos.auth import (
    PRODUCTION_GATEWAY,
    PRODUCTION_OAUTH,
    JdCredentials,
    Token,
    jd_credentials,
    sign,
    signed_parameters,
)

SECRET = "0123456789abcdef"
PARAMETERS = {
    "method": "jingdong.pop.order.search",
    "app_key": "12345678",
    "access_token": "6100e23&=?",
    "timestamp": "2017-10-01 08:00:00",
    "v": "2.0",
    "360buy_param_json": '{"page":"1","page_size":"100","order_state":"ALL"}',
}
NOW = datetime(2026, 11, 21, 20, 30, tzinfo=UTC)


def test_the_signature_equals_the_sdks() -> None:
    assert sign(PARAMETERS, SECRET) == sdk_sign(SECRET, PARAMETERS)


def test_the_signature_is_known() -> None:
    # echo -n "sa1b2s" | md5sum, and with 京 in UTF-8
    assert sign({"b": "2", "a": "1"}, "s") == "5EE29085AF57D942F21F1C5BA3C2A90A"
    assert sign({"a": "京"}, "s") == "585465DD4FC91706F8A81EB3FA54A6D3"


def test_an_empty_value_takes_part_and_the_signature_itself_does_not() -> None:
    assert sign({**PARAMETERS, "sign": "X"}, SECRET) == sign(PARAMETERS, SECRET)
    with_empty = {**PARAMETERS, "z": ""}
    assert sign(with_empty, SECRET) == sdk_sign(SECRET, with_empty) != sign(PARAMETERS, SECRET)


def test_names_are_sorted_by_bytes_not_by_alphabet() -> None:
    assert sign({"a": "2", "B": "1"}, "s") == sdk_sign("s", {"B": "1", "a": "2"})


def test_a_call_carries_the_platforms_time_and_one_business_parameter() -> None:
    credentials = JdCredentials("http://x/routerjson", "http://x", "key", SECRET, Token("token"))
    business = {"page": "1", "note": "买家"}
    call = signed_parameters(credentials, Token("other token"), "jingdong.x", business, NOW)
    assert call["timestamp"] == "2026-11-22 04:30:00"
    assert call["access_token"] == "other token"
    assert json.loads(call["360buy_param_json"]) == business
    assert call["360buy_param_json"].isascii()
    assert call["sign"] == sdk_sign(SECRET, {n: v for n, v in call.items() if n != "sign"})


def connection(**changes: object) -> Credentials:
    parts = {
        "host": "http://127.0.0.1:8790/routerjson",
        "login": "key",
        "password": SECRET,
        "extra": {"access_token": "the-token", "refresh_token": "the-refresh"},
        **changes,
    }
    return Credentials("regulars_jd", **parts)  # type: ignore[arg-type]


def test_a_connection_gives_the_credentials_and_hides_them() -> None:
    credentials = jd_credentials(connection())
    assert credentials.gateway == "http://127.0.0.1:8790/routerjson"
    assert credentials.token == Token("the-token", "the-refresh")
    for hidden in (SECRET, "the-token", "the-refresh"):
        assert hidden not in repr(credentials) + repr(credentials.token)


@pytest.mark.parametrize(
    ("host", "gateway", "oauth"),
    [
        ("", PRODUCTION_GATEWAY, PRODUCTION_OAUTH),
        ("api.jd.com", "https://api.jd.com/routerjson", PRODUCTION_OAUTH),
        ("https://api-dev.jd.com", "https://api-dev.jd.com/routerjson", PRODUCTION_OAUTH),
        ("gw.api.360buy.com", "https://gw.api.360buy.com/routerjson", PRODUCTION_OAUTH),
        (
            "http://127.0.0.1:8790/",
            "http://127.0.0.1:8790/routerjson",
            "http://127.0.0.1:8790/oauth2/refresh_token",
        ),
        # A host that merely looks like the platform's is not the platform's.
        (
            "https://api.notjd.com",
            "https://api.notjd.com/routerjson",
            "https://api.notjd.com/oauth2/refresh_token",
        ),
    ],
)
def test_the_addresses_are_completed(host: str, gateway: str, oauth: str) -> None:
    credentials = jd_credentials(connection(host=host))
    assert (credentials.gateway, credentials.oauth) == (gateway, oauth)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"login": ""}, "app key"),
        ({"password": ""}, "app secret"),
        ({"extra": {}}, "access_token"),
        ({"extra": {"access_token": "the-token", "token_expires_at": "soon"}}, "token_expires_at"),
        (
            {"extra": {"access_token": "the-token", "token_expires_at": "2026-12-01T08:00:00"}},
            "token_expires_at",
        ),
    ],
)
def test_an_incomplete_connection_is_named_without_its_values(
    changes: dict[str, object], named: str
) -> None:
    with pytest.raises(ConfigError, match=named) as caught:
        jd_credentials(connection(**changes))
    assert "connection regulars_jd" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "the-token" not in str(caught.value)


@pytest.mark.parametrize(
    ("hours", "is_due"), [(-25, False), (-24, True), (-1, True), (0, False), (1, False)]
)
def test_a_token_is_due_in_its_last_24_hours_only(hours: int, is_due: bool) -> None:
    token = Token("t", "r", NOW)
    assert token.is_due(NOW + timedelta(hours=hours)) is is_due


def test_a_token_without_expiry_or_refresh_token_is_never_due() -> None:
    assert not Token("t", "r").is_due(NOW)
    assert not Token("t", "", NOW).is_due(NOW - timedelta(hours=1))
