"""Tokens that a platform renews are handed on the moment they are there, whatever comes after."""

import importlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from regulars.credentials import Credentials
from regulars.landing import open_shop
from regulars.sources import open_source, source_names
from regulars.sources.doudian_open.client import Tokens
from regulars.sources.jd_jos.auth import Token
from regulars.sources.pdd_open.client import RenewedTokens
from tests.sources.shops import demo_shop

ENDS = datetime(2027, 1, 1, tzinfo=UTC)
PAIR = {"access_token": "a2", "refresh_token": "r2"}
RENEWING = {
    "jd_jos": ("JdClient", Token("a2", "r2", ENDS), {"token_expires_at": ENDS.isoformat()}),
    "pdd_open": ("PddClient", RenewedTokens("a2", "r2"), {}),
    "doudian_open": ("DoudianClient", Tokens("a2", "r2"), {}),
}
CONNECTION = Credentials(
    "regulars_x",
    host="http://127.0.0.1:9",
    login="key",
    password="secret",
    extra={"access_token": "a1", "refresh_token": "r1", "oauth_url": "http://127.0.0.1:9"},
)


class Present:
    def now(self) -> datetime:
        return ENDS

    def advance_to(self, instant: datetime) -> None:
        raise AssertionError(instant)


def packages() -> list[str]:
    return [name for name in source_names() if hasattr(package(name), "RENEWS_TOKENS")]


def package(name: str) -> Any:
    return importlib.import_module(f"regulars.sources.{name}")


def test_every_source_that_renews_is_looked_at_here() -> None:
    assert set(packages()) == set(RENEWING)


@pytest.mark.parametrize("name", RENEWING)
def test_a_renewal_reaches_the_keeper_at_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client_name, renewed, more = RENEWING[name]
    opened: list[Any] = []

    class Client:
        """Renews, and then the machine is switched off."""

        def __init__(self, _: Any, *, remember: Any) -> None:
            opened.append(remember)

    monkeypatch.setattr(package(name), client_name, Client)
    kept: list[tuple[str, Mapping[str, str]]] = []
    shop = demo_shop(source=name, platform="x", connection="regulars_x")

    def keep(connection: str, extra: Mapping[str, str]) -> None:
        kept.append((connection, extra))

    open_shop(shop, lambda _: CONNECTION, Present(), keep)
    (remember,) = opened
    assert kept == []
    remember(renewed)
    assert kept == [("regulars_x", {**PAIR, **more})]


@pytest.mark.parametrize("name", RENEWING)
def test_a_caller_without_a_place_for_tokens_may_leave_it_out(name: str) -> None:
    shop = demo_shop(source=name, platform="x", connection="regulars_x")
    open_source(shop, CONNECTION, Present()).close()
    open_shop(shop, lambda _: CONNECTION, Present()).close()
