"""Tier programs keep the platform's limits; an error names file and line."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from regulars.errors import ConfigError
from regulars.loyalty import load_tier_programs
from regulars.loyalty.tiers import grade_set_parameters
from tests.loyalty.files import PROGRAM

BRANDS = {"demo": "CNY"}


def write(folder: Path, text: str, name: str = "first") -> None:
    (folder / "tiers").mkdir(exist_ok=True)
    (folder / "tiers" / f"{name}.yml").write_text(text, encoding="utf-8")


def refused(folder: Path) -> tuple[str, str, int]:
    with pytest.raises(ConfigError) as caught:
        load_tier_programs(folder, BRANDS)
    place = re.fullmatch(r".*/(\w+\.yml):(\d+)", caught.value.where)
    assert place is not None, caught.value.where
    return caught.value.what, place[1], int(place[2])


def test_no_folder_is_no_program(tmp_path: Path) -> None:
    assert load_tier_programs(tmp_path, BRANDS) == ()


def test_a_program_becomes_one_row_per_tier(tmp_path: Path) -> None:
    write(tmp_path, PROGRAM)
    [program] = load_tier_programs(tmp_path, BRANDS)
    rows = program.warehouse_rows()
    assert [(row["level"], row["tier"], row["threshold"]) for row in rows] == [
        (1, "ordinary", Decimal("0.01")),
        (2, "senior", Decimal("1000.00")),
        (3, "vip", Decimal("3000.00")),
    ]
    assert {row["window_days"] for row in rows} == {365}


def _fourth_and_fifth() -> str:
    more = "".join(
        f"  - level: {level}\n    tier: t{level}\n    name: t\n    threshold: {level}0000\n"
        f"    discount_permille: {900 - level}\n"
        for level in (4, 5)
    )
    return PROGRAM.replace("benefits:\n  - benefit", more + "benefits:\n  - benefit")


@pytest.mark.parametrize(
    ("old", "new", "complaint", "line"),
    [
        ("    level: 2", "    levle: 2", "level", 19),  # a typo
        ("  - level: 2", "  - level: 3", "without gap", 19),
        ("  - level: 3", "  - level: 2", "without gap", 25),
        ("    tier: vip", "    tier: senior", "senior is listed twice", 26),
        ("threshold: 3000.00", "threshold: 1000.00", "vip overlaps senior", 28),
        ("threshold: 3000.00", "threshold: 999.99", "vip overlaps senior", 28),
        ("threshold: 3000.00", "threshold: 3000.001", "decimal places", 28),
        ("threshold: 3000.00", "threshold: dear", "decimal", 28),
        ("discount_permille: 900", "discount_permille: 950", "pays no less than senior", 29),
        ("discount_permille: 900", "discount_permille: 699", "700 to 1000", 29),
        ("discount_permille: 1000", "discount_permille: 1001", "700 to 1000", 18),
        ("measure: amount", "measure: orders", "orders are counted whole", 17),
        ("measure: amount", "measure: both", "measure", 6),
        ("window_days: 365", "window_days: 0", "window_days", 9),
        ("currency: CNY", "currency: USD", "base currency, CNY", 7),
        ("brand: demo", "brand: nobody", "no such brand", 2),
        ("program: first", "program: second", "the file is called first", 1),
        ("[birthday_gift]", "[birthday]", "no benefit birthday in", 24),
        ("compensation: express", "compensation: parcel", "no benefit parcel in", 41),
        ("compensation: express", "compensation: extra_discount", "for itself", 41),
        ("excluded_tags: [special, campaign]", "excluded_tags: []", "nothing is excluded", 41),
        ("  - benefit: extra_discount", "  - benefit: birthday_gift", "twice", 36),
    ],
)
def test_a_wrong_entry_is_named_with_file_and_line(
    tmp_path: Path, old: str, new: str, complaint: str, line: int
) -> None:
    assert PROGRAM.count(old.strip()) >= 1
    broken = PROGRAM.replace(old.lstrip(), new.lstrip(), 1)
    assert broken != PROGRAM
    write(tmp_path, broken)
    what, file, found = refused(tmp_path)
    assert (file, found) == ("first.yml", line), what
    assert complaint in what


def test_a_fifth_tier_is_refused(tmp_path: Path) -> None:
    write(tmp_path, _fourth_and_fifth())
    what, _, line = refused(tmp_path)
    assert "4 tiers, no more" in what
    assert line == PROGRAM.splitlines().index("benefits:") + 1 + 5


def test_seven_hundred_per_mille_is_the_least_the_platform_takes(tmp_path: Path) -> None:
    write(tmp_path, PROGRAM.replace("discount_permille: 900", "discount_permille: 700"))
    assert load_tier_programs(tmp_path, BRANDS)[0].tiers[-1].discount_permille == 700


def test_programs_of_a_brand_follow_each_other(tmp_path: Path) -> None:
    write(tmp_path, PROGRAM)
    second = PROGRAM.replace("program: first", "program: second")
    write(tmp_path, second, "second")
    assert refused(tmp_path) == (
        "valid_from: first begins on the same day: one brand, one program at a time",
        "second.yml",
        4,
    )
    write(tmp_path, second.replace("2017-10-01", "2018-01-01"), "second")
    assert [one.program for one in load_tier_programs(tmp_path, BRANDS)] == ["first", "second"]


def test_a_switch_to_fewer_tiers_would_take_members_down(tmp_path: Path) -> None:
    write(tmp_path, PROGRAM)
    shorter = PROGRAM.replace("program: first", "program: second")
    shorter = shorter.replace("2017-10-01", "2018-01-01")
    start, end = shorter.index("  - level: 3"), shorter.index("benefits:\n  - benefit")
    write(tmp_path, shorter[:start] + shorter[end:], "second")
    what, file, line = refused(tmp_path)
    assert "would go down" in what
    assert (file, line) == ("second.yml", 14)


def test_four_tiers_by_orders_are_set_by_count(tmp_path: Path) -> None:
    fourth = _fourth_and_fifth().split("  - level: 5")[0]
    text = fourth + PROGRAM[PROGRAM.index("benefits:\n  - benefit") :]
    for old, new in (("amount", "orders"), ("0.01", "1"), ("1000.00", "5"), ("3000.00", "12")):
        text = text.replace(old, new, 1)
    write(tmp_path, text)
    [program] = load_tier_programs(tmp_path, BRANDS)
    assert grade_set_parameters(program, tmp_path) == {
        "method": "taobao.crm.grade.set",
        "grade": "1,2,3,4",
        "count": "1,5,12,40000",
        "discount": "1000,950,900,896",
        "hierarchy": "true,true,true,true",
    }


def test_amounts_without_fen_are_not_set_at_the_platform(tmp_path: Path) -> None:
    write(tmp_path, PROGRAM.replace("currency: CNY", "currency: USD"))
    [program] = load_tier_programs(tmp_path, {"demo": "USD"})
    file = tmp_path / "tiers" / "first.yml"
    with pytest.raises(ConfigError, match="fen, not USD") as caught:
        grade_set_parameters(program, file)
    assert caught.value.where == f"{file}:7"
