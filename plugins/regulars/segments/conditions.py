"""Conditions of a segment: read, turned into alternatives, and told to the models.

A condition compares one field; ``all``, ``any`` and ``not`` put them together. What is not known
fulfils no condition and no condition's opposite, so that ``not`` never lets in whom nothing is
known of; ``known`` and ``missing`` ask for just that. Events are another matter: who is not known
to have bought has not. A segment ends up as *clauses*: whoever fulfils every part of one of them
belongs to it.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from itertools import product
from typing import Any, Literal, NoReturn

from regulars.errors import ConfigError
from regulars.segments.fields import FieldCatalogue, SegmentField

MAX_CLAUSES = 64
"""Alternatives that a version may come to: the models count each of them for every member."""
SEPARATOR = "|"
"""Between the texts of one condition as the models read them; no text may hold it."""

Place = tuple[Any, ...]
"""Where something stands in the YAML document: keys and indexes."""
Refuse = Callable[[Place, str, str], ConfigError]
"""Makes the error about a place, with what is wrong and the next step."""

_Ages = tuple[int, int | None]
"""First and last day of an age, the last None for no end."""

_TEXT_OPS = ("eq", "ne", "in", "not_in")
_NUMBER_OPS = ("eq", "ne", "lt", "le", "gt", "ge", "between")
_EVENT_OPS = ("eq", "in")
_KNOWING_OPS = ("known", "missing")
_GROUPS = ("all", "any", "not")
_LEAF_KEYS = ("field", "op", "value", "within_days")


@dataclass(frozen=True)
class Condition:
    """One comparison.

    Attributes:
        comparison: ``texts`` (is one of), ``range`` or ``known``.
        texts: of ``texts``; flags are compared as ``true`` and ``false``.
        low, high: bounds of ``range``, None for none; of ages whole days.
        is_low_open, is_high_open: whether the bound itself is outside.
        is_excluded: holds where the comparison does not, of what is known.
        within_days: days, the present one included, that an event or an order counts.
    """

    field: SegmentField
    comparison: Literal["texts", "range", "known"]
    texts: tuple[str, ...] = ()
    low: Decimal | None = None
    high: Decimal | None = None
    is_low_open: bool = False
    is_high_open: bool = False
    is_excluded: bool = False
    within_days: int | None = None

    @property
    def condition_id(self) -> str:
        """The same for the same comparison, wherever it stands: 32 hexadecimal digits."""
        row = {name: value for name, value in self._row().items() if name != "family"}
        text = json.dumps(row, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def _row(self) -> dict[str, Any]:
        is_age = self.field.value_type == "age"
        texts = SEPARATOR + SEPARATOR.join(self.texts) + SEPARATOR if self.texts else None
        return {
            "field": self.field.field,
            "family": self.field.family,
            "kind": self.field.kind,
            "comparison": "age" if is_age and self.comparison == "range" else self.comparison,
            "texts": texts,
            "low": self.low,
            "high": self.high,
            "is_low_open": self.is_low_open,
            "is_high_open": self.is_high_open,
            "is_excluded": self.is_excluded,
            "within_days": self.within_days,
            "is_as_of": self.field.history == "as_of",
        }

    def warehouse_row(self, brand: str, currency: str) -> dict[str, Any]:
        """The row of ``config.segment_conditions`` for members of ``brand``.

        Args:
            brand: code of the brand.
            currency: its base currency, which amounts are compared in.
        """
        given = {"brand": brand, "condition_id": self.condition_id, "currency": currency}
        return {**given, **self._row()}


@dataclass(frozen=True)
class Part:
    """A condition that has to hold, or must not."""

    condition: Condition
    is_negated: bool = False


Clause = tuple[Part, ...]


@dataclass(frozen=True)
class Group:
    """``all`` or ``any`` of its members."""

    kind: Literal["all", "any"]
    members: "tuple[Group | Part, ...]"


def read_conditions(
    document: Any, place: Place, catalogue: FieldCatalogue, refuse: Refuse
) -> Group | Part:
    """The conditions of ``document``, in which ``not`` has been carried to the comparisons.

    Args:
        document: what YAML made of it.
        place: where it stands.
        catalogue: the fields.
        refuse: makes errors.

    Raises:
        ConfigError: something is no condition; names the place.
    """
    return _Reader(catalogue, refuse).read(document, place, is_negated=False)


def clauses_of(conditions: Group | Part) -> tuple[Clause, ...]:
    """The alternatives that ``conditions`` come to, each of parts that all have to hold.

    Raises:
        OverflowError: there would be more than ``MAX_CLAUSES``.
    """
    if isinstance(conditions, Part):
        return ((conditions,),)
    own = [clauses_of(member) for member in conditions.members]
    if conditions.kind == "any":
        found = [clause for clauses in own for clause in clauses]
    else:
        count = 1
        for clauses in own:
            count *= len(clauses)
        if count > MAX_CLAUSES:
            raise OverflowError
        found = [tuple(part for clause in taken for part in clause) for taken in product(*own)]
    unique = tuple(dict.fromkeys(tuple(dict.fromkeys(clause)) for clause in found))
    if len(unique) > MAX_CLAUSES:
        raise OverflowError
    return unique


class _Reader:
    def __init__(self, catalogue: FieldCatalogue, refuse: Refuse) -> None:
        self._catalogue = catalogue
        self._refuse = refuse

    def read(self, document: Any, place: Place, *, is_negated: bool) -> Group | Part:
        if not isinstance(document, Mapping):
            self._fail(place, f"a condition is a mapping, not {document!r}", _SHAPE)
        groups = [name for name in _GROUPS if name in document]
        if not groups:
            return self._compared(document, place, is_negated)
        if len(document) > 1:
            self._fail(place, f"{groups[0]} stands alone in its mapping", _SHAPE)
        kind = groups[0]
        below = document[kind]
        if kind == "not":
            return self.read(below, (*place, kind), is_negated=not is_negated)
        if not isinstance(below, list) or not below:
            self._fail((*place, kind), f"{kind} takes a list of at least one condition", _SHAPE)
        members = tuple(
            self.read(member, (*place, kind, index), is_negated=is_negated)
            for index, member in enumerate(below)
        )
        # Not all of them hold: one of them does not.
        return Group("all" if (kind == "all") != is_negated else "any", members)

    def _fail(self, place: Place, message: str, next_step: str) -> NoReturn:
        raise self._refuse(place, message, next_step)

    def _compared(
        self, document: Mapping[str, Any], place: Place, is_negated: bool
    ) -> Group | Part:
        for key in document:
            if key not in _LEAF_KEYS:
                self._fail((*place, key), f"{key} is no part of a condition", _SHAPE)
        field = self._field(document, place)
        op = document.get("op")
        if op not in self._ops(field):
            known = ", ".join(self._ops(field))
            self._fail(
                (*place, "op"), f"{field.field} cannot be compared by {op!r}", f"use one of {known}"
            )
        within = self._within(document, place, field)
        if op in _KNOWING_OPS:
            if "value" in document:
                self._fail((*place, "value"), f"{op} takes no value", "leave the value out")
            condition = Condition(field, "known", within_days=within)
            return Part(condition, is_negated=(op == "missing") != is_negated)
        if "value" not in document:
            self._fail(place, f"{field.field}: a value is missing", "add value:")
        at_value = (*place, "value")
        if field.value_type == "age":
            ranges = self._ages(op, document["value"], at_value)
            return _age_parts(field, _complement(ranges) if is_negated else ranges)
        if field.value_type == "number":
            condition = self._numbers(field, op, document["value"], at_value)
        else:
            texts = self._texts(field, op, document["value"], at_value)
            is_excluded = op in ("ne", "not_in")
            condition = Condition(field, "texts", texts=texts, is_excluded=is_excluded)
        condition = replace(condition, within_days=within)
        if field.kind == "event":
            return self._event(condition, is_negated)
        return Part(replace(condition, is_excluded=condition.is_excluded != is_negated))

    def _event(self, condition: Condition, is_negated: bool) -> Group | Part:
        """The event, or that it has not been; the latter of whom it can be known."""
        part = Part(condition, is_negated)
        place = self._catalogue.get(_PLACES.get(condition.field.field, ""))
        if place is None or not is_negated:
            return part
        return Group("all", (part, Part(Condition(place, "known"))))

    def _field(self, document: Mapping[str, Any], place: Place) -> SegmentField:
        name = document.get("field")
        if name is None:
            self._fail(place, "a condition names its field", _SHAPE)
        found = self._catalogue.get(str(name))
        if found is None:
            near = self._catalogue.nearest(str(name))
            meant = f"did you mean {near}? " if near else ""
            self._fail(
                (*place, "field"),
                f"there is no field {name!r}",
                f"{meant}`regulars segments fields` lists them",
            )
        return found

    def _ops(self, field: SegmentField) -> tuple[str, ...]:
        if field.kind == "event":
            return _EVENT_OPS
        if field.value_type == "flag":
            return ("eq", *_KNOWING_OPS)
        return (*(_TEXT_OPS if field.value_type == "text" else _NUMBER_OPS), *_KNOWING_OPS)

    def _within(self, document: Mapping[str, Any], place: Place, field: SegmentField) -> int | None:
        if "within_days" not in document:
            return None
        days = document["within_days"]
        if field.kind == "value" or field.history == "fixed":
            self._fail(
                (*place, "within_days"), f"{field.field} is no event in time", "leave it out"
            )
        if not isinstance(days, int) or isinstance(days, bool) or not 1 <= days <= _MAX_DAYS:
            self._fail(
                (*place, "within_days"),
                f"{days!r} is no number of days from 1 to {_MAX_DAYS}",
                "write whole days",
            )
        return days

    def _texts(self, field: SegmentField, op: str, value: Any, place: Place) -> tuple[str, ...]:
        if field.value_type == "flag":
            if not isinstance(value, bool):
                self._fail(place, f"{value!r} is neither true nor false", "write true or false")
            return ("true" if value else "false",)
        if op in ("in", "not_in"):
            if not isinstance(value, list) or not value:
                self._fail(place, f"{op} takes a list of at least one value", "write [a, b]")
            values = value
        else:
            values = [value]
        for one in values:
            if not isinstance(one, str) or not one or SEPARATOR in one:
                self._fail(
                    place, f"{one!r} is no text, or holds {SEPARATOR}", 'write a text, as "b"'
                )
            if field.known_values and one not in field.known_values:
                self._fail(place, f"{field.field} is never {one!r}", _meant(one, field))
        return tuple(sorted(set(values)))

    def _numbers(self, field: SegmentField, op: str, value: Any, place: Place) -> Condition:
        if op == "between":
            low, high = (self._number(one, place) for one in self._pair(value, place))
            if high < low:
                self._fail(place, f"{high} lies below {low}", "write the lower bound first")
            return Condition(field, "range", low=low, high=high)
        number = self._number(value, place)
        if op in ("eq", "ne"):
            return Condition(field, "range", low=number, high=number, is_excluded=op == "ne")
        if op in ("lt", "le"):
            return Condition(field, "range", high=number, is_high_open=op == "lt")
        return Condition(field, "range", low=number, is_low_open=op == "gt")

    def _pair(self, value: Any, place: Place) -> list[Any]:
        if not isinstance(value, list) or len(value) != 2:
            self._fail(place, "between takes two numbers, both included", "write [low, high]")
        return value

    def _number(self, value: Any, place: Place) -> Decimal:
        # YAML's 5.00 arrives as a float; its shortest text is the number that was written.
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            number = Decimal("NaN")
        exponent = number.as_tuple().exponent
        fits = isinstance(exponent, int) and exponent >= -_DECIMALS and abs(number) < _TOO_LARGE
        if isinstance(value, bool) or not fits:
            self._fail(
                place, f"{value!r} is no number of at most {_DECIMALS} decimals", "write a number"
            )
        return number

    def _ages(self, op: str, value: Any, place: Place) -> list[_Ages]:
        if op == "between":
            low, high = (self._day(one, place) for one in self._pair(value, place))
            if high < low:
                self._fail(place, f"{high} lies below {low}", "write the lower bound first")
            return [(low, high)]
        day = self._day(value, place)
        if op == "ne":
            return _complement([(day, day)])
        bounds: dict[str, _Ages] = {
            "eq": (day, day),
            "lt": (0, day - 1),
            "le": (0, day),
            "gt": (day + 1, None),
            "ge": (day, None),
        }
        low, end = bounds[op]
        return [] if end is not None and end < low else [(low, end)]

    def _day(self, value: Any, place: Place) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_DAYS:
            self._fail(place, f"{value!r} is no number of whole days", "write days from 0 on")
        return value


def _meant(text: str, field: SegmentField) -> str:
    """The value that was most likely meant, and all that there are."""
    near = get_close_matches(text, field.known_values, n=1, cutoff=0.5)
    asked = f"did you mean {near[0]}? " if near else ""
    return f"{asked}it is one of {', '.join(field.known_values)}"


_PLACES = {"region_event": "province"}
"""Event -> the field without which nobody knows whether it was the member's."""
_MAX_DAYS = 36_600
"""A century: what is older than a life is a typing error."""
_DECIMALS = 8
_TOO_LARGE = 10**14
_SHAPE = (
    "write {field: …, op: …, value: …}, or all:, any:, not: above such; "
    "docs/how-to/define-a-segment.md shows each"
)


def _complement(ranges: Iterable[_Ages]) -> list[_Ages]:
    """The days from 0 on that lie in none of ``ranges``, which ascend and do not touch."""
    rest: list[_Ages] = []
    start = 0
    for low, high in ranges:
        if low > start:
            rest.append((start, low - 1))
        if high is None:
            return rest
        start = high + 1
    return [*rest, (start, None)]


def _age_parts(field: SegmentField, ranges: Iterable[_Ages]) -> Group:
    return Group(
        "any",
        tuple(
            Part(
                Condition(
                    field,
                    "range",
                    low=Decimal(low),
                    high=None if high is None else Decimal(high),
                )
            )
            for low, high in ranges
        ),
    )
