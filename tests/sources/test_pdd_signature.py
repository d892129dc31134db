"""Signatures of Pinduoduo, by vectors, by another client's signing, and from the connection."""

import pdd_sdk
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars.clock import SystemClock
from regulars.credentials import Credentials
from regulars.errors import ConfigError
from regulars.sources import open_source, source_names
from regulars.sources.pdd_open.auth import (
    PRODUCTION_GATEWAY,
    pdd_credentials,
    sign,
    signed_parameters,
    wire_text,
)
from tests.sources.pdd_gateway import CREDENTIALS, MACHINE_NOW, ORDERS
from tests.sources.shops import demo_shop

CONNECTION = Credentials(
    "north_pdd", login="the-client", password="the-secret", extra={"access_token": "the-token"}
)


def test_a_known_vector() -> None:
    # Computed with md5sum over the text that the platform's guide prescribes.
    parameters = {
        "type": ORDERS,
        "client_id": "the-client",
        "access_token": "the-token",
        "timestamp": "1511236800",
        "data_type": "JSON",
        "version": "V1",
        "use_has_next": "false",
        "page": "1",
        "goods_name": "红茶 & 茶😀",
    }
    assert sign(parameters, "the-secret") == "5484E0533063887D157A15AD0ADF26EE"
    assert sign({**parameters, "sign": "whatever"}, "the-secret") == sign(parameters, "the-secret")


def test_booleans_are_signed_in_lower_case_and_nested_values_as_compact_json() -> None:
    given_values = {"a": True, "b": {"n": [1, False], "名": "茶"}, "c": 5}
    parameters = {name: wire_text(value) for name, value in given_values.items()}
    assert parameters == {"a": "true", "b": '{"n":[1,false],"名":"茶"}', "c": "5"}
    # md5sum of: satrueb{"n":[1,false],"名":"茶"}c5s
    assert sign(parameters, "s") == "E5E16C491FA2121294DE35485CC766B9"


@given(
    st.dictionaries(
        st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1).filter(lambda name: name != "sign"),
        st.text(max_size=20),
    ),
    st.text(min_size=1, max_size=40),
)
def test_another_client_signs_the_same(parameters: dict[str, str], secret: str) -> None:
    assert sign(parameters, secret) == pdd_sdk.sign(secret, parameters)


def test_a_call_carries_the_systems_parameters_and_no_empty_one() -> None:
    business = {"page": 1, "use_has_next": False, "order_sn": "", "trade_type": None}
    parameters = signed_parameters(CREDENTIALS, ORDERS, business, MACHINE_NOW, "token-1")
    given_sign = parameters.pop("sign")
    assert parameters == {
        "type": ORDERS,
        "client_id": "the-client",
        "access_token": "token-1",
        "timestamp": "1795233600",
        "data_type": "JSON",
        "version": "V1",
        "page": "1",
        "use_has_next": "false",
    }
    assert given_sign == pdd_sdk.sign("the-secret", parameters)


def test_the_connection_gives_the_credentials() -> None:
    read = pdd_credentials(CONNECTION)
    assert read.gateway == PRODUCTION_GATEWAY
    assert (read.client_id, read.client_secret) == ("the-client", "the-secret")
    assert (read.access_token, read.refresh_token) == ("the-token", "")
    assert not read.has_all_refunds
    for secret in ("the-secret", "the-token"):
        assert secret not in repr(read)


@pytest.mark.parametrize(
    ("host", "gateway"),
    [
        ("gw.example", "https://gw.example/api/router"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/api/router"),
        ("http://127.0.0.1:8080/api/router", "http://127.0.0.1:8080/api/router"),
    ],
)
def test_the_host_is_the_gateway(host: str, gateway: str) -> None:
    connection = Credentials("c", host, "a", "b", {"access_token": "t"})
    assert pdd_credentials(connection).gateway == gateway


@pytest.mark.parametrize(
    ("login", "password", "extra", "missing"),
    [
        ("", "s", {"access_token": "t"}, "client_id"),
        ("c", "", {"access_token": "t"}, "client_secret"),
        ("c", "s", {}, "access_token"),
        ("c", "s", {"access_token": "t", "refunds_at_once": "maybe"}, "refunds_at_once"),
    ],
)
def test_an_incomplete_connection_is_named_without_a_value(
    login: str, password: str, extra: dict[str, str], missing: str
) -> None:
    connection = Credentials("north_pdd", login=login, password=password, extra=extra)
    with pytest.raises(ConfigError, match=missing) as raised:
        pdd_credentials(connection)
    assert raised.value.where == "connection north_pdd"


def test_the_registry_opens_the_source_of_a_shop() -> None:
    assert "pdd_open" in source_names()
    shop = demo_shop(shop="north_pdd", platform="pdd", source="pdd_open")
    source = open_source(shop, CONNECTION, SystemClock())
    assert source.name == "pdd_open"
    assert source.streams() == ("orders", "refunds")
    source.close()
