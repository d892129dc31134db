"""Contact data, encrypted: token <-> plain text for senders at hand-off only; erasure.

Nothing in here may be read by analytics. Landing calls :meth:`Vault.tokenise`, senders call
:meth:`Vault.reveal`, and nobody else calls either.
"""

from regulars.vault.contacts import ContactKind, ContactRef, is_masked, mask, normalise
from regulars.vault.keys import VaultKeys, keys_from_credentials
from regulars.vault.store import Vault, open_vault

__all__ = [
    "ContactKind",
    "ContactRef",
    "Vault",
    "VaultKeys",
    "is_masked",
    "keys_from_credentials",
    "mask",
    "normalise",
    "open_vault",
]
