"""Which months are old enough, and what people are told."""

from datetime import date

import pytest
from typer.testing import CliRunner

from regulars.cli import app
from regulars.errors import NightError
from regulars.night.maintenance import Maintenance
from regulars.settings import Settings


@pytest.mark.parametrize(
    ("days", "today", "before", "kept"),
    [
        # A month that ended as many days ago as the setting says is kept a last day.
        (31, date(2017, 12, 1), "", date(2017, 10, 1)),
        (31, date(2017, 12, 2), "", date(2017, 11, 1)),
        (0, date(2017, 10, 31), "", date(2017, 10, 1)),
        (0, date(2017, 11, 1), "", date(2017, 11, 1)),
        # By hand, however young; but never the present month.
        (31, date(2017, 12, 1), "2017-12", date(2017, 12, 1)),
        (31, date(2017, 12, 1), "2017-08", date(2017, 8, 1)),
        (31, date(2017, 12, 31), "2018-03", date(2017, 12, 1)),
    ],
)
def test_the_first_month_that_is_kept(tmp_path, days, today, before, kept):
    settings = Settings(data_dir=tmp_path, landing_compact_after_days=days)
    maintenance = Maintenance(settings, holder="test")
    assert maintenance._first_month_kept(before, today) == kept


@pytest.mark.parametrize("text", ["2017-13", "2017", "201709", "2017-09-05", "September"])
def test_what_is_no_month_is_refused_with_an_example(tmp_path, text):
    maintenance = Maintenance(Settings(data_dir=tmp_path), holder="test")
    with pytest.raises(NightError, match="is not a month") as refused:
        maintenance._first_month_kept(text, date(2017, 12, 1))
    assert refused.value.next_step == "write it as 2017-09"


def test_before_the_first_night_there_is_nothing_to_maintain(tmp_path):
    maintenance = Maintenance(Settings(data_dir=tmp_path), holder="test")
    assert maintenance.compact_landing() == []
    assert maintenance.prune_raw() == {}
    assert maintenance.shrink_warehouse() == []
    assert maintenance.remove_leftovers() == []


def test_nothing_is_compacted_when_the_last_nights_manifest_is_lost(tmp_path):
    maintenance = Maintenance(Settings(data_dir=tmp_path), holder="test")
    maintenance._state.nights.open(date(2017, 10, 1))
    maintenance._state.nights.complete("night-20171001", digest="0", published_file="x")
    with pytest.raises(NightError, match="manifest of the last completed night is gone"):
        maintenance.compact_landing()
    assert maintenance._state.lease.current() is None


def test_the_commands_tell_what_they_did(tmp_path, monkeypatch):
    monkeypatch.setenv("REGULARS_DATA_DIR", str(tmp_path))
    run = CliRunner().invoke
    assert "nothing to compact" in run(app, ["landing", "compact", "--dry-run"]).output
    for command in ("replay", "show"):
        answer = run(app, ["landing", command, "other"])
        assert answer.exit_code == 1
        assert "there is no batch other" in answer.output
