"""Tokens that a platform renewed during a night, kept for the next one.

Connections are the only place where people put secrets, and a task cannot write them. What a
platform renews on the way is therefore kept in recorded state, sealed with the vault's key, and
used in place of the Connection's own tokens for as long as the Connection stays as it was.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace

from regulars.credentials import Credentials, CredentialsProvider
from regulars.state import StateStore
from regulars.vault import Vault


class RenewedTokens:
    """A credentials provider that knows the newest tokens.

    Args:
        provider: gives the Connections.
        state: where renewed tokens stand, sealed.
        vault: seals and opens them.
    """

    def __init__(self, provider: CredentialsProvider, state: StateStore, vault: Vault) -> None:
        self._provider = provider
        self._state = state
        self._vault = vault

    def __call__(self, connection_id: str) -> Credentials:
        """The Connection, with the tokens renewed since somebody last changed it.

        Raises:
            ConfigError: the Connection is missing.
            VaultKeyError: the tokens were sealed with another key.
        """
        own = self._provider(connection_id)
        kept = self._state.facts.get(_name(connection_id))
        if kept is None or kept["of"] != _fingerprint(own):
            return own
        return replace(own, extra={**own.extra, **json.loads(self._vault.unseal(kept["sealed"]))})

    def keep(self, connection_id: str, renewed: Mapping[str, str]) -> None:
        """Keep what a platform renewed; members of the Connection's ``extra``."""
        sealed = self._vault.seal(json.dumps(dict(renewed)))
        of = _fingerprint(self._provider(connection_id))
        self._state.facts.put(_name(connection_id), {"of": of, "sealed": sealed})


def _name(connection_id: str) -> str:
    return f"renewed_tokens/{connection_id}"


def _fingerprint(credentials: Credentials) -> str:
    parts = [credentials.host, credentials.login, credentials.password, credentials.extra]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
