"""The vault itself: SQLite in WAL mode, every value under AES-GCM.

A row is bound to its token (associated data), so rows cannot be swapped. An erased row keeps token
and hash as a tombstone: dropping the same export again must not bring an erased person back.
"""

import hmac
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from cryptography.exceptions import InvalidTag

from regulars.credentials import Credentials
from regulars.errors import LandingError, VaultKeyError
from regulars.vault.contacts import ContactKind, ContactRef, mask, normalise
from regulars.vault.keys import VaultKeys, keys_from_credentials

_SCHEMA = """
create table if not exists vault_meta (name text primary key, value blob not null) without rowid;
create table if not exists contacts (
    token text primary key,
    kind text not null,
    hash text not null,
    cipher blob,  -- null once erased
    is_erased integer not null default 0
) without rowid;
"""
_NONCE = 12
_CHUNK = 500  # bound parameters of one statement
_CACHED = 200_000
_SEAL_BLOCK = 1 << 20


class Vault:
    """Contact data of one installation. Use it as a context manager; ``repr`` shows no data."""

    def __init__(self, path: Path, keys: VaultKeys) -> None:
        self.path = path
        self._keys = keys
        self._known: dict[tuple[str, str], ContactRef] = {}
        with _vault_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.parent.chmod(0o700)
            self._db = sqlite3.connect(path, timeout=60.0, isolation_level=None)
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = full")
            self._db.executescript(_SCHEMA)
            path.chmod(0o600)
        self._recognise_key()

    def __repr__(self) -> str:
        return f"Vault({str(self.path)!r}, key_id={self.key_id!r})"

    def __enter__(self) -> "Vault":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def key_id(self) -> str:
        """Public id of the key; it stands beside every hash."""
        return self._keys.key_id

    def close(self) -> None:
        """Release the file."""
        self._known.clear()
        self._db.close()

    def tokenise(self, kind: ContactKind, values: Iterable[str]) -> dict[str, ContactRef]:
        """Put values into the vault and return what may stand in a record, by plain value.

        Blank values are left out. The call is idempotent and durable when it returns.

        Raises:
            LandingError: the vault cannot be written (for example, no space left).
        """
        refs: dict[str, ContactRef] = {}
        fresh: dict[str, tuple[ContactRef, str]] = {}
        for value in values:
            normal = normalise(kind, value)
            if not normal:
                continue
            ref = self._known.get((kind, normal))
            if ref is None:
                ref = ContactRef(
                    token=self._keys.token(kind, normal),
                    hash=self._keys.hash(kind, normal),
                    masked=mask(kind, normal),
                )
                fresh[ref.token] = (ref, normal)
            refs[value] = ref
        if fresh:
            self._store(kind, fresh)
        return refs

    def _store(self, kind: ContactKind, fresh: dict[str, tuple[ContactRef, str]]) -> None:
        with _vault_errors(self.path):
            unknown = fresh.keys() - self._present(list(fresh))
            rows = [
                (token, kind, fresh[token][0].hash, self._encrypt(fresh[token][1], token))
                for token in sorted(unknown)
            ]
            if rows:
                with self._transaction():
                    self._db.executemany(
                        "insert or ignore into contacts (token, kind, hash, cipher)"
                        " values (?, ?, ?, ?)",
                        rows,
                    )
        if len(self._known) + len(fresh) > _CACHED:
            self._known.clear()
        self._known.update({(kind, normal): ref for ref, normal in fresh.values()})

    def _present(self, tokens: list[str]) -> set[str]:
        present: set[str] = set()
        for start in range(0, len(tokens), _CHUNK):
            part = tokens[start : start + _CHUNK]
            marks = ",".join("?" * len(part))
            rows = self._db.execute(f"select token from contacts where token in ({marks})", part)
            present.update(row[0] for row in rows)
        return present

    def reveal(self, token: str) -> str:
        """Plain text behind ``token``. For senders at hand-off only.

        Raises:
            KeyError: no such token, or it was erased.
        """
        with _vault_errors(self.path):
            row = self._db.execute(
                "select cipher from contacts where token = ?", (token,)
            ).fetchone()
        if row is None or row[0] is None:
            raise KeyError(f"{token} is {'unknown' if row is None else 'erased'}")
        return self._decrypt(row[0], token)

    def erase(self, token: str) -> bool:
        """Destroy the plain text behind ``token`` for ever; False when there was none.

        A tombstone stays, so the same value landed again keeps its token and stays erased.
        """
        with _vault_errors(self.path):
            self._db.execute("pragma secure_delete = on")
            with self._transaction():
                done = self._db.execute(
                    "update contacts set cipher = null, is_erased = 1"
                    " where token = ? and is_erased = 0",
                    (token,),
                ).rowcount
            # The old page image must not linger in the write-ahead log.
            self._db.execute("pragma wal_checkpoint(truncate)").fetchall()
        return bool(done)

    def erase_hashes(self, hashes: Iterable[str]) -> int:
        """Destroy the plain text behind contacts by their keyed hashes; how many there were.

        A contact that never came here leaves no tombstone: it is kept out of messages by recorded
        state, and a later landing of it is erased again when it is found.
        """
        wanted = sorted(set(hashes))
        done = 0
        with _vault_errors(self.path):
            self._db.execute("pragma secure_delete = on")
            with self._transaction():
                for start in range(0, len(wanted), _CHUNK):
                    part = wanted[start : start + _CHUNK]
                    marks = ",".join("?" * len(part))
                    done += self._db.execute(
                        "update contacts set cipher = null, is_erased = 1"
                        f" where hash in ({marks}) and is_erased = 0",
                        part,
                    ).rowcount
            # The old page image must not linger in the write-ahead log.
            self._db.execute("pragma wal_checkpoint(truncate)").fetchall()
        return done

    def revealed(self, hashes: Iterable[str]) -> list[str]:
        """Plain texts behind keyed hashes, those that still stand. Only for whoever erases them.

        An erasure needs them for a moment, to find the contact in what could not be told apart.
        """
        wanted = sorted(set(hashes))
        rows: list[tuple[str, bytes]] = []
        with _vault_errors(self.path):
            for start in range(0, len(wanted), _CHUNK):
                part = wanted[start : start + _CHUNK]
                marks = ",".join("?" * len(part))
                rows += self._db.execute(
                    f"select token, cipher from contacts where hash in ({marks})"
                    " and cipher is not null order by token",
                    part,
                ).fetchall()
        return [self._decrypt(cipher, token) for token, cipher in rows]

    def known(self, hashes: Iterable[str]) -> int:
        """How many of the contacts, by keyed hash, are or were here."""
        found = 0
        wanted = sorted(set(hashes))
        with _vault_errors(self.path):
            for start in range(0, len(wanted), _CHUNK):
                part = wanted[start : start + _CHUNK]
                marks = ",".join("?" * len(part))
                query = f"select count(*) from contacts where hash in ({marks})"
                found += int(self._db.execute(query, part).fetchone()[0])
        return found

    def hash_of(self, kind: ContactKind, value: str) -> str:
        """Keyed hash of a contact, which need not be here; nothing is stored."""
        return self._keys.hash(kind, normalise(kind, value))

    def seal(self, plain: str) -> str:
        """Encrypt a text that cannot be told apart into fields (hex); equal texts, equal seals."""
        return self._encrypt(plain, "sealed").hex()

    def unseal(self, sealed: str) -> str:
        """The text behind :meth:`seal`."""
        return self._decrypt(bytes.fromhex(sealed), "sealed")

    def seal_file(self, source: Path, target: Path) -> None:
        """Write an encrypted copy of ``source``, block by block, fsynced."""
        # One nonce prefix per file and one counter per block: no nonce is used twice.
        prefix = os.urandom(_NONCE - 4)
        with source.open("rb") as plain, target.open("wb") as sealed:
            sealed.write(prefix)
            block = plain.read(_SEAL_BLOCK)
            number = 0
            while True:
                following = plain.read(_SEAL_BLOCK)
                bound = b"file" if following else b"file end"
                data = self._keys.cipher.encrypt(prefix + number.to_bytes(4, "big"), block, bound)
                sealed.write(len(data).to_bytes(4, "big") + data)
                if not following:
                    break
                block, number = following, number + 1
            sealed.flush()
            os.fsync(sealed.fileno())

    def unseal_file(self, source: Path, target: Path) -> None:
        """Write the plain text of a file made by :meth:`seal_file`.

        Raises:
            VaultKeyError: the file was sealed with another key, or it was changed or cut.
        """
        with target.open("wb") as plain:
            for block in self.sealed_blocks(source):
                plain.write(block)

    def sealed_blocks(self, source: Path) -> Iterator[bytes]:
        """The plain text of a file made by :meth:`seal_file`, block by block, in memory alone.

        Raises:
            VaultKeyError: the file was sealed with another key, or it was changed or cut.
        """
        with source.open("rb") as sealed:
            prefix = sealed.read(_NONCE - 4)
            size = sealed.read(4)
            number = 0
            while size:
                data = sealed.read(int.from_bytes(size, "big"))
                size = sealed.read(4)
                bound = b"file" if size else b"file end"
                nonce = prefix + number.to_bytes(4, "big")
                try:
                    block = self._keys.cipher.decrypt(nonce, data, bound)
                except InvalidTag:
                    raise self._changed_key(source) from None
                yield block
                number += 1

    def _encrypt(self, plain: str, bound: str) -> bytes:
        # The nonce follows from the text: the same text gives the same bytes, so that a repeated
        # landing is the same batch, and different texts do not share a nonce.
        data = plain.encode()
        nonce = hmac.digest(self._keys.nonces, bound.encode() + b"|" + data, "sha256")[:_NONCE]
        return nonce + self._keys.cipher.encrypt(nonce, data, bound.encode())

    def _decrypt(self, data: bytes, bound: str) -> str:
        try:
            plain = self._keys.cipher.decrypt(data[:_NONCE], data[_NONCE:], bound.encode())
        except InvalidTag:
            raise self._changed_key(self.path) from None
        return plain.decode()

    def _recognise_key(self) -> None:
        with _vault_errors(self.path):
            self._db.execute(
                "insert or ignore into vault_meta (name, value) values ('key_check', ?)",
                (self._keys.check,),
            )
            row = self._db.execute(
                "select value from vault_meta where name = 'key_check'"
            ).fetchone()
        if row[0] != self._keys.check:
            self._db.close()
            raise self._changed_key(self.path)

    def _changed_key(self, where: Path) -> VaultKeyError:
        return VaultKeyError(
            f"the personal-data key {self.key_id} is not the one this vault was started with",
            where=str(where),
            next_step="put the former key back into the Connection; the vault cannot be read "
            "with another one",
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")


@contextmanager
def _vault_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise LandingError(
            f"the vault cannot be used: {reason}",
            where=str(path),
            next_step="check free space and permissions of the folder, then run the night again",
        ) from error


def open_vault(path: Path, credentials: Credentials) -> Vault:
    """Open (or start) the vault at ``path`` with the key in ``credentials``' password.

    Raises:
        VaultKeyError: the key is missing, malformed, or not the one of this vault.
        LandingError: the file cannot be opened.
    """
    return Vault(path, keys_from_credentials(credentials))
