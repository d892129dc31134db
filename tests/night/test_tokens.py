"""Renewed tokens: used next time, sealed on disk, forgotten when the Connection is changed."""

import base64
from dataclasses import replace
from pathlib import Path

import pytest

from regulars.credentials import Credentials
from regulars.night.tokens import RenewedTokens
from regulars.state import StateStore
from regulars.vault import Vault, open_vault

OWN = Credentials(
    "north_jd", host="h", login="key", password="s", extra={"access_token": "old", "shop": "1"}
)
SECRET = "renewed-canary-token"


class Connections:
    """Connections that a test may change."""

    def __init__(self, own: Credentials) -> None:
        self.own = own

    def __call__(self, connection_id: str) -> Credentials:
        assert connection_id == "north_jd"
        return self.own


@pytest.fixture
def vault(tmp_path: Path):
    key = base64.b64encode(bytes(range(32))).decode()
    with open_vault(tmp_path / "vault.db", Credentials("pii", password=key)) as opened:
        yield opened


@pytest.fixture
def state(tmp_path: Path) -> StateStore:
    return StateStore(f"sqlite:///{tmp_path / 'state.db'}")


def test_without_renewed_tokens_the_connection_stands(state: StateStore, vault: Vault) -> None:
    assert RenewedTokens(Connections(OWN), state, vault)("north_jd") == OWN


def test_renewed_tokens_take_the_place_of_the_old_ones_and_of_nothing_else(
    state: StateStore, vault: Vault
) -> None:
    RenewedTokens(Connections(OWN), state, vault).keep("north_jd", {"access_token": SECRET})
    found = RenewedTokens(Connections(OWN), state, vault)("north_jd")
    assert found.extra == {"access_token": SECRET, "shop": "1"}
    assert replace(found, extra=OWN.extra) == OWN
    assert SECRET not in repr(found)


@pytest.mark.parametrize("change", [{"password": "t"}, {"extra": {"access_token": "by hand"}}])
def test_a_changed_connection_forgets_them(
    state: StateStore, vault: Vault, change: dict[str, object]
) -> None:
    connections = Connections(OWN)
    tokens = RenewedTokens(connections, state, vault)
    tokens.keep("north_jd", {"access_token": SECRET})
    connections.own = replace(OWN, **change)
    assert tokens("north_jd") == connections.own


def test_tokens_renewed_twice_are_the_last_ones(state: StateStore, vault: Vault) -> None:
    tokens = RenewedTokens(Connections(OWN), state, vault)
    tokens.keep("north_jd", {"access_token": "second"})
    tokens.keep("north_jd", {"access_token": "third"})
    assert tokens("north_jd").extra["access_token"] == "third"


def test_they_stand_sealed_on_disk(tmp_path: Path, state: StateStore, vault: Vault) -> None:
    RenewedTokens(Connections(OWN), state, vault).keep("north_jd", {"access_token": SECRET})
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert SECRET.encode() not in written
