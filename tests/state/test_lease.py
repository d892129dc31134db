import os
import threading
from unittest.mock import patch

import pytest

from regulars.errors import LeaseHeld
from regulars.state import StateStore
from tests.state.processes import race
from tests.state.rows import ManualClock

RUN = "night-20171001"
SECONDS = 900.0


def test_a_second_night_learns_holder_run_and_age(state: StateStore, clock: ManualClock) -> None:
    state.lease.acquire(RUN, "anna@box", SECONDS)
    clock.forward(seconds=60)
    state.lease.heartbeat(RUN, "anna@box")
    clock.forward(seconds=5)
    with pytest.raises(LeaseHeld) as caught:
        state.lease.acquire("night-20171002", "ben@box", SECONDS)
    assert "anna@box" in str(caught.value)
    assert RUN in str(caught.value)
    assert "since 65 s" in str(caught.value)
    assert "last heartbeat 5 s ago" in str(caught.value)


def test_the_same_attempt_gets_it_again(state: StateStore, clock: ManualClock) -> None:
    first = state.lease.acquire(RUN, "anna@box", SECONDS)
    clock.forward(seconds=60)
    again = state.lease.acquire(RUN, "anna@box", SECONDS)
    assert again.acquired_at == first.acquired_at
    assert again.heartbeat_at == clock()
    assert again.taken_over_from is None


def test_another_attempt_at_the_same_night_does_not(state: StateStore) -> None:
    state.lease.acquire(RUN, "anna@box", SECONDS)
    with pytest.raises(LeaseHeld):
        state.lease.acquire(RUN, "ben@box", SECONDS)


def test_silence_up_to_the_limit_keeps_it(state: StateStore, clock: ManualClock) -> None:
    state.lease.acquire(RUN, "anna@box", SECONDS)
    clock.forward(seconds=SECONDS)
    with pytest.raises(LeaseHeld):
        state.lease.acquire(RUN, "ben@box", SECONDS)
    clock.forward(seconds=0.001)
    lease = state.lease.acquire(RUN, "ben@box", SECONDS)
    assert lease.taken_over_from == "anna@box"
    assert lease.acquired_at == clock()


def test_the_holders_own_limit_counts(state: StateStore, clock: ManualClock) -> None:
    state.lease.acquire(RUN, "anna@box", 10)
    clock.forward(seconds=11)
    assert state.lease.acquire(RUN, "ben@box", SECONDS).taken_over_from == "anna@box"


def test_a_heartbeat_prolongs_it(state: StateStore, clock: ManualClock) -> None:
    state.lease.acquire(RUN, "anna@box", SECONDS)
    clock.forward(seconds=SECONDS)
    state.lease.heartbeat(RUN, "anna@box")
    clock.forward(seconds=SECONDS)
    with pytest.raises(LeaseHeld):
        state.lease.acquire(RUN, "ben@box", SECONDS)


def test_a_heartbeat_tells_that_it_was_lost(state: StateStore, clock: ManualClock) -> None:
    state.lease.acquire(RUN, "anna@box", SECONDS)
    clock.forward(seconds=SECONDS + 1)
    state.lease.acquire(RUN, "ben@box", SECONDS)
    with pytest.raises(LeaseHeld, match="ben@box"):
        state.lease.heartbeat(RUN, "anna@box")
    assert not state.lease.release(RUN, "anna@box")
    assert state.lease.current() is not None


def test_a_released_lease_is_free(state: StateStore) -> None:
    state.lease.acquire(RUN, "anna@box", SECONDS)
    assert state.lease.release(RUN, "anna@box")
    assert state.lease.current() is None
    assert state.lease.acquire(RUN, "ben@box", SECONDS).taken_over_from is None
    with pytest.raises(LeaseHeld, match="nobody"):
        state.lease.release(RUN, "ben@box")
        state.lease.heartbeat(RUN, "ben@box")


def _dead_pid() -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def test_a_dead_process_on_this_host_loses_it_at_once(state: StateStore) -> None:
    state.lease.acquire(RUN, "anna@box", SECONDS, pid=_dead_pid())
    assert state.lease.acquire(RUN, "ben@box", SECONDS).taken_over_from == "anna@box"


def test_a_killed_process_that_nobody_waited_for_is_dead(state: StateStore) -> None:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    state.lease.acquire(RUN, "anna@box", SECONDS, pid=pid)
    with pytest.raises(LeaseHeld):
        state.lease.acquire(RUN, "ben@box", SECONDS)
    os.kill(pid, 9)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # dead, but still in the process table
    assert state.lease.acquire(RUN, "ben@box", SECONDS).taken_over_from == "anna@box"
    os.waitpid(pid, 0)
    os.close(read)
    os.close(write)


def test_a_living_process_keeps_it(state: StateStore) -> None:
    state.lease.acquire(RUN, "anna@box", SECONDS, pid=os.getpid())
    with pytest.raises(LeaseHeld):
        state.lease.acquire(RUN, "ben@box", SECONDS)


def test_a_living_process_keeps_it_however_silent_it_is(
    state: StateStore, clock: ManualClock
) -> None:
    state.lease.acquire(RUN, "anna@box", SECONDS, pid=os.getpid())
    clock.forward(seconds=SECONDS * 100)
    with pytest.raises(LeaseHeld, match=f"stop process {os.getpid()}"):
        state.lease.acquire(RUN, "ben@box", SECONDS)


def test_silence_costs_it_to_a_process_of_another_host(state_url: str, clock: ManualClock) -> None:
    with patch("socket.gethostname", return_value="elsewhere"):
        StateStore(state_url, clock=clock).lease.acquire(
            RUN, "anna@elsewhere", SECONDS, pid=os.getpid()
        )
    clock.forward(seconds=SECONDS + 1)
    lease = StateStore(state_url, clock=clock).lease.acquire(RUN, "ben@box", SECONDS)
    assert lease.taken_over_from == "anna@elsewhere"


def test_a_long_step_beats_until_it_ends(state: StateStore, clock: ManualClock) -> None:
    started = state.lease.acquire(RUN, "anna@box", SECONDS)
    clock.forward(seconds=60)
    beaten = threading.Event()
    heartbeat = state.lease.heartbeat

    def beat(run_id: str, holder: str) -> None:
        heartbeat(run_id, holder)
        beaten.set()

    with (
        patch.object(state.lease, "heartbeat", beat),
        state.lease.beating(RUN, "anna@box", seconds=0.06),
    ):
        assert beaten.wait(30)
    lease = state.lease.current()
    assert lease is not None
    assert lease.heartbeat_at == clock() > started.heartbeat_at
    assert not [one for one in threading.enumerate() if one.name == f"lease of {RUN}"]


def test_beats_do_not_take_back_what_was_lost(state: StateStore) -> None:
    state.lease.acquire(RUN, "ben@box", SECONDS)
    with state.lease.beating(RUN, "anna@box", seconds=0.006):
        [thread] = [one for one in threading.enumerate() if one.name == f"lease of {RUN}"]
        thread.join(30)
        assert not thread.is_alive(), "it gave up"
    lease = state.lease.current()
    assert lease is not None
    assert lease.holder == "ben@box"


def test_a_number_that_was_given_to_another_process_is_dead(state: StateStore) -> None:
    with patch("regulars.state.lease._started", return_value="1"):
        state.lease.acquire(RUN, "anna@box", SECONDS, pid=os.getpid())
    assert state.lease.acquire(RUN, "ben@box", SECONDS).taken_over_from == "anna@box"


def test_a_process_of_another_host_is_not_judged_here(state_url: str, clock: ManualClock) -> None:
    with patch("socket.gethostname", return_value="elsewhere"):
        StateStore(state_url, clock=clock).lease.acquire(
            RUN, "anna@elsewhere", SECONDS, pid=_dead_pid()
        )
    with pytest.raises(LeaseHeld):
        StateStore(state_url, clock=clock).lease.acquire(RUN, "ben@box", SECONDS)


def test_of_two_that_race_exactly_one_wins(state: StateStore) -> None:
    def contender(name: str) -> str:
        state.lease.acquire(RUN, name, SECONDS)
        return name

    answers = race(lambda: contender("anna"), lambda: contender("ben"))
    winner = state.lease.current()
    assert winner is not None
    assert sorted(answers) == sorted(["LeaseHeld", winner.holder])
