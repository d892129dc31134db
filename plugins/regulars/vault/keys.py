"""The personal-data key and what is derived from it.

One secret of 32 bytes lives in a Connection. HKDF-SHA256 gives a key of its own to every use, so
that no use can be turned against another: hashes for matching, tokens, encryption, references in
links, the check by which a vault recognises its key, and the public key id.
"""

import base64
import binascii
import hmac
import re
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from regulars.credentials import Credentials
from regulars.errors import VaultKeyError

KEY_BYTES = 32
REFERENCE_PREFIX = "ct_"
"""What every contact's reference begins with."""
_NONCE = 12
_HEX = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class VaultKeys:
    """Keys derived from the secret; only ``key_id`` may be shown."""

    key_id: str
    check: bytes = field(repr=False)
    hashing: bytes = field(repr=False)
    tokens: bytes = field(repr=False)
    nonces: bytes = field(repr=False)
    cipher: AESGCM = field(repr=False)
    references: AESGCM = field(repr=False)

    def hash(self, kind: str, normal: str) -> str:
        """Keyed hash (hex) by which equal contacts are found."""
        return hmac.digest(self.hashing, f"{kind}|{normal}".encode(), "sha256").hex()

    def token(self, kind: str, normal: str) -> str:
        """Reference of a contact: the same value has the same token as long as the key lives."""
        digest = hmac.digest(self.tokens, f"{kind}|{normal}".encode(), "sha256")
        return REFERENCE_PREFIX + digest.hex()[:32]

    def seal_reference(self, use: str, data: bytes) -> str:
        """An opaque text (letters, digits, ``-_``) for ``data``: equal data, equal texts.

        Nobody without the key can read it, or make another that :meth:`open_reference` takes.
        """
        nonce = hmac.digest(self.nonces, use.encode() + b"|reference|" + data, "sha256")[:_NONCE]
        sealed = nonce + self.references.encrypt(nonce, data, use.encode())
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open_reference(self, use: str, text: str) -> bytes | None:
        """What :meth:`seal_reference` sealed for this use; None for anything else."""
        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            data = self.references.decrypt(sealed[:_NONCE], sealed[_NONCE:], use.encode())
        except (binascii.Error, ValueError, InvalidTag):
            return None
        # Base64 has spare bits at its end: only the one spelling counts.
        return data if hmac.compare_digest(self.seal_reference(use, data), text) else None


def keys_from_credentials(credentials: Credentials) -> VaultKeys:
    """Derive the keys from the Connection's password: 64 hex digits, or 32 bytes in base64.

    Raises:
        VaultKeyError: the password is missing or has another form; it is never shown.
    """
    text = credentials.password.strip()
    if not text:
        raise _key_error("the personal-data key is missing", credentials)
    if _HEX.fullmatch(text):
        return _derive(bytes.fromhex(text))
    try:
        secret = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        # Standard base64 uses other characters for 62 and 63 than the URL form.
        try:
            secret = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            secret = b""
    if len(secret) != KEY_BYTES:
        raise _key_error("the personal-data key is not 32 bytes in base64 or hex", credentials)
    return _derive(secret)


def _derive(secret: bytes) -> VaultKeys:
    def subkey(use: str) -> bytes:
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=f"regulars/{use}".encode()).derive(secret)

    return VaultKeys(
        key_id=subkey("key id")[:6].hex(),
        check=subkey("check"),
        hashing=subkey("contact hash"),
        tokens=subkey("contact token"),
        nonces=subkey("nonce"),
        cipher=AESGCM(subkey("encryption")),
        references=AESGCM(subkey("reference")),
    )


def _key_error(what: str, credentials: Credentials) -> VaultKeyError:
    return VaultKeyError(
        what,
        where=f"connection {credentials.connection_id}",
        next_step="set its password to the key this installation was started with "
        "(64 hex digits, or 32 bytes in base64)",
    )
