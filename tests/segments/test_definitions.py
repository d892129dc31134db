"""config/segments as the people of a shop write it, and what they are told when it does not fit."""

import csv
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from regulars.errors import ConfigError
from regulars.segments import Segment, load_segments
from regulars.segments.conditions import MAX_CLAUSES
from regulars.segments.definitions import read_segment
from regulars.segments.fields import FieldCatalogue, load_fields
from regulars.settings import PROJECT_ROOT
from regulars.shops import Brand, Shop, ShopsFile, load_shops
from regulars.warehouse.tables import CONFIG_TABLES

SEEDS = PROJECT_ROOT / "dbt_project" / "seeds"
MODELS = PROJECT_ROOT / "dbt_project" / "models"
HEAD = """\
segment: some
brand: demo
name: Some
title_zh: 一些
owner: marketing
reason: a test
versions:
  - version: 1
    valid_from: 2017-10-01
    reason: first
    members:
"""
FIRST_LINE = HEAD.count("\n") + 1
"""Line of the file on which the conditions begin."""

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def catalogue() -> FieldCatalogue:
    return load_fields(SEEDS)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a segment with these conditions, and more versions after them."""

    def write(conditions: str, after: str = "", head: str = HEAD) -> Path:
        path = tmp_path / "some.yml"
        indented = "".join(f"      {line}\n" for line in conditions.splitlines())
        path.write_text(head + indented + after, encoding="utf-8")
        return path

    return write


def _shop(code: str, platform: str, source: str, *, inbox: bool = False) -> Shop:
    return Shop(
        shop=code, name=code, brand="demo", platform=platform, source=source, zone="Asia/Shanghai",
        currency="CNY", first_date=date(2017, 1, 1), connection="c", inbox=inbox,
    )  # fmt: skip


def _shops(*shops: Shop) -> ShopsFile:
    return ShopsFile(brands=(Brand(brand="demo", name="d", base_currency="CNY"),), shops=shops)


DEMO = _shops(_shop("grocer", "taobao", "taobao_top", inbox=True))


def _refused(path: Path, catalogue: FieldCatalogue, shops: ShopsFile = DEMO) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read_segment(path, catalogue, shops)
    return caught.value


def _said(segment: Segment) -> set[frozenset[tuple[Any, ...]]]:
    """The clauses of the first version, in short."""
    return {
        frozenset(
            (
                part.condition.field.field,
                part.condition.texts or (part.condition.low, part.condition.high),
                part.condition.is_excluded,
                part.is_negated,
            )
            for part in clause
        )
        for clause in segment.versions[0].clauses
    }


def test_shipped_segments_fit_and_say_who_answers_for_them() -> None:
    config = PROJECT_ROOT / "config"
    segments = load_segments(config, SEEDS, load_shops(config / "shops.yml"))
    assert {one.segment for one in segments.segments} == {
        "fuel_without_meat",
        "second_order_due",
        "slipping_regulars",
        "worth_a_visit",
    }
    assert all(one.owner and one.reason and one.title_zh for one in segments.segments)
    assert {one.segment for one in segments.segments if not one.versions[0].is_dated} == {
        "worth_a_visit"
    }
    tables = segments.warehouse_tables()
    for name, rows in tables.items():
        assert rows
        assert all(set(row) == set(CONFIG_TABLES[name]) for row in rows), name


def test_a_missing_folder_is_no_segments(tmp_path: Path) -> None:
    segments = load_segments(tmp_path, SEEDS, DEMO)
    assert segments.warehouse_tables() == {
        "segments": [], "segment_clauses": [], "segment_conditions": []
    }  # fmt: skip


def test_alternatives_are_multiplied_out(write: Write, catalogue: FieldCatalogue) -> None:
    path = write(
        "all:\n"
        "  - any:\n"
        "      - {field: gender, op: eq, value: f}\n"
        "      - {field: city, op: in, value: [b, a]}\n"
        "  - {field: valid_order_count, op: ge, value: 2}"
    )
    segment = read_segment(path, catalogue, DEMO)
    orders = ("valid_order_count", (2, None), False, False)
    assert _said(segment) == {
        frozenset({("gender", ("f",), False, False), orders}),
        frozenset({("city", ("a", "b"), False, False), orders}),
    }


def test_not_reaches_the_comparisons(write: Write, catalogue: FieldCatalogue) -> None:
    path = write(
        "not:\n"
        "  all:\n"
        "    - {field: gender, op: eq, value: f}\n"
        "    - {field: bought_in_shop, op: eq, value: s}\n"
        "    - {field: days_since_last_order, op: between, value: [5, 9]}"
    )
    segment = read_segment(path, catalogue, DEMO)
    assert _said(segment) == {
        frozenset({("gender", ("f",), True, False)}),
        # What only must not be is asked of members.
        frozenset(
            {
                ("bought_in_shop", ("s",), False, True),
                ("is_member", ("true",), False, False),
            }
        ),
        frozenset({("days_since_last_order", (0, 4), False, False)}),
        frozenset({("days_since_last_order", (10, None), False, False)}),
    }


@pytest.mark.parametrize(
    ("conditions", "line", "message", "next_step"),
    [
        ("{field: gendre, op: eq, value: f}", 0, "no field 'gendre'", "did you mean gender?"),
        ("{field: x9, op: eq, value: f}", 0, "no field 'x9'", "`regulars segments fields`"),
        ("{field: gender, op: gt, value: f}", 0, "cannot be compared by 'gt'", "eq, ne, in"),
        ("{field: bought_in_shop, op: ne, value: f}", 0, "compared by 'ne'", "one of eq, in"),
        ("{field: gender, op: eq}", 0, "a value is missing", "add value:"),
        ("{field: gender, op: eq, value: 3}", 0, "3 is no text", "write a text"),
        ("{field: gender, op: eq, value: 'a|b'}", 0, "holds |", "write a text"),
        ("{field: activity_stage, op: eq, value: silnet}", 0, "never 'silnet'", "mean silent?"),
        ("{field: sms_consent, op: ne, value: refuse}", 0, "never 'refuse'", "mean refused?"),
        ("{field: aov_band, op: in, value: [low, 9]}", 0, "9 is no text", "write a text"),
        ("{field: aov_band, op: in, value: [low, top]}", 0, "never 'top'", "one of low, mid, high"),
        ("{field: gender, op: in, value: []}", 0, "list of at least one", "write [a, b]"),
        ("{field: gender, op: known, value: f}", 0, "known takes no value", "leave the value"),
        ("{field: is_advocate, op: eq, value: yes please}", 0, "neither true nor false", "true"),
        ("{field: order_count, op: ge, value: many}", 0, "is no number", "write a number"),
        ("{field: order_count, op: ge, value: .nan}", 0, "is no number", "write a number"),
        ("{field: order_count, op: ge, value: true}", 0, "is no number", "write a number"),
        ("{field: order_count, op: between, value: [3, 2]}", 0, "2 lies below 3", "lower bound"),
        ("{field: order_count, op: between, value: 3}", 0, "takes two numbers", "[low, high]"),
        ("{field: order_count, op: ge, value: 1, within_days: 0}", 0, "number of days", "whole"),
        ("{field: gender, op: eq, value: f, within_days: 3}", 0, "no event in time", "leave it"),
        ("{field: days_since_last_order, op: ge, value: 1.5}", 0, "whole days", "days from 0"),
        ("{field: days_since_last_order, op: lt, value: 0}", 0, "nobody can ever", "the bounds"),
        ("{field: gender, op: eq, value: f, days: 3}", 0, "days is no part", "docs/how-to"),
        ("{op: eq, value: f}", 0, "names its field", "docs/how-to"),
        ("all: []", 0, "at least one condition", "docs/how-to"),
        ("{all: [{field: is_advocate, op: known}], any: []}", 0, "stands alone", "docs/how-to"),
        ("all:\n  - just words", 1, "a condition is a mapping", "docs/how-to"),
        (
            "all:\n  - {field: gender, op: eq, value: f}\n  - not:\n      {field: gander, op: eq}",
            3,
            "no field 'gander'",
            "did you mean gender?",
        ),
    ],
)
def test_what_is_no_condition_is_refused_with_its_line(
    write: Write,
    catalogue: FieldCatalogue,
    conditions: str,
    line: int,
    message: str,
    next_step: str,
) -> None:
    path = write(conditions)
    refused = _refused(path, catalogue)
    assert message in refused.what
    assert refused.where == f"{path}:{FIRST_LINE + line}"
    assert next_step in refused.next_step


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("brand: demo", "brand: dome", 2, "there is no brand dome"),
        ("version: 1", "version: 2", 8, "versions are 1, 2, 3"),
        ("owner: marketing\n", "", 1, "owner: Field required"),
        ("owner: marketing\n", "owner: ''\n", 5, "owner: String should have at least 1"),
    ],
)
def test_what_is_no_segment_is_refused_with_its_line(
    write: Write, catalogue: FieldCatalogue, old: str, new: str, line: int, message: str
) -> None:
    path = write("{field: gender, op: eq, value: f}", head=HEAD.replace(old, new))
    refused = _refused(path, catalogue)
    assert message in refused.what
    assert refused.where == f"{path}:{line}"


def test_a_file_is_called_like_its_segment(write: Write, tmp_path: Path) -> None:
    (tmp_path / "segments").mkdir()
    path = write("{field: gender, op: eq, value: f}", head=HEAD.replace("some\n", "other\n", 1))
    moved = path.rename(tmp_path / "segments" / path.name)
    with pytest.raises(ConfigError, match="the file is called some") as caught:
        load_segments(tmp_path, SEEDS, DEMO)
    assert caught.value.where == f"{moved}:1"


VERSION = """\
  - version: {number}
    valid_from: {day}
    reason: changed
    members: {{field: gender, op: eq, value: m}}
"""


def test_a_version_ends_where_the_next_begins(write: Write, catalogue: FieldCatalogue) -> None:
    after = VERSION.format(number=2, day="2017-11-01")
    path = write("{field: gender, op: eq, value: f}", after)
    first, second = read_segment(path, catalogue, DEMO).versions
    assert (first.valid_from, first.valid_to) == (date(2017, 10, 1), date(2017, 11, 1))
    assert (second.valid_from, second.valid_to) == (date(2017, 11, 1), None)
    assert first.sha256 != second.sha256


def test_versions_must_follow_each_other(write: Write, catalogue: FieldCatalogue) -> None:
    path = write("{field: gender, op: eq, value: f}", VERSION.format(number=2, day="2017-10-01"))
    refused = _refused(path, catalogue)
    assert "version 2 begins on 2017-10-01, not after version 1" in refused.what
    assert refused.where == f"{path}:{FIRST_LINE + 2}"


def test_spaces_and_comments_make_no_other_definition(
    write: Write, catalogue: FieldCatalogue
) -> None:
    plain = read_segment(write("{field: gender, op: eq, value: f}"), catalogue, DEMO)
    spaced = read_segment(write("# women\nop: eq\nvalue:   f\nfield: gender"), catalogue, DEMO)
    assert plain.versions[0].sha256 == spaced.versions[0].sha256


def test_other_platforms_make_another_definition(write: Write, catalogue: FieldCatalogue) -> None:
    path = write("{field: logistics_days, op: known}")
    taobao = _shop("t", "taobao", "taobao_top")
    alone = read_segment(path, catalogue, _shops(taobao))
    beside = read_segment(path, catalogue, _shops(taobao, _shop("s", "jd", "jd_jos")))
    assert alone.versions[0].sha256 != beside.versions[0].sha256
    swapped = [
        read_segment(write(f"any: [{one}, {other}]"), catalogue, DEMO).versions[0].sha256
        for one, other in (
            ("{field: gender, op: eq, value: f}", "{field: is_advocate, op: known}"),
            ("{field: is_advocate, op: known}", "{field: gender, op: eq, value: f}"),
        )
    ]
    assert swapped[0] == swapped[1]


def test_an_event_of_a_place_is_denied_of_those_whose_place_is_known(
    write: Write, catalogue: FieldCatalogue
) -> None:
    typhoon = "{field: region_event, op: eq, value: typhoon}"
    denied = ("region_event", ("typhoon",), False, True)
    assert _said(read_segment(write(f"not: {typhoon}"), catalogue, DEMO)) == {
        frozenset({denied, ("province", (None, None), False, False)})
    }
    assert _said(read_segment(write(typhoon), catalogue, DEMO)) == {
        frozenset({("region_event", ("typhoon",), False, False)})
    }


def test_too_many_alternatives_are_refused(write: Write, catalogue: FieldCatalogue) -> None:
    def either(value: str) -> str:
        pair = ", ".join(
            f"{{field: {name}, op: eq, value: {value}}}" for name in ("gender", "city")
        )
        return f"  - {{any: [{pair}]}}"

    lines = "\n".join(either(f"v{number}") for number in range(6))
    assert len(read_segment(write(f"all:\n{lines}"), catalogue, DEMO).versions[0].clauses) == (
        MAX_CLAUSES
    )
    refused = _refused(write(f"all:\n{lines}\n{either('w')}"), catalogue)
    assert f"more than {MAX_CLAUSES} alternatives" in refused.what


def test_what_no_platform_tells_is_refused_with_the_reason(
    write: Write, catalogue: FieldCatalogue
) -> None:
    path = write(
        "all:\n  - {field: is_advocate, op: known}\n  - {field: logistics_days, op: known}"
    )
    refused = _refused(path, catalogue, _shops(_shop("s", "jd", "jd_jos")))
    assert "no platform of the brand tells logistics_days: jd has no orders.shipped_at" in (
        refused.what
    )
    assert "The platform tells neither when an order was shipped" in refused.what
    assert refused.where == f"{path}:{FIRST_LINE + 2}"
    assert "deliver the field by a source that has it" in refused.next_step


def test_member_records_need_an_inbox(write: Write, catalogue: FieldCatalogue) -> None:
    path = write("{field: gender, op: eq, value: f}")
    refused = _refused(path, catalogue, _shops(_shop("s", "taobao", "taobao_top")))
    assert "taobao has no members.gender (member records come by file drop" in refused.what
    assert read_segment(path, catalogue, DEMO).versions[0].uncovered == {}


@pytest.mark.parametrize(
    "field", ["occupation_group", "buyer_credit_level", "good_review_share", "recommendation_key"]
)
def test_what_nobody_delivers_is_refused_everywhere(
    write: Write, catalogue: FieldCatalogue, field: str
) -> None:
    refused = _refused(write(f"{{field: {field}, op: known}}"), catalogue)
    found = catalogue.get(field)
    assert found is not None
    assert found.reason in refused.what


def test_a_brand_of_several_platforms_is_covered_where_they_tell(
    write: Write, catalogue: FieldCatalogue
) -> None:
    shops = _shops(_shop("s", "jd", "jd_jos"), _shop("t", "taobao", "taobao_top"))
    segment = read_segment(write("{field: logistics_days, op: missing}"), catalogue, shops)
    version = segment.versions[0]
    assert version.covered == ("taobao",)
    assert "jd has no orders.shipped_at" in str(version.uncovered["jd"])
    # Of JD's customers nothing is known, which is not that the parcel is missing.
    assert _said(segment) == {
        frozenset(
            {
                ("logistics_days", (None, None), False, True),
                ("platform", ("taobao",), False, False),
            }
        )
    }


def test_a_second_shop_of_a_platform_may_tell(write: Write, catalogue: FieldCatalogue) -> None:
    shops = _shops(_shop("s", "jd", "jd_jos"), _shop("t", "jd", "jd_jos", inbox=True))
    segment = read_segment(write("{field: logistics_days, op: known}"), catalogue, shops)
    assert segment.versions[0].uncovered == {}


def test_platforms_that_lack_different_fields_leave_nobody(
    write: Write, catalogue: FieldCatalogue
) -> None:
    path = write(
        "all:\n  - {field: logistics_days, op: known}\n"
        "  - {field: bought_in_store, op: eq, value: a}"
    )
    shops = _shops(_shop("s", "jd", "jd_jos"), _shop("t", "taobao", "taobao_top"))
    refused = _refused(path, catalogue, shops)
    assert "no platform of the brand tells all of the fields" in refused.what
    assert "taobao has no orders.store_id" in refused.what


def test_each_alternative_is_about_the_platforms_that_tell_it(
    write: Write, catalogue: FieldCatalogue
) -> None:
    shops = _shops(_shop("s", "jd", "jd_jos"), _shop("t", "taobao", "taobao_top"))
    some = read_segment(
        write("any:\n  - {field: is_advocate, op: known}\n  - {field: logistics_days, op: known}"),
        catalogue,
        shops,
    )
    asked = ("logistics_days", (None, None), False, False)
    on_taobao = ("platform", ("taobao",), False, False)
    assert _said(some) == {
        frozenset({("is_advocate", (None, None), False, False)}),
        frozenset({asked, on_taobao}),
    }
    version = some.versions[0]
    assert (version.covered, version.uncovered) == (("jd", "taobao"), {})
    assert [limit.partition(" (")[0] for limit in version.limits] == [
        "some alternatives leave out jd has no orders.shipped_at"
    ]


def test_alternatives_of_different_platforms_fit(write: Write, catalogue: FieldCatalogue) -> None:
    both = "{field: logistics_days, op: known}", "{field: bought_in_store, op: eq, value: a}"
    lines = f"any:\n  - {both[0]}\n  - {both[1]}\n"
    shops = _shops(_shop("s", "jd", "jd_jos"), _shop("t", "taobao", "taobao_top"))
    version = read_segment(write(lines), catalogue, shops).versions[0]
    assert version.covered == ("jd", "taobao")
    assert [clause[-1].condition.texts for clause in version.clauses] == [("taobao",), ("jd",)]
    # Together nobody tells them, so that alternative goes; the others stay.
    more = f"{lines}  - all:\n      - {both[0]}\n      - {both[1]}"
    assert read_segment(write(more), catalogue, shops).versions[0].clauses == version.clauses


def test_what_only_a_dropped_file_would_tell_is_said(
    write: Write, catalogue: FieldCatalogue
) -> None:
    conditions = (
        "all:\n  - {field: gender, op: eq, value: f}\n"
        "  - {field: bought_in_store, op: eq, value: a}\n"
        "  - {field: is_advocate, op: known}"
    )
    segment = read_segment(write(conditions), catalogue, DEMO)
    assert segment.versions[0].limits == (
        "taobao tells members.gender by dropped files alone",
        "taobao tells orders.store_id by dropped files alone",
    )
    shop = _shops(_shop("f", "offline", "file", inbox=True))
    assert read_segment(write(conditions), catalogue, shop).versions[0].limits == ()


def test_an_unknown_source_is_given_the_benefit_of_the_doubt(
    write: Write, catalogue: FieldCatalogue
) -> None:
    shops = _shops(_shop("s", "toy", "toy_shop"))
    segment = read_segment(write("{field: logistics_days, op: known}"), catalogue, shops)
    assert segment.versions[0].uncovered == {}


def test_the_same_comparison_is_one_condition(tmp_path: Path) -> None:
    (tmp_path / "segments").mkdir()
    for name in ("one", "two"):
        (tmp_path / "segments" / f"{name}.yml").write_text(
            HEAD.replace("segment: some", f"segment: {name}")
            + "      {field: gender, op: eq, value: f}\n",
            encoding="utf-8",
        )
    tables = load_segments(tmp_path, SEEDS, DEMO).warehouse_tables()
    assert len(tables["segments"]) == 2
    fields = [row["field"] for row in tables["segment_conditions"]]
    assert sorted(fields) == ["gender", "is_member"]


def test_a_missing_seed_is_named(tmp_path: Path) -> None:
    shutil.copy(SEEDS / "segment_fields.csv", tmp_path)
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        load_fields(tmp_path)
    assert "field_availability.csv" in caught.value.where


def test_every_field_of_the_seed_is_read_by_a_model() -> None:
    read = "".join(
        (MODELS / path).read_text(encoding="utf-8")
        for path in (
            "intermediate/segments/int_segments__truths.sql",
            "marts/segments/mart_segment_members.sql",
        )
    )
    # One field of its family is what the family is.
    alone = {"region_event", "bought_product_group", "bought_product_id", "logistics_days"}
    with (SEEDS / "segment_fields.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["family"] == "absent":
            assert row["needs"].startswith("absent."), row["field"]
        else:
            assert f"'{row['family']}'" in read, row["field"]
            assert row["field"] in alone or f"'{row['field']}'" in read, row["field"]


def test_every_need_is_a_known_one() -> None:
    with (SEEDS / "field_availability.csv").open(encoding="utf-8", newline="") as file:
        known = {f"{row['entity']}.{row['field']}" for row in csv.DictReader(file)}
    for field in load_fields(SEEDS):
        for need in field.needs:
            assert need in known or need.startswith(("members.", "absent.")), need


def test_closed_vocabularies_are_those_of_their_seeds(catalogue: FieldCatalogue) -> None:
    stage, gender = catalogue.get("activity_stage"), catalogue.get("gender")
    assert stage is not None
    assert stage.known_values == ("active", "silent", "lost", "dead")
    assert gender is not None
    assert gender.known_values == ()
    for field in catalogue:
        assert not field.known_values or field.value_type == "text", field.field


def test_no_occupation_word_both_speaks_and_is_silent() -> None:
    with (SEEDS / "occupation_words.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    words = [row["word"] for row in rows]
    assert len(set(words)) == len(words)
    included = [row["word"] for row in rows if row["kind"] == "include"]
    for row in rows:
        # What is excluded is a longer word around one that speaks: the longest match decides.
        if row["kind"] == "exclude":
            assert any(word in row["word"] and word != row["word"] for word in included), row
        assert bool(row["confidence"]) == (row["kind"] == "include"), row
