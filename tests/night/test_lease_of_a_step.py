"""Whoever takes long keeps the lease: a step of a night, and a backfill."""

import threading
from contextlib import contextmanager

import pytest
from tests.world import PII_KEY

from regulars.credentials import Credentials
from regulars.errors import LeaseHeld, NightError
from regulars.night import backfill
from regulars.night.steps import Night
from regulars.settings import PROJECT_ROOT, Settings
from regulars.state import StateStore
from regulars.state.lease import RunLease

RUN = "night-20171001"


@pytest.fixture
def settings(tmp_path):
    return Settings(
        data_dir=tmp_path, config_dir=PROJECT_ROOT / "config", clock_url="", lease_seconds=0.06
    )


@contextmanager
def awaited_beats(monkeypatch, count):
    """Yields a function that waits until the lease has been given so many more heartbeats."""
    beats = threading.Semaphore(0)
    heartbeat = RunLease.heartbeat

    def beat(lease, run_id, holder):
        heartbeat(lease, run_id, holder)
        beats.release()

    monkeypatch.setattr(RunLease, "heartbeat", beat)
    yield lambda: all(beats.acquire(timeout=30) for _ in range(count))


def test_a_step_that_takes_long_beats_by_itself(settings, monkeypatch):
    night = Night(settings, lambda _: pytest.fail("no credentials"), holder="anna")
    night.state.lease.acquire(RUN, "anna", settings.lease_seconds)
    with awaited_beats(monkeypatch, 5) as wait, night._step(RUN, "build_core"):
        before = night.state.lease.current()
        assert wait()
        assert night.state.lease.current().heartbeat_at > before.heartbeat_at


def test_a_backfill_that_takes_long_beats_by_itself_and_with_every_batch(settings, monkeypatch):
    state = StateStore(settings.resolved_state_url)
    told = []

    def land(backfilling, stream, span):
        run_id, progress = backfilling._run_id, backfilling._progress
        with awaited_beats(monkeypatch, 3) as wait:
            assert wait(), "from its thread"
        held = state.lease.current()
        assert held.run_id == run_id == "backfill-20171001"
        progress("orders 1")
        told.append(run_id)
        # Whoever lost the lease stops with the next batch.
        state.lease.release(run_id, held.holder)
        progress("orders 2")

    monkeypatch.setattr(backfill._Backfill, "_land", land)
    credentials = {"regulars_pii": Credentials("regulars_pii", password=PII_KEY)}
    with pytest.raises(LeaseHeld, match="does not hold the lease"):
        backfill.backfill_span(
            settings, credentials.__getitem__, "demo_grocer", backfill.Days.parse("2017-10-01")
        )
    assert told == ["backfill-20171001"]


@pytest.mark.parametrize("is_completed_meanwhile", [False, True])
def test_a_step_of_a_night_that_was_overtaken_takes_no_lease(
    settings, monkeypatch, is_completed_meanwhile
):
    night = Night(settings, lambda _: pytest.fail("no credentials"), holder="anna")
    later = night.state.nights.open(backfill.calendar.parse_date("2017-10-02"))

    def complete():
        night.state.nights.complete(later.run_id, digest="d", published_file="m")

    if is_completed_meanwhile:
        hold = night._hold_lease
        monkeypatch.setattr(night, "_hold_lease", lambda run_id: (complete(), hold(run_id)))
    else:
        complete()
    with (
        pytest.raises(NightError, match="before the last completed night 2017-10-02"),
        night._step(RUN, "build_core"),
    ):
        pass
    assert night.state.lease.current() is None
    with night._step(later.run_id, "export"):
        assert night.state.lease.current().holder == "anna"
    night.close_night(RUN)
    night.close_night(later.run_id)
    assert night.state.lease.current() is None
