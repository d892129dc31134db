from datetime import UTC, date, datetime

import pytest

from regulars.errors import NightError
from regulars.state import StateStore, Watermark, run_id_of
from tests.state.rows import DAY, ManualClock, proposal

NEXT_DAY = date(2017, 10, 2)
RUN = "night-20171001"


def test_a_night_is_opened_once(state: StateStore, clock: ManualClock) -> None:
    first = state.nights.open(DAY)
    clock.forward(hours=1)
    assert state.nights.open(DAY) == first
    assert first.run_id == run_id_of(DAY) == RUN
    assert not first.is_completed
    assert state.nights.get(DAY) == first
    assert state.nights.get(NEXT_DAY) is None


def test_the_newest_completed_night_is_the_last(state: StateStore) -> None:
    assert state.nights.last_completed_date() is None
    for day in (NEXT_DAY, DAY):
        night = state.nights.open(day)
        state.nights.complete(night.run_id, digest="d", published_file="marts.duckdb")
    state.nights.open(date(2017, 10, 3))
    assert state.nights.last_completed_date() == NEXT_DAY


def test_completing_again_changes_nothing(state: StateStore, clock: ManualClock) -> None:
    state.nights.open(DAY)
    done = state.nights.complete(RUN, digest="d", published_file="marts.duckdb")
    assert done.is_completed
    assert (done.digest, done.published_file) == ("d", "marts.duckdb")
    clock.forward(hours=1)
    assert state.nights.complete(RUN, digest="d", published_file="other.duckdb") == done
    with pytest.raises(NightError, match="ended with digest d, now it has e"):
        state.nights.complete(RUN, digest="e", published_file="marts.duckdb")


def test_an_unknown_night_cannot_go_on(state: StateStore) -> None:
    with pytest.raises(NightError, match="never opened"):
        state.nights.complete(RUN, digest="d", published_file="m")
    with pytest.raises(NightError, match="never opened"):
        state.nights.freeze_manifest(RUN, "a")


def test_the_manifest_is_frozen_by_the_first_decision(state: StateStore) -> None:
    state.nights.open(DAY)
    state.nights.freeze_manifest(RUN, "a")
    state.nights.freeze_manifest(RUN, "b")
    state.commit_decisions(RUN, "gift", [proposal(1)])
    state.nights.freeze_manifest(RUN, "b")
    with pytest.raises(NightError, match="another manifest"):
        state.nights.freeze_manifest(RUN, "a")
    night = state.nights.get(DAY)
    assert night is not None
    assert night.manifest_sha256 == "b"


def test_the_manifest_is_frozen_by_the_nights_end(state: StateStore) -> None:
    state.nights.open(DAY)
    state.nights.freeze_manifest(RUN, "a")
    state.nights.complete(RUN, digest="d", published_file="m")
    with pytest.raises(NightError, match="another manifest"):
        state.nights.freeze_manifest(RUN, "b")


def test_a_watermark_only_moves_forward(state: StateStore) -> None:
    early = datetime(2017, 10, 1, tzinfo=UTC)
    late = datetime(2017, 10, 2, tzinfo=UTC)
    assert state.watermarks.get("taobao", "grocer", "orders") is None
    for end, expected in ((early, early), (late, late), (early, late)):
        state.watermarks.advance(RUN, Watermark("taobao", "grocer", "orders", end))
        assert state.watermarks.get("taobao", "grocer", "orders") == expected
    assert state.watermarks.get("taobao", "grocer", "refunds") is None
