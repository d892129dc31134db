"""The signature: fixed vectors of OpenSSL, an independent client, and the canonical JSON."""

import json
from typing import Any

import pytest
from doudian import AppType, DouDian
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.credentials import Credentials
from regulars.errors import ConfigError
from regulars.sources.doudian_open.auth import (
    PRODUCTION_GATEWAY,
    canonical_json,
    doudian_credentials,
    sign,
    signed_query,
)
from tests.sources.doudian_calls import CREDENTIALS

# printf '<secret>app_key...<secret>' | openssl dgst -sha256 -hmac '<secret>'
VECTORS = [
    (
        ("app", "the-app-secret", "order.searchList"),
        '{"order_asc":false,"order_by":"update_time","page":0,"product":"茶 & <b>","size":100}',
        "1763697600",
        "f648f9709de6cccd42594b4ec7948e96c39fe47ac4f5595f6598ba52c6fa83ca",
    ),
    (
        ("1", "s", "token.create"),
        "{}",
        "1",
        "51601348fbaf6c94fa9d4fdaa841dafb60cf10809204aa674a4f28642c9e024d",
    ),
]


@pytest.mark.parametrize(("call", "param_json", "timestamp", "expected"), VECTORS)
def test_the_signature_equals_the_vector(
    call: tuple[str, str, str], param_json: str, timestamp: str, expected: str
) -> None:
    app_key, secret, method = call
    assert sign(app_key, secret, method, param_json, timestamp) == expected


@settings(max_examples=50, deadline=None)
@given(
    secret=st.text(min_size=1, max_size=40, alphabet=st.characters(exclude_categories=["Cs"])),
    value=st.text(max_size=40, alphabet=st.characters(exclude_categories=["Cs"])),
    seconds=st.integers(0, 2**33),
)
def test_the_signature_equals_the_independent_clients(
    secret: str, value: str, seconds: int
) -> None:
    body = canonical_json({"b": value, "a": 1})
    peer = DouDian("app", secret, AppType.TOOL)
    assert sign("app", secret, "order.searchList", body, str(seconds)) == peer._sign(
        "order.searchList", body, str(seconds)
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"b": 1, "a": {"d": [], "c": "x"}}, '{"a":{"c":"x","d":[]},"b":1}'),
        ({"b": [{"z": 1, "y": 2}]}, '{"b":[{"y":2,"z":1}]}'),
        ({"n": 3.0, "m": -0.5}, '{"m":-0.5,"n":3}'),
        ({"t": "<a href='x'>&茶🍵\u2028</a>"}, '{"t":"<a href=\'x\'>&茶🍵\u2028</a>"}'),
        ({"yes": True, "none": None}, '{"none":null,"yes":true}'),
        ({"Z": 1, "a": 2, "茶": 3}, '{"Z":1,"a":2,"茶":3}'),
        ({"order_by": ("update_time desc",)}, '{"order_by":["update_time desc"]}'),
        ({}, "{}"),
    ],
)
def test_the_body_is_canonical(value: dict[str, Any], expected: str) -> None:
    assert canonical_json(value) == expected
    assert json.loads(expected) == json.loads(json.dumps(value))


def test_a_number_that_json_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"a": float("nan")})


def test_the_query_carries_the_token_unsigned() -> None:
    query = signed_query(CREDENTIALS, "order.searchList", "{}", 1_763_697_600, "a-token")
    other = signed_query(CREDENTIALS, "order.searchList", "{}", 1_763_697_600, "")
    assert query.pop("access_token") == "a-token"
    assert query == other
    assert (query["timestamp"], query["v"], query["sign_method"]) == (
        "1763697600",
        "2",
        "hmac-sha256",
    )
    assert query["sign"] == query["sign"].lower()


def connection(**changes: Any) -> Credentials:
    given: dict[str, Any] = {
        "connection_id": "regulars_doudian",
        "login": "app",
        "password": "secret-value",
        "extra": {"access_token": "token-value", "refresh_token": "refresh-value"},
    }
    return Credentials(**{**given, **changes})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"login": ""}, "app key"),
        ({"password": ""}, "app secret"),
        ({"extra": {}}, "extra.access_token"),
        ({"extra": {"shop_id": "Demo"}}, "extra.shop_id"),
        ({"extra": {"shop_id": "１２３"}}, "extra.shop_id"),
    ],
)
def test_an_incomplete_connection_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named) as caught:
        doudian_credentials(connection(**changes))
    assert "regulars_doudian" in str(caught.value)
    for secret in ("secret-value", "token-value", "refresh-value"):
        assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "gateway"),
    [
        ("", PRODUCTION_GATEWAY),
        ("openapi-sandbox.jinritemai.com", "https://openapi-sandbox.jinritemai.com"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
    ],
)
def test_the_host_is_the_gateway(host: str, gateway: str) -> None:
    assert doudian_credentials(connection(host=host)).gateway == gateway


@pytest.mark.parametrize(
    "extra", [{"shop_id": "4711"}, {"refresh_token": "r"}, {"access_token": "a"}]
)
def test_one_way_to_a_token_is_enough(extra: dict[str, str]) -> None:
    found = doudian_credentials(connection(extra=extra))
    assert (found.shop_id, found.refresh_token, found.access_token) == (
        extra.get("shop_id", ""),
        extra.get("refresh_token", ""),
        extra.get("access_token", ""),
    )


def test_nothing_secret_is_shown() -> None:
    shown = repr(doudian_credentials(connection()))
    assert "value" not in shown
