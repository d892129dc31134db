"""One-click unsubscribe (RFC 8058): the token of a message and the headers that carry it.

The token is the message's id, sealed under a key of its own that derives from the personal-data key
(docs/adr/0011): the id leads to recipient, brand and channel, nobody else can read or make one, and
nothing has to be stored or kept in step. The same message has the same token for as long as the key
lives.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy
from urllib.parse import urlsplit

from regulars.errors import ConfigError
from regulars.vault import VaultKeys

ONE_CLICK = "List-Unsubscribe=One-Click"
"""The whole body that a mailbox provider posts."""

_USE = "unsubscribe"
_MESSAGE_ID = re.compile(r"[0-9a-f]{32}")
_MAILTO = re.compile(r"[A-Za-z0-9.!#$&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+")
_LONGEST_LINE = 998  # RFC 5322, without the line's end

MAIL_POLICY: "EmailPolicy[EmailMessage]" = SMTP.clone(max_line_length=_LONGEST_LINE)
"""Writes each of these headers on one line: folding breaks DKIM signatures on the way, and the
default policy even encodes a long link."""


@dataclass(frozen=True)
class UnsubscribeLinks:
    """Makes the way out of every e-mail.

    Attributes:
        public_url: where `regulars receive` is reached from outside, ``https://…``.
        keys: what tokens are sealed with; ``repr`` shows none of them.
        mailto: an address that takes unsubscriptions as well; empty for none.
    """

    public_url: str
    keys: VaultKeys = field(repr=False)
    mailto: str = ""

    def url(self, message_id: str) -> str:
        """The address that a visible link in the e-mail's body leads to."""
        return f"{self.public_url.rstrip('/')}/u/{unsubscribe_token(self.keys, message_id)}"

    def headers(self, message_id: str) -> Mapping[str, str]:
        """The headers of RFC 8058.

        Raises:
            ConfigError: the public address cannot stand in them.
        """
        token = unsubscribe_token(self.keys, message_id)
        return unsubscribe_headers(self.public_url, token, self.mailto)


def unsubscribe_token(keys: VaultKeys, message_id: str) -> str:
    """The opaque token (59 letters, digits, ``-`` and ``_``) that unsubscribes from a message.

    Raises:
        ValueError: the id is no message id (32 hexadecimal digits).
    """
    if not _MESSAGE_ID.fullmatch(message_id):
        raise ValueError("a message id has 32 hexadecimal digits")
    return keys.seal_reference(_USE, bytes.fromhex(message_id))


def message_of_token(keys: VaultKeys, token: str) -> str | None:
    """The message id behind a token; None when the token is not one of ours."""
    data = keys.open_reference(_USE, token)
    return None if data is None else data.hex()


def unsubscribe_headers(public_url: str, token: str, mailto: str = "") -> dict[str, str]:
    """The two headers of a marketing e-mail, each one logical line. Sign both with DKIM.

    Args:
        public_url: where `regulars receive` is reached from outside, ``https://…``.
        token: of this message, see :func:`unsubscribe_token`.
        mailto: an address that takes unsubscriptions as well; empty for none.

    Raises:
        ConfigError: the address is not https, or something in it would break the header.
    """
    base = public_url.rstrip("/")
    parts = urlsplit(base)
    fits = base.isascii() and base.isprintable() and not re.search(r"[<>\s,]", base)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or not fits:
        raise ConfigError(
            "the address for unsubscribing must be a plain https address",
            where="public_url of config/receiving.yml",
            next_step="write it as https://receive.example.com; mailbox providers take no other",
        )
    if mailto and not _MAILTO.fullmatch(mailto):
        raise ConfigError(
            "the mailbox for unsubscribing is no plain address",
            where="unsubscribe mailbox",
            next_step="write it as unsubscribe@example.com, or leave it empty",
        )
    value = f"<{base}/u/{token}>" + (f", <mailto:{mailto}>" if mailto else "")
    if len("List-Unsubscribe: ") + len(value) > _LONGEST_LINE:
        raise ConfigError(
            "the address for unsubscribing is too long for a line of mail",
            where="public_url of config/receiving.yml",
            next_step="use a shorter address",
        )
    return {"List-Unsubscribe": value, "List-Unsubscribe-Post": ONE_CLICK}
