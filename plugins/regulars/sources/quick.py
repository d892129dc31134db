"""The quick way through a payload model, for records in which nothing is wrong.

Nearly every record of a stream has one of few layouts, and nearly every value was seen before. So
what has to be looked at is worked out once per layout, and a value's canonical text is looked up.
That saves a twentieth (many ids) to two fifths of the time of :meth:`PayloadModel.check`.

A rule still has one owner, the compiled check of its field (regulars.sources.payloads): what is
looked up here was said by it. Whatever is refused, missing or of an unusual shape sends its record,
and no other, to :meth:`PayloadModel.check`, which says why.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache
from typing import Any

from regulars.sources.payloads import (
    MOST_DIGITS,
    REMEMBERED,
    REMEMBERED_LENGTH,
    Check,
    Checked,
    Field,
    PayloadModel,
    compile_check,
)

Names = tuple[str, ...]
Row = dict[str, Any]

_LAYOUTS = 1_000
"""Layouts that are remembered: names that nobody knows must not fill the memory."""


@cache
def quick_check(model: PayloadModel) -> Callable[[Mapping[str, Any]], Checked]:
    """A function that says of each record exactly what ``model.check`` says of it."""
    return _Records(model).check


class _Unusual(Exception):
    """Nothing that can be looked up: the careful way decides."""


class _Known(dict[str | None, str | None]):
    """Canonical texts of one check by the texts that were given.

    Only texts are keys: a number would find what was remembered of an equal one of another type.
    """

    def __init__(self, check: Check) -> None:
        super().__init__()
        self._check = check
        self._numbers: dict[int, str | None] = {}
        self._forget()

    def _forget(self) -> None:
        self.clear()
        self[None] = None

    def __missing__(self, value: Any) -> str | None:
        if type(value) is str:
            text: str | None = self._check(value)
            if len(value) <= REMEMBERED_LENGTH:
                if len(self) >= REMEMBERED:
                    self._forget()
                self[value] = text
            return text
        if type(value) is int:
            return self._number(value)
        other: str | None = self._check(value)
        return other

    def _number(self, value: int) -> str | None:
        if value in self._numbers:
            return self._numbers[value]
        if len(self._numbers) >= REMEMBERED:
            self._numbers.clear()
        text: str | None = self._check(value)
        self._numbers[value] = text
        return text


@cache
def _known(check: Check) -> _Known:
    # Fields with one check share what is known: amounts of several fields are often equal, and a
    # small table stays in the processor's cache.
    return _Known(check)


class _Layout:
    """How rows with the same names in the same order are checked.

    Args:
        names: theirs.
        checks: how each known field is checked.
        required: known fields that must not be blank.
    """

    def __init__(self, names: Names, checks: Mapping[str, Check], required: frozenset[str]) -> None:
        self.unknown = tuple(name for name in names if name not in checks)
        given = frozenset(names)
        self._steps = tuple((name, check) for name, check in checks.items() if name in given)
        self._required = required
        self._is_complete = required.issubset(given)
        self._template: Row = {name: None for name, _ in self._steps}

    def checked(self, row: Row) -> Row:
        """Canonical values of the known fields, in the model's order.

        Raises:
            _Unusual: a required one is missing.
            ValueError, TypeError: a value is refused.
        """
        if not self._is_complete:
            raise _Unusual
        # A copy has room for every name.
        values = self._template.copy()
        for name, check in self._steps:
            values[name] = check(row[name])
        if None not in values.values():
            return values
        blank = [name for name, value in values.items() if value is None]
        if not self._required.isdisjoint(blank):
            raise _Unusual
        for name in blank:
            del values[name]
        return values


def _layouts(fields: Iterable[Field], checks: Mapping[str, Check]) -> Callable[[Names], _Layout]:
    """How rows with certain names are checked, worked out once."""
    required = frozenset(field.name for field in fields if field.required)
    return lru_cache(_LAYOUTS)(lambda names: _Layout(names, checks, required))


class _Nested:
    """Checks the lists of one field.

    Attributes:
        is_strange: whether a member was seen that the model does not know.
    """

    def __init__(self, field: Field) -> None:
        checks = {one.name: _quick(one, compile_check(one)) for one in field.members}
        self._layout = _layouts(field.members, checks)
        self.is_strange = False

    def __call__(self, value: Any) -> list[Row] | None:
        if type(value) is not list:
            if value is None:
                return None
            raise _Unusual
        return [self._checked(row) for row in value] or None

    def _checked(self, row: Any) -> Row:
        if type(row) is not dict:
            raise _Unusual
        layout = self._layout(tuple(row))
        if not layout.unknown:
            return layout.checked(row)
        self.is_strange = True
        return {**{name: row[name] for name in layout.unknown}, **layout.checked(row)}


class _Records:
    """Checks the records of a stream."""

    def __init__(self, model: PayloadModel) -> None:
        self._model = model
        checks = {one.name: _quick(one, model.checks[one.name]) for one in model.fields}
        self._layout = _layouts(model.fields, checks)
        self._nested = [
            (name, check) for name, check in checks.items() if isinstance(check, _Nested)
        ]

    def check(self, record: Mapping[str, Any]) -> Checked:
        """See :func:`quick_check`."""
        if type(record) is not dict:
            return self._model.check(record)
        layout = self._layout(tuple(record))
        try:
            one = Checked(layout.checked(record))
        except (_Unusual, ValueError, TypeError):
            return self._model.check(record)
        for name, nested in self._nested:
            if nested.is_strange:
                self._model.note_unknown_members(name, one)
        if layout.unknown:
            one.unknown = {name: record[name] for name in layout.unknown}
        return one


def _quick(field: Field, check: Check) -> Check:
    if field.members:
        return _Nested(field)
    if field.kind == "id":
        return check  # ids hardly ever come again: they are looked at, not remembered
    known = _known(check).__getitem__
    if field.kind == "integer" and not (field.blank or field.pattern):
        return _whole_number(known)
    return known


def _whole_number(known: Check) -> Check:
    def checked(value: Any) -> str | None:
        if type(value) is int and -MOST_DIGITS < value < MOST_DIGITS:
            return str(value)
        text: str | None = known(value)
        return text

    return checked
