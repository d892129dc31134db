"""The vault: keys, tokens, erasure, and that nothing readable lies on the disk."""

import base64
import secrets
from pathlib import Path

import pytest

from regulars.credentials import Credentials
from regulars.errors import LandingError, VaultKeyError
from regulars.vault import Vault, keys_from_credentials, open_vault

KEY = secrets.token_hex(32)
CANARY = "13955557777"


def with_key(password: str) -> Credentials:
    return Credentials("regulars_pii", password=password)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return open_vault(tmp_path / "vault" / "vault.db", with_key(KEY))


def bytes_on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_token_gives_the_plain_value_back(vault: Vault) -> None:
    refs = vault.tokenise("phone", ["+86 139 5555 7777", CANARY])
    assert refs["+86 139 5555 7777"] == refs[CANARY]
    assert vault.reveal(refs[CANARY].token) == CANARY
    assert refs[CANARY].masked == "139****7777"


def test_blank_values_are_left_out(vault: Vault) -> None:
    assert vault.tokenise("phone", ["", "  ", "--", "13955557778"]).keys() == {"13955557778"}


def test_many_values_at_once_and_again(vault: Vault) -> None:
    values = [f"139{number:08d}" for number in range(1200)]
    first = vault.tokenise("phone", values)
    assert len({ref.token for ref in first.values()}) == 1200
    assert vault.tokenise("phone", values) == first
    assert vault.reveal(first[values[777]].token) == values[777]


def test_tokens_and_hashes_follow_from_key_and_value_alone(vault: Vault, tmp_path: Path) -> None:
    elsewhere = open_vault(tmp_path / "other" / "vault.db", with_key(KEY))
    stranger = open_vault(tmp_path / "third" / "vault.db", with_key(secrets.token_hex(32)))
    ref = vault.tokenise("phone", [CANARY])[CANARY]
    assert elsewhere.tokenise("phone", [CANARY])[CANARY] == ref
    other = stranger.tokenise("phone", [CANARY])[CANARY]
    assert other.hash != ref.hash
    assert other.token != ref.token
    assert stranger.key_id != vault.key_id


def test_hash_and_token_do_not_reveal_each_other(vault: Vault) -> None:
    ref = vault.tokenise("phone", [CANARY])[CANARY]
    assert ref.token.removeprefix("ct_") not in ref.hash
    assert len(ref.hash) == 64


def test_the_same_text_of_another_kind_is_another_contact(vault: Vault) -> None:
    as_phone = vault.tokenise("phone", [CANARY])[CANARY]
    as_name = vault.tokenise("name", [CANARY])[CANARY]
    assert as_phone.hash != as_name.hash


def test_nothing_readable_lies_on_the_disk(vault: Vault, tmp_path: Path) -> None:
    ref = vault.tokenise("phone", [CANARY])[CANARY]
    vault.tokenise("email", ["canary@example.com"])
    sealed = vault.seal(f"text with {CANARY}")
    content = bytes_on_disk(tmp_path) + repr(vault).encode() + repr(ref).encode() + sealed.encode()
    assert CANARY.encode() not in content
    assert b"canary@" not in content
    assert ref.hash not in repr(ref)
    assert KEY not in repr(vault)


def test_an_erased_contact_is_gone_for_ever(vault: Vault, tmp_path: Path) -> None:
    ref = vault.tokenise("phone", [CANARY])[CANARY]
    assert vault.erase(ref.token)
    assert not vault.erase(ref.token)
    with pytest.raises(KeyError, match="erased"):
        vault.reveal(ref.token)
    vault.close()
    again = open_vault(tmp_path / "vault" / "vault.db", with_key(KEY))
    assert again.tokenise("phone", [CANARY])[CANARY] == ref
    with pytest.raises(KeyError, match="erased"):
        again.reveal(ref.token)


def test_an_unknown_token_is_refused(vault: Vault) -> None:
    with pytest.raises(KeyError, match="unknown"):
        vault.reveal("ct_0")
    assert not vault.erase("ct_0")


def test_values_survive_closing(vault: Vault, tmp_path: Path) -> None:
    token = vault.tokenise("email", ["a@example.com"])["a@example.com"].token
    vault.close()
    with open_vault(tmp_path / "vault" / "vault.db", with_key(KEY)) as again:
        assert again.reveal(token) == "a@example.com"


def test_hex_and_base64_are_the_same_key() -> None:
    raw = bytes.fromhex(KEY)
    spellings = [
        KEY,
        KEY.upper(),
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
    ]
    assert {keys_from_credentials(with_key(one)).key_id for one in spellings} == {
        keys_from_credentials(with_key(KEY)).key_id
    }


def test_base64_with_plus_and_slash_is_a_key() -> None:
    assert keys_from_credentials(with_key(base64.b64encode(b"\xfb\xff" * 16).decode()))


@pytest.mark.parametrize(
    "password",
    ["", "   ", "secret", pytest.param(KEY[:-2], id="cut short"), "é" * 32, "%" * 44],
)
def test_a_missing_or_malformed_key_stops_and_is_not_shown(tmp_path: Path, password: str) -> None:
    with pytest.raises(VaultKeyError) as caught:
        open_vault(tmp_path / "vault.db", with_key(password))
    assert "connection regulars_pii" in str(caught.value)
    assert not password.strip() or password not in str(caught.value)


def test_a_changed_key_stops_and_names_the_next_step(vault: Vault, tmp_path: Path) -> None:
    vault.close()
    with pytest.raises(VaultKeyError) as caught:
        open_vault(tmp_path / "vault" / "vault.db", with_key(secrets.token_hex(32)))
    assert "former key" in caught.value.next_step
    assert "vault.db" in caught.value.where


def test_a_swapped_row_is_not_believed(vault: Vault) -> None:
    first, second = vault.tokenise("phone", [CANARY, "13955557778"]).values()
    database = vault._db
    database.execute(
        "update contacts set cipher = (select cipher from contacts where token = ?)"
        " where token = ?",
        (second.token, first.token),
    )
    with pytest.raises(VaultKeyError):
        vault.reveal(first.token)


def test_sealed_text_comes_back_and_equal_texts_are_equal(vault: Vault) -> None:
    assert vault.seal("one") == vault.seal("one")
    assert vault.seal("one") != vault.seal("two")
    assert vault.unseal(vault.seal("张三 13900000000")) == "张三 13900000000"


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_a_sealed_file_comes_back(vault: Vault, tmp_path: Path, size: int) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(secrets.token_bytes(size))
    vault.seal_file(plain, tmp_path / "sealed")
    vault.unseal_file(tmp_path / "sealed", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == plain.read_bytes()


def test_a_cut_sealed_file_is_refused(vault: Vault, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(secrets.token_bytes((1 << 20) + 5))
    vault.seal_file(plain, tmp_path / "sealed")
    whole = (tmp_path / "sealed").read_bytes()
    # Exactly at a block's end: every block that is left is authentic in itself.
    (tmp_path / "sealed").write_bytes(whole[: 8 + 4 + (1 << 20) + 16])
    with pytest.raises(VaultKeyError):
        vault.unseal_file(tmp_path / "sealed", tmp_path / "again")


def test_a_vault_that_cannot_be_written_names_its_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LandingError) as caught:
        open_vault(tmp_path / "file" / "vault.db", with_key(KEY))
    assert "vault.db" in caught.value.where


def test_contacts_are_erased_by_their_hashes_and_nothing_of_them_stays(vault: Vault) -> None:
    refs = vault.tokenise("phone", [CANARY, "13955557778"])
    hashes = [refs[CANARY].hash, vault.hash_of("phone", "13955550000")]
    assert vault.revealed(hashes) == [CANARY]
    assert vault.erase_hashes(hashes) == 1
    assert vault.erase_hashes(hashes) == 0
    assert vault.revealed(hashes) == []
    with pytest.raises(KeyError, match="erased"):
        vault.reveal(refs[CANARY].token)
    assert vault.reveal(refs["13955557778"].token) == "13955557778"


def test_a_hash_is_told_without_storing_the_contact(vault: Vault) -> None:
    told = vault.hash_of("phone", "+86 139-5555-7777")
    assert vault.revealed([told]) == []
    assert vault.tokenise("phone", [CANARY])[CANARY].hash == told


def test_a_sealed_file_is_read_in_memory(vault: Vault, tmp_path: Path) -> None:
    source, sealed = tmp_path / "plain", tmp_path / "sealed"
    source.write_bytes(b"x" * (1 << 20) + CANARY.encode())
    vault.seal_file(source, sealed)
    before = set(tmp_path.rglob("*"))
    assert b"".join(vault.sealed_blocks(sealed)) == source.read_bytes()
    assert set(tmp_path.rglob("*")) == before
