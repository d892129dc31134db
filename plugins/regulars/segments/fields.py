"""What a segment's condition may name, and which platforms can tell it.

The fields are the seed ``segment_fields``, so that config, models and documentation speak of the
same ones; what a platform tells is the seed ``field_availability``.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator

from regulars.errors import ConfigError
from regulars.shops import Shop

Kind = Literal["value", "event", "measure"]
ValueType = Literal["text", "number", "flag", "age"]
History = Literal["dated", "fixed", "as_of"]

_UNTOLD = ("absent", "masked")
"""Words of field_availability that mean: there is nothing to compare with."""
_ABSENT = "absent"
_MEMBERS = "members"


class SegmentField(BaseModel):
    """One row of the seed ``segment_fields``.

    Attributes:
        family: where the models take it from.
        kind: ``value``, ``event`` (holds from its day on) or ``measure`` (over the last days).
        value_type: of what it is compared with; ``age`` is whole days since a date.
        history: ``as_of`` for what is known of the business date alone.
        needs: entity and field of ``field_availability`` that it cannot do without.
        known_values: all the texts that it can be; empty where the shop's own data say.
        unit: of its values; empty where there is none.
        reason: what it is, and its limits.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: str
    family: str
    kind: Kind
    value_type: ValueType
    history: History
    needs: tuple[str, ...]
    known_values: tuple[str, ...]
    unit: str
    label_zh: str
    reason: str

    @field_validator("needs", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """The seed separates them by semicolons."""
        return tuple(need for need in value.split(";") if need) if isinstance(value, str) else value


@dataclass(frozen=True)
class Untold:
    """Why a platform cannot tell a field.

    Attributes:
        platform: code of the platform.
        need: what is missing, ``entity.field``.
        reason: in the words of the seed.
    """

    platform: str
    need: str
    reason: str

    def __str__(self) -> str:
        return f"{self.platform} has no {self.need} ({self.reason})"


class FieldCatalogue:
    """The fields, and what platforms tell of them.

    Args:
        fields: the fields by name.
        availability: (record source, platform or ``*``, entity.field) -> (word, reason).
    """

    def __init__(
        self,
        fields: Mapping[str, SegmentField],
        availability: Mapping[tuple[str, str, str], tuple[str, str]],
    ) -> None:
        self._fields = dict(fields)
        self._availability = dict(availability)

    def __iter__(self) -> Iterator[SegmentField]:
        return iter(self._fields.values())

    def get(self, name: str) -> SegmentField | None:
        """The field of this name; None when there is none."""
        return self._fields.get(name)

    def nearest(self, name: str) -> str | None:
        """The name that was most likely meant; None when none is near."""
        return next(iter(get_close_matches(name, self._fields, n=1, cutoff=0.5)), None)

    def untold(self, field: SegmentField, shops: Iterable[Shop]) -> dict[str, Untold | None]:
        """Platform -> why it cannot tell ``field``; None where one of its shops can."""
        found: dict[str, Untold | None] = {}
        for shop in shops:
            why = self._untold_at(field, shop)
            if why is None or shop.platform not in found:
                found[shop.platform] = why
        return found

    def by_files_alone(self, field: SegmentField, shops: Iterable[Shop]) -> dict[str, Untold]:
        """Platform -> what its own source does not tell of ``field``, so that only a file would.

        An inbox is open to every kind of file; whether anybody ever delivers one is another matter.
        Shops that live by files are left out.
        """
        listed = list(shops)
        closed = [
            shop if shop.source in self._dropped else shop.model_copy(update={"inbox": False})
            for shop in listed
        ]
        told = self.untold(field, listed)
        without = self.untold(field, closed)
        return {
            platform: why
            for platform, why in without.items()
            if why is not None and told[platform] is None
        }

    def _untold_at(self, field: SegmentField, shop: Shop) -> Untold | None:
        for need in field.needs:
            entity, _, _ = need.partition(".")
            if entity == _ABSENT:
                return Untold(shop.platform, need.partition(".")[2], field.reason)
            if entity == _MEMBERS:
                if not shop.inbox:
                    reason = "member records come by file drop, and the shop has no inbox"
                    return Untold(shop.platform, need, reason)
                continue
            words = list(self._words(shop, need))
            if words and all(word in _UNTOLD for word, _ in words):
                return Untold(shop.platform, need, words[0][1])
        return None

    def _words(self, shop: Shop, need: str) -> Iterable[tuple[str, str]]:
        """What the sources that a shop's records may come from say; nothing of unknown ones."""
        sources = [shop.source]
        if shop.inbox:
            sources += [source for source in self._dropped if source != shop.source]
        for source in sources:
            for platform in (shop.platform, "*"):
                if (word := self._availability.get((source, platform, need))) is not None:
                    yield word

    @cached_property
    def _dropped(self) -> list[str]:
        """Sources that come through the inbox, whatever the shop's own one is."""
        return sorted({source for source, _, _ in self._availability} & {"exports", "file"})


def load_fields(seeds_dir: Path) -> FieldCatalogue:
    """Read the seeds ``segment_fields`` and ``field_availability`` in ``seeds_dir``.

    Seeds that list the values of a field are read with them.

    Raises:
        ConfigError: one of them cannot be read.
    """
    listed = _rows(seeds_dir / "segment_fields.csv")
    availability = {
        (row["record_source"], row["platform"], f"{row['entity']}.{row['field']}"): (
            row["availability"],
            row["reason"],
        )
        for row in _rows(seeds_dir / "field_availability.csv")
    }
    fields = {
        row["field"]: SegmentField.model_validate(
            {**row, "known_values": _known_values(row["known_values"], seeds_dir)}
        )
        for row in listed
    }
    return FieldCatalogue(fields, availability)


def _known_values(told: str, seeds_dir: Path) -> tuple[str, ...]:
    """The texts that ``told`` lists, with those of each seed.column that stands among them."""
    found: list[str] = []
    for one in told.split(";"):
        seed, is_column, column = one.partition(".")
        if is_column:
            found += [row[column] for row in _rows(seeds_dir / f"{seed}.csv")]
        elif one:
            found.append(one)
    return tuple(dict.fromkeys(found))


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise ConfigError(
            f"the seed cannot be read: {error.strerror}",
            where=str(path),
            next_step="restore it; it is part of the project",
        ) from error
