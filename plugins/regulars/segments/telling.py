"""Segments as people look at them: what there is, how many are in it, what a condition may name."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from regulars.errors import WarehouseError
from regulars.segments.definitions import Segment, Segments, load_segments, read_segment
from regulars.segments.fields import load_fields
from regulars.settings import Settings
from regulars.shops import load_shops
from regulars.warehouse.read import query_published

_TONIGHT = """
    select daily.segment, daily.member_count, daily.covered_count, daily.is_empty, daily.is_too_wide
    from mart_segment_daily as daily
    inner join mart_publication as publication
        on daily.day_date = publication.as_of_date
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
    counts = _published(settings)
    table = Table(
        "segment", "名称", "version", "since", "owner", "members", "of", "history", "warning"
    )
    for segment in segments.segments:
        newest = segment.versions[-1]
        members, covered, warning = counts.get(segment.segment, ("-", "-", "not published yet"))
        told = [warning, *(str(why) for why in newest.uncovered.values())]
        table.add_row(
            segment.segment,
            segment.title_zh,
            str(newest.version),
            str(newest.valid_from),
            segment.owner,
            members,
            covered,
            "yes" if newest.is_dated else "no",
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
    return lines


def _published(settings: Settings) -> dict[str, tuple[str, str, str]]:
    """Segment -> members, covered members, warning; empty where nothing of it is published."""
    try:
        _, rows = query_published(settings, _TONIGHT)
    except WarehouseError:
        return {}
    return {row[0]: (f"{row[1]:,}", f"{row[2]:,}", _warning(row)) for row in rows}


def _warning(row: tuple[Any, ...]) -> str:
    _, _, _, is_empty, is_too_wide = row
    if is_empty:
        return "nobody is in it"
    return "nearly everybody is in it" if is_too_wide else ""


def _load(settings: Settings) -> Segments:
    return load_segments(settings.config_dir, _seeds(settings), load_shops(settings.shops_path))


def _seeds(settings: Settings) -> Path:
    return settings.dbt_project_dir / "seeds"
