"""Payload models: what a record of a stream looks like, as data.

A model is a list of :class:`Field`. It is compiled once into one closure per field, each of which
takes a value and returns its canonical text or refuses it with a reason. The same closures check
single records (APIs) and the distinct values of whole columns (files), so a rule has one owner.

Everything comes out as text: ids keep all their digits, amounts never pass through a float.
Reasons name the field and never show a value that could be personal.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from regulars.vault.contacts import HIDDEN, ContactKind, is_contact, mask_in_text

Kind = Literal[
    "id",
    "text",
    "amount",
    "decimal",
    "integer",
    "flag",
    "timestamp",
    "date",
    "enum",
    "contact",
    "records",
]
Refers = Literal["buyer", "order", "message"]
"""What an id stands for: whose record it is can be told by a buyer, an order or a message."""

MASK = "*"
"""A platform writes it over what it hides. A masked buyer id is that of several people."""


def names_buyer(value: str) -> bool:
    """Whether a buyer id stands for one buyer; :data:`NAMES_BUYER` says the same in SQL."""
    return MASK not in value


NAMES_BUYER = f"\"{{name}}\" not like '%{MASK}%'"
"""SQL of :func:`names_buyer` for the column ``{name}``; staging discards what it is false for."""

Check = Callable[[Any], Any]
"""Canonical text of a value (None: blank). Raises ValueError with the reason."""

Known = dict[str, str]
"""Canonical texts by the text that was given, of one field."""

MISSING = "required, but missing"

_BLANKS = " \t\r\n\u3000\ufeff\xa0"
_ID_LENGTH = 128
# What passes its check unchanged and needs no escaping, for RE2. A short cut: a value that does not
# match (29 February, say) is looked at by its check. Only kinds whose values hardly ever repeat.
_PLAIN: dict[Kind, str] = {
    "id": "^[0-9A-Za-z]{1,128}$",
    "timestamp": (
        "^[1-9][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
        "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
        " (?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$"
    ),
}
# Ids that are no mobile number (1, then 3 to 9, then nine digits; 86 or 0086 before it), for RE2,
# which knows no "not"; a few that are none either take the long way.
_PLAIN_OPAQUE = (
    "^(?:[A-Za-z][0-9A-Za-z]{0,127}|[0-9A-Za-z]{1,10}|[02-9][0-9A-Za-z]{10}"
    "|1[0-2A-Za-z][0-9A-Za-z]{9}|[0-9A-Za-z]{12}|[0-9A-Za-z]{14}|[0-9A-Za-z]{16,128})$"
)
_TEXT_LENGTH = 20_000
_LONGEST_NAME = 4
"""Characters of the longest usual Chinese name."""
# Statuses, amounts, titles and days come again and again: looking one up costs a tenth of checking
# it. Ids and instants hardly ever do.
REMEMBERED = 16_384
"""Texts of one field that are remembered."""
REMEMBERED_LENGTH = 64
"""Characters of the longest text that is remembered."""
_UNIQUE: frozenset[Kind] = frozenset({"id", "timestamp", "records"})

_AMOUNT = re.compile(r"-?\d{1,16}(?:\.\d{1,2})?")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_THOUSANDS = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
MOST_DIGITS = 10**18
"""A whole number reaches neither this nor its opposite."""
_INTEGER = re.compile(r"-?\d{1,18}")
_PLAIN_ID = re.compile(rf"[0-9A-Za-z_\-]{{1,{_ID_LENGTH}}}")
_SCIENTIFIC = re.compile(r"-?\d(?:\.\d+)?[eE]\+\d+")
_POINT_ZERO = re.compile(r"(\d+)\.0+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SHOWABLE = re.compile(r"[A-Z_0-9]{1,40}")
_LONG_NUMBER = re.compile(r"\d{7}")
_TIMESTAMP = re.compile(
    r"(\d{4})([-/])(\d{1,2})\2(\d{1,2})"
    r"(?:[ T](\d{1,2}):(\d{2})(?::(\d{2})(\.\d{1,6})?)?\s?(Z|[+\-]\d{2}:?\d{2})?)?"
)
_PLAIN_TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}")
_FLAGS = {
    **dict.fromkeys(("true", "1", "yes", "y", "t", "是"), "true"),
    **dict.fromkeys(("false", "0", "no", "n", "f", "否"), "false"),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record.

    Attributes:
        name: native name.
        kind: what it holds; a ``contact`` leaves the record at landing.
        required: a record without it is quarantined.
        values: what an ``enum`` may be.
        contact: what kind of contact it is.
        members: fields of each nested record (kind ``records``).
        note: unit or meaning, for the generated reference.
        aliases: other names under which a file's header may have it, such as a back office's own.
        blank: pattern of the texts that stand for no value, such as a back office's ``-``.
        pattern: pattern of what an id looks like; another one is refused.
        refers: the buyer, order or message that an id stands for; an erasure finds records by it.
        is_opaque: an id of a person that a merchant chooses: refused when it is itself a mobile
            number or an e-mail address, because ids are published as they are.
    """

    name: str
    kind: Kind = "text"
    required: bool = False
    values: tuple[str, ...] = ()
    contact: ContactKind | None = None
    members: tuple["Field", ...] = ()
    note: str = ""
    aliases: tuple[str, ...] = ()
    blank: str = ""
    pattern: str = ""
    refers: Refers | None = None
    is_opaque: bool = False


@dataclass(slots=True)
class Checked:
    """One record after its check.

    Attributes:
        values: canonical values of the known, readable fields; contacts still plain.
        reasons: why the record must be quarantined; empty when it may land.
        unknown: fields that the model does not know (nested ones as ``orders.x``), kept as given.
    """

    values: dict[str, Any]
    reasons: list[str] = field(default_factory=list)
    unknown: dict[str, Any] = field(default_factory=dict)
    unknown_nested: list[str] = field(default_factory=list)


class PayloadModel:
    """The compiled model of one stream of one source.

    Args:
        source: name of the source.
        stream: name of the stream.
        fields: what a record holds.
        note: what one record is, for the generated reference.
        refers: whose record it is, by field, beside what the fields themselves say.
        defines: what a record is the record of: an order's or a message's own, which says whose it
            is; None for one that only tells of it, as a refund does.
        key: the fields that all versions of one record share; none where a record is no version
            of another, or cannot be told to be one.
        modified: the field that says how young a version is.
    """

    def __init__(
        self,
        source: str,
        stream: str,
        fields: Iterable[Field],
        note: str = "",
        *,
        refers: Mapping[str, Refers] | None = None,
        defines: Refers | None = None,
        key: Iterable[str] = (),
        modified: str = "",
    ) -> None:
        self.source = source
        self.stream = stream
        self.note = note
        self.defines = defines
        self.fields = tuple(fields)
        self.names = frozenset(item.name for item in self.fields)
        self.aliases = {alias: item.name for item in self.fields for alias in item.aliases}
        self.required = tuple(item.name for item in self.fields if item.required)
        self.contacts: dict[str, ContactKind] = {
            item.name: item.contact for item in self.fields if item.contact is not None
        }
        self.links: dict[str, Refers] = {
            item.name: item.refers for item in self.fields if item.refers is not None
        } | dict(refers or {})
        """By name, the fields that say whose record it is."""
        self.key = tuple(key)
        """Fields that all versions of one record share; old versions leave raw, where it is set."""
        self.modified = modified
        self.checks: dict[str, Check] = {item.name: compile_check(item) for item in self.fields}
        self._plain = {
            f.name: _PLAIN_OPAQUE if f.is_opaque else _PLAIN[f.kind]
            for f in self.fields
            if f.kind in _PLAIN and not f.blank and not f.pattern
        }
        self._members = {
            f.name: frozenset(member.name for member in f.members) for f in self.fields if f.members
        }
        self._steps = tuple(_step(f, self.checks[f.name]) for f in self.fields)
        self.reserved = frozenset(self.raw_columns()) - self.names

    def __repr__(self) -> str:
        return f"PayloadModel({self.source}.{self.stream}, {len(self.fields)} fields)"

    def check_of(self, name: str) -> Check | None:
        """The compiled check of a field, or None when the model does not know it."""
        return self.checks.get(name)

    def plain_pattern(self, name: str) -> str | None:
        """A pattern (RE2) of values that pass the field's check unchanged and need no escaping.

        A short cut for whole columns of unique values; None where there is none.
        """
        return self._plain.get(name)

    def check(self, record: Mapping[str, Any]) -> Checked:
        """Check one record; never raises for what is in it."""
        values: dict[str, Any] = {}
        result = Checked(values)
        for name, required, check, known in self._steps:
            value = record.get(name)
            if value is not None:
                if known is not None and type(value) is str and value in known:
                    values[name] = known[value]
                    continue
                try:
                    value = check(value) if known is None else _checked(value, check, known)
                except BadNested as error:
                    result.reasons.extend(error.reasons)
                    continue
                except ValueError as error:
                    result.reasons.append(f"{name}: {error}")
                    continue
            if value is not None:
                values[name] = value
            elif required:
                result.reasons.append(f"{name}: {MISSING}")
        for name in self._members:
            self.note_unknown_members(name, result)
        if not self.names.issuperset(record):
            result.unknown.update(
                {name: value for name, value in record.items() if name not in self.names}
            )
        return result

    def note_unknown_members(self, name: str, result: Checked) -> None:
        """Note the members in a checked record's list ``name`` that the model does not know."""
        found = result.values.get(name, ())
        result.unknown_nested.extend(_unknown_members(name, self._members[name], found))

    def raw_columns(self) -> dict[str, str]:
        """DuckDB type of each payload column of the raw table, in order."""
        columns: dict[str, str] = {}
        for item in self.fields:
            if item.contact is not None:
                for part in ("ref", "hash", "masked"):
                    columns[f"{item.name}_{part}"] = "VARCHAR"
            elif item.members:
                inner = ", ".join(f"{member.name} VARCHAR" for member in item.members)
                columns[item.name] = f"STRUCT({inner})[]"
            else:
                columns[item.name] = "VARCHAR"
        if self.contacts:
            columns["_key_id"] = "VARCHAR"
        return columns


class BadNested(ValueError):
    """Nested records were refused; ``reasons`` name their fields."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


def _unknown_members(
    name: str, members: frozenset[str], records: Iterable[dict[str, Any]]
) -> list[str]:
    return [
        f"{name}.{member}"
        for record in records
        if not members.issuperset(record)
        for member in record.keys() - members
    ]


def _step(item: Field, check: Check) -> tuple[str, bool, Check, Known | None]:
    return item.name, item.required, check, None if item.kind in _UNIQUE else {}


def _checked(value: Any, check: Check, known: Known) -> Any:
    """What the check says, remembered for short texts."""
    text = check(value)
    # A number would find what was remembered of an equal one of another type.
    if type(value) is str and type(text) is str and len(value) <= REMEMBERED_LENGTH:
        if len(known) >= REMEMBERED:
            known.clear()
        known[value] = text
    return text


def compile_check(item: Field) -> Check:
    """The check of one field. Raises KeyError for a kind that does not exist."""
    check = _check_of_kind(item)
    if item.is_opaque:
        check = _opaque_check(check)
    if item.kind == "id" and item.refers == "buyer":
        check = _unmasked_check(check)
    if item.pattern:
        check = _pattern_check(check, re.compile(item.pattern))
    if item.blank:
        check = _blank_check(check, re.compile(item.blank, re.DOTALL))
    return check


def _check_of_kind(item: Field) -> Check:
    if item.kind == "enum":
        return _enum_check(frozenset(item.values), item.name)
    if item.kind == "records":
        return _records_check(item)
    return _CHECKS[item.kind]


def _pattern_check(check: Check, pattern: re.Pattern[str]) -> Check:
    def checked(value: object) -> str | None:
        text: str | None = check(value)
        if text is None or pattern.fullmatch(text):
            return text
        if ";" in unicodedata.normalize("NFKC", text):
            raise ValueError("several in one cell, joined by ';': deliver one row for each")
        raise ValueError("not a number as this platform gives them")

    return checked


def _opaque_check(check: Check) -> Check:
    def checked(value: object) -> str | None:
        given = as_text(value)
        # As it was given: a text that is kept has its contacts masked, and the mask of a number is
        # the id of everybody whose number looks like it.
        if given is not None and is_contact(_unwrapped(given)):
            raise ValueError(
                "a phone number or an e-mail address where an id belongs; deliver a number of "
                "your own, or a hash of it"
            )
        text: str | None = check(value)
        return text

    return checked


def _unmasked_check(check: Check) -> Check:
    def checked(value: object) -> str | None:
        text: str | None = check(value)
        if text is None or names_buyer(text):
            return text
        raise ValueError("masked, so it stands for several people; deliver the stable id")

    return checked


def _blank_check(check: Check, blank: re.Pattern[str]) -> Check:
    def checked(value: object) -> Any:
        if isinstance(value, str) and blank.fullmatch(_unwrapped(value)):
            return None
        return check(value)

    return checked


def as_text(value: object) -> str | None:
    """A source's plain value as text without loss; None for a blank one.

    Raises:
        ValueError: the value is nested, or a float that has lost digits.
    """
    if type(value) is str:
        return value.strip(_BLANKS) or None
    if value is None or isinstance(value, str):
        return None if value is None else str(value).strip(_BLANKS) or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, Decimal):
        return _decimal_text(value)
    if isinstance(value, datetime | date):
        return value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat()
    raise ValueError("a nested value where a plain one belongs")


def _float_text(value: float) -> str | None:
    if value != value:  # NaN is how data frames write a missing number
        return None
    if value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if abs(value) >= 2**53:
        raise ValueError("a number above 2^53 that has lost digits; deliver it as text")
    return format(Decimal(repr(value)), "f")


def _decimal_text(value: Decimal) -> str | None:
    if not value.is_finite():
        return None
    text = format(value, "f")
    whole, point, part = text.partition(".")
    # A column's scale is no claim about its values: 12.5000 is 12.50.
    return f"{whole}.{part[:2]}{part[2:].rstrip('0')}" if point else text


def _unwrapped(text: str) -> str:
    """Without what spreadsheets put around a cell: ``="123"``, ``'123``, quotes, tabs."""
    return text.lstrip("=").strip("\"'" + _BLANKS)


def _id(value: object) -> str | None:
    if type(value) is int:
        return str(value)
    if type(value) is str and (
        (value.isalnum() and len(value) <= _ID_LENGTH) or _PLAIN_ID.fullmatch(value)
    ):
        return value
    text = as_text(value)
    if text is None:
        return None
    text = _unwrapped(text)
    if _SCIENTIFIC.fullmatch(text):
        raise ValueError("scientific notation: digits are lost; deliver it as text")
    if len(text) > _ID_LENGTH:
        raise ValueError(f"longer than {_ID_LENGTH} characters")
    if _CONTROL.search(text):
        raise ValueError("control characters")
    zero = _POINT_ZERO.fullmatch(text)
    return (zero.group(1) if zero else text) or None


def _text(value: object) -> str | None:
    text = as_text(value)
    if text is None:
        return None
    if len(text) > _TEXT_LENGTH:
        raise ValueError(f"longer than {_TEXT_LENGTH} characters")
    # Law 9: people write numbers into free text, and those must not land either.
    return mask_in_text(text)


def _contact(value: object) -> str | None:
    text = as_text(value)
    return _unwrapped(text) or None if text is not None else None


def _amount(value: object) -> str | None:
    if type(value) is str and _AMOUNT.fullmatch(value) and value.isascii():
        return value
    text = _plain_number(value)
    if text is None or _AMOUNT.fullmatch(text):
        return text
    whole, _, part = text.lstrip("-").partition(".")
    if len(part) > 2:
        raise ValueError("more than two decimals")
    raise ValueError(f"too large: {len(whole)} digits")


def _decimal(value: object) -> str | None:
    text = as_text(value)
    # A rate as people write it: 35.2% stands in a column that counts in per cent.
    text = _plain_number(text.removesuffix("%") if text else None)
    if text is not None and (len(text) > 24 or len(text.partition(".")[2]) > 6):
        raise ValueError("more than six decimals or too large")
    return text


def _integer(value: object) -> str | None:
    if type(value) is str and _INTEGER.fullmatch(value) and value.isascii():
        return value
    if type(value) is int and abs(value) < MOST_DIGITS:
        return str(value)
    text = _plain_number(value)
    if text is None:
        return None
    zero = _POINT_ZERO.fullmatch(text.lstrip("-"))
    text = text.partition(".")[0] if zero else text
    if not _INTEGER.fullmatch(text):
        raise ValueError("not a whole number")
    return text


def _plain_number(value: object) -> str | None:
    text = as_text(value)
    if text is None:
        return None
    text = _unwrapped(text).removesuffix("元").lstrip("¥￥+").strip(_BLANKS)
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    if not text.isascii() or not _NUMBER.fullmatch(text):
        raise ValueError("not a number")
    return text


def _flag(value: object) -> str | None:
    text = as_text(value)
    if text is None:
        return None
    flag = _FLAGS.get(text.lower())
    if flag is None:
        raise ValueError("not true or false")
    return flag


def _timestamp(value: object) -> str | None:
    if type(value) is str and len(value) == 19 and value[4:17:3] == "-- ::" and value.isascii():
        # Quicker than a pattern; with these in their places no other notation is accepted.
        _real_instant(value)
        return value
    text = as_text(value)
    return None if text is None else _canonical_timestamp(text)


def _canonical_timestamp(text: str) -> str:
    if _PLAIN_TIMESTAMP.fullmatch(text) and text.isascii():
        _real_instant(text)
        return text
    match = _TIMESTAMP.fullmatch(_unwrapped(text))
    if match is None or not text.isascii():
        raise ValueError("not a timestamp (YYYY-MM-DD HH:MM:SS, or ISO with offset)")
    year, _, month, day, hour, minute, second, part, zone = match.groups()
    clock = f"{int(hour or 0):02d}:{minute or '00'}:{second or '00'}{part or ''}"
    if zone == "Z":
        zone = "+00:00"
    elif zone and ":" not in zone:
        zone = f"{zone[:3]}:{zone[3:]}"
    canonical = f"{year}-{int(month):02d}-{int(day):02d} {clock}{zone or ''}"
    _real_instant(canonical)
    return canonical


def _real_instant(text: str) -> None:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("a date or time that does not exist") from None


def _date(value: object) -> str | None:
    text = as_text(value)
    if text is None:
        return None
    match = _TIMESTAMP.fullmatch(_unwrapped(text))
    if match is None or not text.isascii():
        raise ValueError("not a date (YYYY-MM-DD)")
    year, _, month, day, hour, minute, second, _, zone = match.groups()
    if zone or int(hour or 0) or int(minute or 0) or int(second or 0):
        raise ValueError("a time of day where a date belongs")
    canonical = f"{year}-{int(month):02d}-{int(day):02d}"
    _real_instant(canonical)
    return canonical


def _enum_check(values: frozenset[str], name: str) -> Check:
    noun = name.rpartition("_")[2] if "status" in name else name
    beyond_ascii = {letter for text in values for letter in text if not text.isascii()}

    def check(value: object) -> str | None:
        if type(value) is str and value in values:
            return value
        text = as_text(value)
        if text is None or text in values:
            return text
        half_width = unicodedata.normalize("NFKC", text)
        if half_width in values:
            return half_width
        # Another column may have slipped in here: show codes, never what may be a person's name,
        # number or address. A text of the documented ones' own Chinese characters, longer than a
        # name, is a status that nobody has listed yet.
        is_code = _SHOWABLE.fullmatch(text) and not _LONG_NUMBER.search(text)
        is_phrase = len(half_width) > _LONGEST_NAME and beyond_ascii.issuperset(half_width)
        shown = repr(text) if is_code or is_phrase else f"{HIDDEN} ({len(text)} characters)"
        raise ValueError(f"{shown} is not a documented {noun}")

    return check


def _records_check(item: Field) -> Check:
    steps = tuple(_step(f, compile_check(f)) for f in item.members)

    def check(value: Any) -> list[dict[str, Any]] | None:
        if not isinstance(value, list) or not all(
            type(one) is dict or isinstance(one, Mapping) for one in value
        ):
            raise ValueError("not a list of records")
        reasons: list[str] = []
        records = [_check_member(item.name, steps, record, reasons) for record in value]
        if reasons:
            raise BadNested(reasons)
        return records or None

    return check


def _check_member(
    parent: str,
    steps: tuple[tuple[str, bool, Check, Known | None], ...],
    record: Mapping[str, Any],
    reasons: list[str],
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    given = 0
    for name, required, check, known in steps:
        if name in record:
            given += 1
            value = record[name]
            if known is not None and type(value) is str and value in known:
                values[name] = known[value]
                continue
            if value is not None:
                try:
                    value = check(value) if known is None else _checked(value, check, known)
                except ValueError as error:
                    reasons.append(f"{parent}.{name}: {error}")
                    continue
            if value is not None:
                values[name] = value
                continue
        if required:
            reasons.append(f"{parent}.{name}: {MISSING}")
    if given == len(record):
        return values
    names = {name for name, *_ in steps}
    return {**{name: value for name, value in record.items() if name not in names}, **values}


_CHECKS: dict[Kind, Check] = {
    "id": _id,
    "text": _text,
    "amount": _amount,
    "decimal": _decimal,
    "integer": _integer,
    "flag": _flag,
    "timestamp": _timestamp,
    "date": _date,
    "contact": _contact,
}
