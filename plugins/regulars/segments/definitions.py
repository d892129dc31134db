"""config/segments/*.yml: who belongs to a segment, since when, and who answers for it.

Errors name the file and the line, because the files are edited by the people who run the shops.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from regulars.errors import ConfigError
from regulars.segments.conditions import (
    MAX_CLAUSES,
    Clause,
    Condition,
    Part,
    Place,
    clauses_of,
    read_conditions,
)
from regulars.segments.fields import FieldCatalogue, SegmentField, Untold, load_fields
from regulars.shops import Shop, ShopsFile, Slug, line_of, read_yaml_model

Text = Annotated[str, Field(min_length=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _VersionEntry(_Model):
    """One entry of ``versions``; ``members`` are its conditions as YAML has them."""

    version: int
    valid_from: date
    reason: Text
    members: Any


class _SegmentFile(_Model):
    segment: Slug
    brand: Slug
    name: Text
    title_zh: Text
    owner: Text
    reason: Text
    versions: Annotated[tuple[_VersionEntry, ...], Field(min_length=1)]


@dataclass(frozen=True)
class SegmentVersion:
    """What a segment is from a business date on.

    Attributes:
        valid_from: first business date.
        valid_to: first business date of the next version; None while there is none.
        reason: why it is as it is, or why it was changed.
        sha256: of what it comes to, with the platforms that it is about; spaces, comments and the
            order of conditions apart.
        clauses: the alternatives it comes to.
        uncovered: platform of the brand -> why its members cannot be judged.
        covered: the brand's other platforms.
        partly: covered platform -> why some of the alternatives leave it out.
        by_files: covered platform -> what only dropped files tell of it.
    """

    version: int
    valid_from: date
    valid_to: date | None
    reason: str
    sha256: str
    clauses: tuple[Clause, ...]
    covered: tuple[str, ...]
    uncovered: Mapping[str, Untold] = field(default_factory=dict)
    partly: Mapping[str, Untold] = field(default_factory=dict)
    by_files: Mapping[str, tuple[Untold, ...]] = field(default_factory=dict)

    @property
    def limits(self) -> tuple[str, ...]:
        """What has to be known of its coverage, in words."""
        return (
            *(str(why) for why in self.uncovered.values()),
            *(f"some alternatives leave out {why}" for why in self.partly.values()),
            *(
                f"{why.platform} tells {why.need} by dropped files alone"
                for whys in self.by_files.values()
                for why in whys
            ),
        )

    @property
    def is_dated(self) -> bool:
        """Whether all that it asks is known of every day, so that it has a history."""
        return not any(
            part.condition.field.history == "as_of" for clause in self.clauses for part in clause
        )


@dataclass(frozen=True)
class Segment:
    """One file of config/segments.

    Attributes:
        currency: the brand's base currency, which amounts are compared in.
        owner: who answers for it.
        reason: what it is for.
        versions: ascending, each until the next.
    """

    segment: str
    brand: str
    currency: str
    name: str
    title_zh: str
    owner: str
    reason: str
    versions: tuple[SegmentVersion, ...]


@dataclass(frozen=True)
class Segments:
    """config/segments of an installation."""

    segments: tuple[Segment, ...]
    catalogue: FieldCatalogue

    def warehouse_tables(self) -> dict[str, list[dict[str, Any]]]:
        """Rows of ``config.segments``, ``segment_clauses`` and ``segment_conditions``."""
        rows: list[dict[str, Any]] = []
        clauses: list[dict[str, Any]] = []
        conditions: dict[tuple[str, str], dict[str, Any]] = {}
        for segment in self.segments:
            for version in segment.versions:
                base = self._base()
                covered = self._covered(version) or base
                rows.append(_row(segment, version, base, covered))
                clauses += _clause_rows(segment, version)
                used = [part.condition for clause in version.clauses for part in clause]
                for one in (base, covered, *used):
                    conditions[segment.brand, one.condition_id] = one.warehouse_row(
                        segment.brand, segment.currency
                    )
        return {
            "segments": rows,
            "segment_clauses": clauses,
            "segment_conditions": [conditions[key] for key in sorted(conditions)],
        }

    def _base(self) -> Condition:
        return _is_member(self.catalogue)

    def _covered(self, version: SegmentVersion) -> Condition | None:
        return _on_platforms(self.catalogue, version.covered) if version.uncovered else None


def load_segments(config_dir: Path, seeds_dir: Path, shops: ShopsFile) -> Segments:
    """Read every file of ``config_dir/segments``, sorted by name; the folder need not be there.

    Args:
        config_dir: folder with segments/.
        seeds_dir: the dbt project's seeds: which fields there are, and who tells them.
        shops: config/shops.yml, for the brands and their platforms.

    Raises:
        ConfigError: a file does not fit, names a field that there is not, or one that none of the
            brand's platforms tells; names file and line.
    """
    catalogue = load_fields(seeds_dir)
    paths = sorted((config_dir / "segments").glob("*.yml"))
    found = tuple(read_segment(path, catalogue, shops) for path in paths)
    for path, segment in zip(paths, found, strict=True):
        if segment.segment != path.stem:
            raise _Refusal(path)(
                ("segment",), f"the file is called {path.stem}", "give both one name"
            )
    return Segments(found, catalogue)


def read_segment(path: Path, catalogue: FieldCatalogue, shops: ShopsFile) -> Segment:
    """Read one file, which may stand anywhere and be called anything: a draft is looked at first.

    Raises:
        ConfigError: see :func:`load_segments`.
    """
    entry = read_yaml_model(path, _SegmentFile)
    refuse = _Refusal(path)
    brands = {brand.brand: brand.base_currency for brand in shops.brands}
    if entry.brand not in brands:
        known = ", ".join(sorted(brands)) or "none"
        raise refuse(("brand",), f"there is no brand {entry.brand}", f"use one of: {known}")
    _check_order(entry.versions, refuse)
    own = [shop for shop in shops.shops if shop.brand == entry.brand]
    ends = [version.valid_from for version in entry.versions[1:]]
    return Segment(
        segment=entry.segment,
        brand=entry.brand,
        currency=brands[entry.brand],
        name=entry.name,
        title_zh=entry.title_zh,
        owner=entry.owner,
        reason=entry.reason,
        versions=tuple(
            _read_version(version, index, valid_to, catalogue, own, refuse)
            for index, (version, valid_to) in enumerate(
                zip(entry.versions, [*ends, None], strict=True)
            )
        ),
    )


class _Refusal:
    """Makes errors about places of one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, place: Place, message: str, next_step: str) -> ConfigError:
        line = line_of(self._path.read_text(encoding="utf-8"), place)
        named = ".".join(str(part) for part in place)
        return ConfigError(f"{named}: {message}", where=f"{self._path}:{line}", next_step=next_step)


def _check_order(versions: Iterable[_VersionEntry], refuse: _Refusal) -> None:
    listed = list(versions)
    for index, version in enumerate(listed):
        if version.version != index + 1:
            raise refuse(
                ("versions", index, "version"),
                f"versions are 1, 2, 3 … in this order, {index + 1} stands here",
                "leave earlier versions as they are and add the new one below",
            )
    for index, (before, after) in enumerate(pairwise(listed)):
        if after.valid_from <= before.valid_from:
            raise refuse(
                ("versions", index + 1, "valid_from"),
                f"version {after.version} begins on {after.valid_from}, not after version "
                f"{before.version}",
                "give it a later business date",
            )


def _read_version(
    entry: _VersionEntry,
    index: int,
    valid_to: date | None,
    catalogue: FieldCatalogue,
    shops: list[Shop],
    refuse: _Refusal,
) -> SegmentVersion:
    place = ("versions", index, "members")
    conditions = read_conditions(entry.members, place, catalogue, refuse)
    try:
        clauses = clauses_of(conditions)
    except OverflowError:
        raise refuse(
            place,
            f"the conditions come to more than {MAX_CLAUSES} alternatives",
            "say it in fewer any: below all:, or make two segments of it",
        ) from None
    if not clauses:
        raise refuse(place, "nobody can ever fulfil this", "correct the bounds of the ages")
    coverage = _coverage(clauses, catalogue, shops, refuse, place, entry.members)
    clauses = tuple(_grounded(clause, catalogue) for clause in coverage.clauses)
    return SegmentVersion(
        version=entry.version,
        valid_from=entry.valid_from,
        valid_to=valid_to,
        reason=entry.reason,
        sha256=_digest(clauses),
        clauses=clauses,
        covered=coverage.covered,
        uncovered=coverage.uncovered,
        partly=coverage.partly,
        by_files=coverage.by_files,
    )


def _digest(clauses: Iterable[Clause]) -> str:
    """The same for the same alternatives, in whatever order they were written."""
    listed = sorted(
        sorted((part.condition.condition_id, part.is_negated) for part in clause)
        for clause in clauses
    )
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


@dataclass(frozen=True)
class _Coverage:
    """The alternatives, each about the platforms that tell all of it; see SegmentVersion."""

    clauses: tuple[Clause, ...]
    covered: tuple[str, ...]
    uncovered: dict[str, Untold]
    partly: dict[str, Untold]
    by_files: dict[str, tuple[Untold, ...]]


def _coverage(
    clauses: Iterable[Clause],
    catalogue: FieldCatalogue,
    shops: list[Shop],
    refuse: _Refusal,
    place: Place,
    document: Any,
) -> _Coverage:
    """Which platforms of the brand can be judged by which alternative.

    An alternative that no platform tells is left out: nobody could fulfil it.

    Raises:
        ConfigError: a field is told by no platform, or no alternative is; an empty segment would
            look like an answer.
    """
    listed = list(clauses)
    platforms = {shop.platform for shop in shops}
    fields = {
        part.condition.field.field: part.condition.field for clause in listed for part in clause
    }
    untold = _untold(fields.values(), catalogue, shops, refuse, place, document)
    lacking: dict[str, Untold] = {}
    covered: set[str] = set()
    kept: list[Clause] = []
    for clause in listed:
        missing: dict[str, Untold] = {}
        for part in clause:
            missing = untold[part.condition.field.field] | missing
        lacking = missing | lacking
        told = platforms - set(missing)
        covered |= told
        if not missing:
            kept.append(clause)
        elif told:
            kept.append(tuple(dict.fromkeys((*clause, Part(_on_platforms(catalogue, told))))))
    if not kept:
        reasons = "; ".join(str(why) for _, why in sorted(lacking.items()))
        raise refuse(
            place,
            f"no platform of the brand tells all of the fields: {reasons}",
            "make a segment for each platform",
        )
    return _Coverage(
        clauses=tuple(dict.fromkeys(kept)),
        covered=tuple(sorted(covered)),
        uncovered={name: why for name, why in sorted(lacking.items()) if name not in covered},
        partly={name: why for name, why in sorted(lacking.items()) if name in covered},
        by_files=_by_files(fields.values(), catalogue, shops, covered),
    )


def _untold(
    fields: Iterable[SegmentField],
    catalogue: FieldCatalogue,
    shops: list[Shop],
    refuse: _Refusal,
    place: Place,
    document: Any,
) -> dict[str, dict[str, Untold]]:
    """Field -> platform -> why it does not tell it.

    Raises:
        ConfigError: no platform tells a field.
    """
    found: dict[str, dict[str, Untold]] = {}
    for one in fields:
        untold = {platform: why for platform, why in catalogue.untold(one, shops).items() if why}
        if untold and set(untold) == {shop.platform for shop in shops}:
            reasons = "; ".join(str(untold[platform]) for platform in sorted(untold))
            raise refuse(
                (*place, *_place_of(document, one.field)),
                f"no platform of the brand tells {one.field}: {reasons}",
                "leave the condition out, or deliver the field by a source that has it",
            )
        found[one.field] = untold
    return found


def _by_files(
    fields: Iterable[SegmentField],
    catalogue: FieldCatalogue,
    shops: list[Shop],
    covered: set[str],
) -> dict[str, tuple[Untold, ...]]:
    """Covered platform -> what it tells by dropped files alone."""
    found: dict[str, dict[Untold, None]] = {}
    for one in fields:
        for platform, why in catalogue.by_files_alone(one, shops).items():
            if platform in covered:
                found.setdefault(platform, {})[why] = None
    return {platform: tuple(whys) for platform, whys in sorted(found.items())}


def _place_of(document: Any, name: str) -> Place:
    """Where a field is named first."""
    if isinstance(document, Mapping):
        if document.get("field") == name:
            return ("field",)
        items: list[tuple[Any, Any]] = list(document.items())
    else:
        items = list(enumerate(document)) if isinstance(document, list) else []
    for key, value in items:
        if found := _place_of(value, name):
            return (key, *found)
    return ()


def _grounded(clause: Clause, catalogue: FieldCatalogue) -> Clause:
    """The clause with something that has to hold: what only must not be says of nobody."""
    if any(not part.is_negated for part in clause):
        return clause
    return (*clause, Part(_is_member(catalogue)))


def _is_member(catalogue: FieldCatalogue) -> Condition:
    return Condition(_own(catalogue, "is_member"), "texts", texts=("true",))


def _on_platforms(catalogue: FieldCatalogue, platforms: Iterable[str]) -> Condition:
    return Condition(_own(catalogue, "platform"), "texts", texts=tuple(sorted(platforms)))


def _own(catalogue: FieldCatalogue, name: str) -> SegmentField:
    found = catalogue.get(name)
    if found is None:
        raise ConfigError(
            f"field {name} is missing, which every segment needs",
            where="seed segment_fields",
            next_step="restore its row",
        )
    return found


def _row(
    segment: Segment, version: SegmentVersion, base: Condition, covered: Condition
) -> dict[str, Any]:
    return {
        "brand": segment.brand,
        "segment": segment.segment,
        "version": version.version,
        "name": segment.name,
        "title_zh": segment.title_zh,
        "owner": segment.owner,
        "reason": segment.reason,
        "version_reason": version.reason,
        "valid_from": version.valid_from,
        "valid_to": version.valid_to,
        "definition_sha256": version.sha256,
        "clause_count": len(version.clauses),
        "is_dated": version.is_dated,
        "base_condition_id": base.condition_id,
        "covered_condition_id": covered.condition_id,
        "covered_platforms": ", ".join(version.covered),
        "uncovered_platforms": ", ".join(version.uncovered) or None,
        "uncovered_reason": "; ".join(version.limits) or None,
    }


def _clause_rows(segment: Segment, version: SegmentVersion) -> list[dict[str, Any]]:
    return [
        {
            "brand": segment.brand,
            "segment": segment.segment,
            "version": version.version,
            "clause_no": number,
            "condition_id": part.condition.condition_id,
            "is_negated": part.is_negated,
            "positive_count": len(
                {one.condition.condition_id for one in clause if not one.is_negated}
            ),
            "valid_from": version.valid_from,
            "valid_to": version.valid_to,
            "is_dated": version.is_dated,
        }
        for number, clause in enumerate(version.clauses, start=1)
        for part in clause
    ]
