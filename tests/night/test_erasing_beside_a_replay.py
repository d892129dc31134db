"""Nobody is erased while a past night is rebuilt, which was begun without the tombstone."""

import os
from datetime import date
from uuid import UUID

import pytest

from regulars.credentials import Credentials
from regulars.errors import ErasureError, LeaseHeld, NightError
from regulars.night import replay
from regulars.night.erasure import Eraser, Given
from regulars.night.requests import erase_by_file
from regulars.settings import Settings
from regulars.state import StateStore
from regulars.state.lease import ERASING
from regulars.warehouse.lock import warehouse_lock

DAY = date(2017, 10, 1)
NOBODY = (Given("customer_key", str(UUID(int=1))),)


@pytest.fixture
def settings(tmp_path) -> Settings:
    settings = Settings(data_dir=tmp_path)
    state = StateStore(settings.resolved_state_url)
    state.nights.open(DAY)
    state.nights.complete("night-20171001", digest="0", published_file="x")
    return settings


def credentials(connection_id: str) -> Credentials:
    return Credentials(connection_id, password="0" * 64)


def eraser_at(settings: Settings) -> Eraser:
    return Eraser(settings, credentials, holder="erase (pid 1)", requested_by="clerk")


@pytest.mark.parametrize("name", ["restated-20171001", "night-20171001"])
def test_an_erasure_waits_for_its_turn_and_names_who_replays(settings, name) -> None:
    eraser = eraser_at(settings)
    at_work = settings.data_dir / "replay" / name
    with warehouse_lock(at_work, holder=f"replay of {name}", wait_seconds=0.0):
        for erase in (
            lambda: eraser.erase(NOBODY, request="T-1", confirm=lambda _: True),
            eraser.resume,
        ):
            with pytest.raises(LeaseHeld, match="is still running") as refused:
                erase()
            assert f"replay of {name} (pid {os.getpid()}" in refused.value.what
            assert eraser.state.lease.current() is None, "nights go on"
    with pytest.raises(ErasureError, match="nobody is known"):
        eraser.erase(NOBODY, request="T-1", confirm=lambda _: True)


def test_a_request_stays_while_somebody_replays_and_goes_when_nobody_does(settings) -> None:
    settings.requests_dir.mkdir(parents=True)
    path = settings.requests_dir / "one.yml"
    path.write_text(f"request: T-1\ncustomer_key: [{UUID(int=1)}]\n", encoding="utf-8")
    at_work = settings.data_dir / "replay" / "restated-20171001"
    with (
        warehouse_lock(at_work, holder="a replay", wait_seconds=0.0),
        pytest.raises(LeaseHeld),
    ):
        erase_by_file(eraser_at(settings), settings, path.name)
    assert path.exists()
    with pytest.raises(ErasureError, match="nobody is known"):
        erase_by_file(eraser_at(settings), settings, path.name)
    assert not path.exists()


def test_nothing_is_restated_while_somebody_is_erased(settings, monkeypatch) -> None:
    monkeypatch.setattr(replay, "_restate", lambda *_: "restated")
    lease = StateStore(settings.resolved_state_url).lease
    lease.acquire(ERASING, "erase (pid 1)", 60.0)
    with pytest.raises(NightError, match=r"erase \(pid 1\) erases a person"):
        replay.restate_night(settings, credentials, "2017-10-01")
    lease.release(ERASING, "erase (pid 1)")
    lease.acquire("night-20171002", "a night", 60.0)
    assert replay.restate_night(settings, credentials, "2017-10-01") == "restated"


def test_an_erasure_that_was_killed_stops_no_restatement(settings, monkeypatch) -> None:
    monkeypatch.setattr(replay, "_restate", lambda *_: "restated")
    lease = StateStore(settings.resolved_state_url).lease
    lease.acquire(ERASING, "erase (pid 1)", 0.0)
    assert replay.restate_night(settings, credentials, "2017-10-01") == "restated"
