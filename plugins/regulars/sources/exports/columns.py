"""How the columns of a seller centre's export are written down.

Each is its name in raw and the headers it has had: vendors publish no schema and rename columns, so
old and new headers are aliases of one name. Headers with a trailing blank need no alias of their
own, since blanks are trimmed before names are compared.
"""

from typing import Any

from regulars.sources.headers import normal_name
from regulars.sources.payloads import Field, Kind, Refers
from regulars.vault.contacts import ContactKind

SOURCE = "exports"

# `-` stands for an empty cell. What begins with ## or $$ is ciphertext of a protected buyer: nobody
# here can read it and it is another one tomorrow, so neither the vault nor a hash may take it.
_BLANK = r"-+|(?:##|\$\$).*"
NUMBER = r"\d+"


_REFERS: dict[str, Refers] = {"order_id": "order", "buyer_account": "buyer"}


def column(name: str, kind: Kind, *headers: str, blank: str = "", **more: Any) -> Field:
    """A column of raw with its headers.

    Args:
        name: its name in raw; ``*`` at the end makes it required.
        kind: what it holds.
        headers: the names that exports have given it, newest last.
        blank: pattern of further texts that stand for no value.
        more: other attributes of :class:`Field`.
    """
    return Field(
        name.rstrip("*"),
        kind,
        refers=_REFERS.get(name.rstrip("*")),
        is_opaque=_REFERS.get(name.rstrip("*")) == "buyer",
        required=name.endswith("*"),
        aliases=tuple(normal_name(header) for header in headers),
        blank=f"{blank}|{_BLANK}" if blank else _BLANK,
        **more,
    )


def number(name: str, *headers: str, pattern: str = NUMBER) -> Field:
    """A platform's own number: digits, text from the first to the last of them."""
    return column(name, "id", *headers, pattern=pattern)


def person(name: str, kind: ContactKind, *headers: str) -> Field:
    """A column about a person: it leaves the record at landing."""
    return column(name, "contact", *headers, contact=kind)


def columns(kind: Kind, **headers: str) -> tuple[Field, ...]:
    """Columns of one kind by name; several headers of one are separated by a blank."""
    return tuple(column(name, kind, *text.split()) for name, text in headers.items())
