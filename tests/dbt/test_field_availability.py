"""What each source tells: the seed knows every source and column, and agrees with staging."""

import csv
import re

import pytest

from regulars import sources
from tests.dbt.project import PROJECT_DIR, Project

ENTITIES = ("orders", "order_lines", "refunds")
STAGING = PROJECT_DIR / "models" / "staging"
# What we make ourselves, whatever the source tells.
OURS = re.compile(r"_.*|.*_key|brand|platform|shop|record_source|status_set|has_store_fields")
WORDS = {"available", "derived", "masked", "needs_permission", "absent"}
UNTOLD = re.compile(r"^    (?:cast\(null as [^)]*(?:\(.*\))?\)|false) as (\w+)", re.M)


def _rows() -> list[dict[str, str]]:
    path = PROJECT_DIR / "seeds" / "field_availability.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _grammar(project: Project, entity: str) -> set[str]:
    name = f"model.regulars.int_{entity}__unioned"
    return {column for column in project.manifest.nodes[name].columns if not OURS.fullmatch(column)}


def _sources() -> list[str]:
    return sorted(path.parent.name for path in STAGING.glob("*/stg_*__orders.sql"))


def test_every_source_has_a_row_for_every_column(project: Project) -> None:
    wanted = {
        (source, entity, field)
        for source in _sources()
        if not (STAGING / source / f"stg_{source}__field_availability.sql").exists()
        for entity in ENTITIES
        for field in _grammar(project, entity)
    }
    told: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for row in _rows():
        key = (row["record_source"], row["platform"])
        told.setdefault(key, set()).add((row["entity"], row["field"]))
    assert {source for source, _, _ in wanted} == {source for source, _ in told}
    for (source, platform), fields in told.items():
        expected = {(entity, field) for one, entity, field in wanted if one == source}
        assert fields == expected, (source, platform)


def test_rows_are_complete_and_single() -> None:
    rows = _rows()
    keys = [(r["record_source"], r["platform"], r["entity"], r["field"]) for r in rows]
    assert len(set(keys)) == len(keys)
    assert {row["availability"] for row in rows} == WORDS
    assert [row for row in rows if not row["reason"]] == []


@pytest.mark.parametrize("source", _sources())
@pytest.mark.parametrize("entity", ENTITIES)
def test_what_staging_leaves_empty_is_never_called_told(
    project: Project, source: str, entity: str
) -> None:
    text = project.sql_of(project.manifest.nodes[f"model.regulars.stg_{source}__{entity}"])
    empty = set(UNTOLD.findall(text[text.rindex("\nselect\n") :]))
    for row in _rows():
        if (row["record_source"], row["entity"]) == (source, entity) and row["field"] in empty:
            assert row["availability"] in ("absent", "derived"), row


def test_platforms_tell_as_far_back_as_their_source_says() -> None:
    depths: dict[str, set[str]] = {}
    for row in _rows():
        if row["availability"] != "absent":
            depths.setdefault(row["record_source"], set()).add(row["available_days"])
    for source, days in depths.items():
        known = sources.depth_days(source)
        assert len(days) == 1, source
        if known is not None:
            assert days == {str(known)}, source
    # Without the permission for more, older orders are missing without a word.
    assert depths["shopify_admin"] == {"60"}


def test_an_address_reference_is_called_no_person() -> None:
    """What a reader would take for an identity says that it is none (F-ID2)."""
    said = {r["reason"] for r in _rows() if r["field"] == "addressee_ref" and r["reason"]}
    assert any("names no person" in reason for reason in said)
