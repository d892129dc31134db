"""Signatures against independent clients, and what must never show."""

import hashlib
import hmac
from datetime import UTC, datetime

import pytest
from taobaopy.taobao import BaseAPIRequest, TaoBaoAPIClient
from top.api.base import sign as sdk_sign

from regulars.credentials import Credentials
from regulars.errors import ConfigError
from regulars.sources.taobao_top.auth import (
    PRODUCTION_GATEWAY,
    TopCredentials,
    sign,
    signed_parameters,
    top_credentials,
)

SECRET = "0123456789abcdef-秘密"
PARAMETERS = {
    "method": "taobao.trades.sold.increment.get",
    "app_key": "12345678",
    "session": "6100e23&=?",
    "timestamp": "2017-10-01 08:00:00",
    "fields": "tid,orders.oid,买家",
    "v": "2.0",
    "page_no": "1",
}


def test_md5_equals_the_generated_sdk() -> None:
    assert sign(PARAMETERS, SECRET, "md5") == sdk_sign(SECRET, PARAMETERS)


def test_hmac_equals_taobaopy() -> None:
    client = TaoBaoAPIClient("12345678", SECRET)
    signed, _ = BaseAPIRequest("http://x", client, PARAMETERS).sign()
    assert sign(signed, SECRET, "hmac") == signed["sign"]


def test_hmac_sha256_is_the_same_text_under_another_digest() -> None:
    text = "".join(f"{name}{PARAMETERS[name]}" for name in sorted(PARAMETERS))
    expected = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest().upper()
    assert sign(PARAMETERS, SECRET, "hmac-sha256") == expected


@pytest.mark.parametrize("method", ["md5", "hmac", "hmac-sha256"])
def test_empty_values_and_the_signature_itself_take_no_part(method: str) -> None:
    more = {**PARAMETERS, "sign": "X", "buyer_nick": ""}
    assert sign(more, SECRET, method) == sign(PARAMETERS, SECRET, method)  # type: ignore[arg-type]


def test_names_are_sorted_by_bytes_not_by_alphabet() -> None:
    text = "B1a2"
    expected = hmac.new(b"s", text.encode(), hashlib.md5).hexdigest().upper()
    assert sign({"a": "2", "B": "1"}, "s", "hmac") == expected


def test_a_call_carries_the_platforms_time_and_no_empty_parameter() -> None:
    credentials = TopCredentials("http://x/router/rest", "key", SECRET, "session", "md5")
    now = datetime(2026, 11, 21, 20, 30, tzinfo=UTC)
    call = signed_parameters(credentials, "taobao.x", {"status": "", "fields": "tid"}, now)
    assert call["timestamp"] == "2026-11-22 04:30:00"
    assert "status" not in call
    assert call["sign_method"] == "md5"
    assert call["sign"] == sign(call, SECRET, "md5")


def connection(**changes: object) -> Credentials:
    parts = {
        "host": "http://127.0.0.1:8790/router/rest",
        "login": "key",
        "password": SECRET,
        "extra": {"session": "the-session"},
        **changes,
    }
    return Credentials("regulars_demo", **parts)  # type: ignore[arg-type]


def test_a_connection_gives_the_credentials_and_hides_them() -> None:
    credentials = top_credentials(connection())
    assert credentials.gateway == "http://127.0.0.1:8790/router/rest"
    assert credentials.sign_method == "hmac"
    assert SECRET not in repr(credentials)
    assert "the-session" not in repr(credentials)


@pytest.mark.parametrize(
    ("host", "gateway"),
    [
        ("", PRODUCTION_GATEWAY),
        ("gw.api.taobao.com", "https://gw.api.taobao.com/router/rest"),
        ("http://127.0.0.1:8790", "http://127.0.0.1:8790/router/rest"),
        ("http://127.0.0.1:8790/", "http://127.0.0.1:8790/router/rest"),
        ("https://api.taobao.com/router/rest", "https://api.taobao.com/router/rest"),
    ],
)
def test_the_gateway_address_is_completed(host: str, gateway: str) -> None:
    assert top_credentials(connection(host=host)).gateway == gateway


@pytest.mark.parametrize(
    "changes",
    [
        {"login": ""},
        {"password": ""},
        {"extra": {}},
        {"extra": {"session": "the-session", "sign_method": "sha1"}},
    ],
)
def test_an_incomplete_connection_is_named_without_its_values(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        top_credentials(connection(**changes))
    assert "connection regulars_demo" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "the-session" not in str(caught.value)
