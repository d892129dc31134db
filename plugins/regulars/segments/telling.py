"""Segments as people look at them: what there is, how many are in it, what a condition may name."""

from datetime import date
from pathlib import Path

from rich.console import Console
from rich.table import Table

from regulars.errors import WarehouseError
from regulars.segments.definitions import (
    Segment,
    Segments,
    SegmentVersion,
    load_segments,
    read_segment,
)
from regulars.segments.fields import load_fields
from regulars.settings import Settings
from regulars.shops import load_shops
from regulars.warehouse.read import query_published

_TONIGHT = """
    select
        publication.as_of_date, daily.segment, daily.member_count, daily.covered_count,
        daily.is_empty, daily.is_too_wide
    from mart_publication as publication
    left join mart_segment_daily as daily
        on publication.as_of_date = daily.day_date
"""


def print_segments(settings: Settings, console: Console) -> None:
    """Every segment of config/segments, with what was published of it.

    Raises:
        ConfigError: a file does not fit; names file and line.
    """
    segments = _load(settings)
    if not segments.segments:
        console.print("no segment in config/segments", highlight=False)
        return
    as_of, counts = _published(settings)
    table = Table(
        "segment", "名称", "version", "since", "owner", "members", "of", "history", "warning"
    )
    for segment in segments.segments:
        version = _in_force(segment, as_of)
        members, covered, warning = counts.get(segment.segment, ("-", "-", "not published yet"))
        told = [warning, *version.limits]
        table.add_row(
            segment.segment,
            segment.title_zh,
            str(version.version),
            str(version.valid_from),
            segment.owner,
            members,
            covered,
            "yes" if version.is_dated else "no",
            "; ".join(one for one in told if one),
        )
    console.print(table, markup=False)


def print_check(settings: Settings, file: Path | None, console: Console) -> None:
    """Check one file, or all of config/segments, and say what the models will look for.

    Raises:
        ConfigError: a file does not fit, or asks what no platform tells; names file and line.
    """
    if file is None:
        found = _load(settings).segments
    else:
        shops = load_shops(settings.shops_path)
        found = (read_segment(file, load_fields(_seeds(settings)), shops),)
    for segment in found:
        for line in _lines(segment):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    if not found:
        console.print("no segment in config/segments", highlight=False)


def print_fields(settings: Settings, console: Console) -> None:
    """Every field that a condition may name, with its limits."""
    table = Table("field", "名称", "type", "unit", "known of", "what it is")
    for one in load_fields(_seeds(settings)):
        kind = one.value_type if one.kind == "value" else f"{one.kind} ({one.value_type})"
        told = "nobody delivers it" if one.family == "absent" else _KNOWN_OF[one.history]
        table.add_row(one.field, one.label_zh, kind, one.unit, told, one.reason)
    console.print(table, markup=False)


_KNOWN_OF = {
    "dated": "every day",
    "fixed": "today, said of every day",
    "as_of": "the business date alone",
}


def _lines(segment: Segment) -> list[str]:
    lines = []
    for version in segment.versions:
        history = "with a history" if version.is_dated else "of the business date alone"
        clauses = len(version.clauses)
        lines.append(
            f"{segment.segment} version {version.version} from {version.valid_from}: "
            f"{clauses} alternative{'s' * (clauses > 1)}, {history}, "
            f"on {', '.join(version.covered)}"
        )
        lines += [f"  left out: {why}" for why in version.uncovered.values()]
        lines += [f"  {limit}" for limit in version.limits[len(version.uncovered) :]]
    return lines


def _published(settings: Settings) -> tuple[date | None, dict[str, tuple[str, str, str]]]:
    """The published business date, and segment -> members, covered members, warning.

    None and nothing where nothing is published.
    """
    try:
        _, rows = query_published(settings, _TONIGHT)
    except WarehouseError:
        return None, {}
    counts = {
        segment: (f"{members:,}", f"{covered:,}", _warning(is_empty, is_too_wide))
        for _, segment, members, covered, is_empty, is_too_wide in rows
        if segment is not None
    }
    return (rows[0][0] if rows else None), counts


def _in_force(segment: Segment, as_of: date | None) -> SegmentVersion:
    """The version of ``as_of``; the first before any begins, the last where no date is known."""
    if as_of is None:
        return segment.versions[-1]
    begun = [version for version in segment.versions if version.valid_from <= as_of]
    return begun[-1] if begun else segment.versions[0]


def _warning(is_empty: bool, is_too_wide: bool) -> str:
    if is_empty:
        return "nobody is in it"
    return "nearly everybody is in it" if is_too_wide else ""


def _load(settings: Settings) -> Segments:
    return load_segments(settings.config_dir, _seeds(settings), load_shops(settings.shops_path))


def _seeds(settings: Settings) -> Path:
    return settings.dbt_project_dir / "seeds"
