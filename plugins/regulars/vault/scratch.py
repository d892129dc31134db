"""Contact data that must wait on disk for a moment: readable to this process only."""

import secrets

from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class ScratchCipher:
    """Encrypts pieces under a key that is never written down: who comes later reads nothing."""

    def __init__(self) -> None:
        self._cipher = AESGCM(AESGCM.generate_key(256))
        self._salt = secrets.token_bytes(4)

    def seal(self, number: int, plain: bytes) -> bytes:
        """The encrypted piece; no two pieces may have the same ``number`` (below 2^64)."""
        return self._cipher.encrypt(self._nonce(number), plain, None)

    def open(self, number: int, sealed: bytes) -> bytes:
        """The piece that was sealed under ``number``."""
        return self._cipher.decrypt(self._nonce(number), sealed, None)

    def _nonce(self, number: int) -> bytes:
        return self._salt + number.to_bytes(8, "big")
