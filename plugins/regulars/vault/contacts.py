"""What contact values look like: their normal form, their masked form, and finding them in text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

ContactKind = Literal["phone", "email", "name", "address", "other"]

_MOBILE = re.compile(r"1[3-9]\d{9}")
_PHONE_NOISE = re.compile(r"[\s\-()（）.·　]+")
_COUNTRY = re.compile(r"(?:\+|00)?86(?=1[3-9]\d{9}$)")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")

_IN_TEXT = re.compile(
    r"(?<![0-9A-Za-z])(?:(?:\+|00)?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}(?![0-9A-Za-z])"
    r"|[A-Za-z0-9._%+\-]+@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)+"
)
# A cheap look first: most texts hold neither eleven digits in a row nor an @.
_MAYBE = re.compile(r"\d[\d \-]{9}|@")

HIDDEN = "***"

# What platforms' masks look like, by kind of contact. One star alone is not a mask: people write
# stars into addresses and names, too. A name may be masked with one, when it shows one letter on
# either side at most.
_MASKED: dict[str, re.Pattern[str]] = {
    "phone": re.compile(r"\+?(?=[\d\- ]*\*{3})(?:[\d\- ]|\*)+"),
    "email": re.compile(r"[^@\s]{0,3}\*{2,}[^@\s]{0,3}@[^@\s]+"),
    "name": re.compile(r"\S?\*+\S?|[^*]{0,20}\*{2,}[^*]{0,20}"),
    "address": re.compile(r".*\*{2,}.*", re.DOTALL),
}
_SHAPED: tuple[ContactKind, ...] = ("phone", "email", "name", "address")
_MOST_DIGITS = 9
"""Digits that a masked phone number or name may still show, the country's included."""
_NESTED = re.compile(r"[{}\[\]]")


@dataclass(frozen=True, slots=True)
class ContactRef:
    """What stands in a landed record instead of a contact value.

    Attributes:
        token: reference into the vault; senders turn it into plain text.
        hash: HMAC-SHA256 of the normal form, hex; equal contacts have equal hashes.
        masked: what people may see: ``138****1234``, ``a***@example.com`` or ``***``.
    """

    token: str
    hash: str = field(repr=False)
    masked: str


@lru_cache(maxsize=4096)  # a buyer's contacts are asked about for each of the buyer's orders
def is_masked(kind: ContactKind, value: str) -> bool:
    """Whether a platform has masked the value already; such a value never enters the vault.

    A mask is believed in the shapes that platforms give to this kind of contact. Of a kind that
    nobody knows, every shape counts, but no text with objects or lists in it: one masked member
    says nothing about the others.
    """
    if "*" not in value or holds_contact(value):
        return False
    if kind == "other":
        return _NESTED.search(value) is None and any(is_masked(one, value) for one in _SHAPED)
    if kind != "address" and sum(map(str.isdigit, value)) > _MOST_DIGITS:
        return False
    return _MASKED[kind].fullmatch(value.strip()) is not None


def normalise(kind: ContactKind, value: str) -> str:
    """The form under which equal contacts are equal; empty for a blank value.

    Phones lose spaces, hyphens, brackets and the prefix +86; e-mail addresses lose their case.
    """
    text = value.strip().lstrip("'")
    if kind == "phone":
        text = _PHONE_NOISE.sub("", text)
        return _COUNTRY.sub("", text)
    if kind == "email":
        return text.lower()
    return " ".join(text.split())


def mask(kind: ContactKind, normal: str) -> str:
    """The masked form of a normalised value; ``***`` where nothing of it may be shown."""
    if kind == "phone":
        if _MOBILE.fullmatch(normal):
            return f"{normal[:3]}****{normal[-4:]}"
        digits = normal.lstrip("+")
        return f"****{digits[-3:]}" if digits.isdigit() and len(digits) >= 7 else HIDDEN
    if kind == "email" and _EMAIL.fullmatch(normal):
        name, _, host = normal.rpartition("@")
        return f"{name[0]}***@{host}"
    if kind == "name" and len(normal) > 1:
        return f"{normal[0]}**"
    return HIDDEN


def holds_contact(text: str) -> bool:
    """Whether a mobile number or an e-mail address stands somewhere in ``text``."""
    return _MAYBE.search(text) is not None and _IN_TEXT.search(text) is not None


def is_contact(text: str) -> bool:
    """Whether ``text`` is a mobile number or an e-mail address and nothing else."""
    if _EMAIL.fullmatch(text.strip()) is not None:
        return True
    return _MOBILE.fullmatch(normalise("phone", text)) is not None


def contacts_in(text: str) -> Iterator[tuple[ContactKind, str]]:
    """Every mobile number and e-mail address that stands somewhere in ``text``, with its kind."""
    for match in _IN_TEXT.finditer(text):
        yield _kind_of(match.group()), match.group()


def mask_in_text(text: str) -> str:
    """``text`` with every mobile number and e-mail address in it masked."""
    if _MAYBE.search(text) is None:
        return text
    return _IN_TEXT.sub(_masked_match, text)


def _masked_match(match: re.Match[str]) -> str:
    found = match.group()
    kind = _kind_of(found)
    return mask(kind, normalise(kind, found))


def _kind_of(found: str) -> ContactKind:
    return "email" if "@" in found else "phone"
