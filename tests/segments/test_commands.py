"""The commands of segments as a shop calls them."""

import shutil
from pathlib import Path

import duckdb
import pytest
from click.testing import Result
from typer.testing import CliRunner

from regulars.cli import app
from regulars.settings import PROJECT_ROOT, Settings


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped configuration, and marts in which one segment is empty and one too wide."""
    shutil.copytree(PROJECT_ROOT / "config", tmp_path / "config")
    monkeypatch.setenv("REGULARS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("REGULARS_CONFIG_DIR", str(tmp_path / "config"))
    # Set, not deleted: what is not set is read from .env.
    monkeypatch.setenv("REGULARS_STATE_URL", "")
    monkeypatch.setenv("REGULARS_CLOCK_URL", "")
    monkeypatch.setenv("COLUMNS", "240")
    folder = Settings(data_dir=tmp_path / "data").published_dir
    folder.mkdir(parents=True)
    with duckdb.connect(str(folder / "current.duckdb")) as connection:
        connection.execute(
            """
            create table mart_publication as select date '2018-06-30' as as_of_date;
            create table mart_segment_daily as
            select * from (values
                ('fuel_without_meat', date '2018-06-30', 0, 2469, true, false),
                ('slipping_regulars', date '2018-06-30', 2400, 2469, false, true),
                ('slipping_regulars', date '2018-06-29', 77, 2469, false, false)
            ) as daily (
                segment, day_date, member_count, covered_count, is_empty, is_too_wide
            )
            """
        )
    return tmp_path


def _call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["segments", *arguments])


def _row(result: Result, segment: str) -> str:
    return next(line for line in result.output.splitlines() if segment in line)


def test_list_shows_the_published_counts_and_what_to_look_at(world: Path) -> None:
    result = _call("list")
    assert result.exit_code == 0, result.output
    empty = _row(result, "fuel_without_meat")
    assert "只加油不买肉" in empty
    assert "nobody is in it" in empty
    wide = _row(result, "slipping_regulars")
    assert "2,400" in wide
    assert "nearly everybody is in it" in wide
    assert "not published yet" in _row(result, "worth_a_visit")


def test_list_works_before_anything_is_published(world: Path) -> None:
    shutil.rmtree(world / "data")
    assert "not published yet" in _row(_call("list"), "fuel_without_meat")


def test_an_empty_folder_is_told(world: Path) -> None:
    shutil.rmtree(world / "config" / "segments")
    for command in ("list", "check"):
        assert "no segment in config/segments" in _call(command).output


def test_check_says_what_a_draft_comes_to(world: Path) -> None:
    result = _call("check", str(world / "config" / "segments" / "worth_a_visit.yml"))
    assert result.exit_code == 0
    assert result.output == (
        "worth_a_visit version 1 from 2017-10-01: 1 alternative, of the business date alone, "
        "on taobao\n"
        "  taobao tells members.sms_consent by dropped files alone\n"
    )


def test_check_takes_a_draft_of_another_name(world: Path) -> None:
    segments = world / "config" / "segments"
    shutil.copy(segments / "slipping_regulars.yml", world / "draft.yml")
    result = _call("check", str(world / "draft.yml"))
    assert result.exit_code == 0, result.output
    assert result.output.startswith("slipping_regulars version 1 ")


def test_list_shows_the_version_in_force(world: Path) -> None:
    path = world / "config" / "segments" / "fuel_without_meat.yml"
    version = (
        "  - version: 2\n    valid_from: {day}\n    reason: changed\n"
        "    members: {{field: gender, op: eq, value: f}}\n"
    )
    first = path.read_text(encoding="utf-8")
    path.write_text(first + version.format(day="2018-07-01"), encoding="utf-8")
    assert "2018-07-01" not in _row(_call("list"), "fuel_without_meat")
    path.write_text(first + version.format(day="2018-06-30"), encoding="utf-8")
    assert "2018-06-30" in _row(_call("list"), "fuel_without_meat")


def test_check_fails_with_file_and_line(world: Path) -> None:
    path = world / "config" / "segments" / "worth_a_visit.yml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("rfm_segment", "rfm_segmnet"), encoding="utf-8")
    result = _call("check")
    assert result.exit_code == 1
    line = 1 + text[: text.index("rfm_segment")].count("\n")
    assert f"worth_a_visit.yml:{line}" in result.output.replace("\n", "")
    assert "did you mean rfm_segment?" in result.output


def test_fields_tells_the_limits(world: Path) -> None:
    result = _call("fields")
    assert "the business date alone" in _row(result, "rfm_segment")
    assert "nobody delivers it" in _row(result, "occupation_group")
