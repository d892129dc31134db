"""kill -9 at every step and at seeded random moments of a night, then the night again.

Whatever was killed: the repeated night ends, its digest is that of an undisturbed night, and every
message stands in the queue exactly once.
"""

import os
import random
import time

import pytest

from regulars.night.whole import AFTER_EXTRACT
from regulars.sandbox.server import SandboxProcess
from regulars.warehouse.publish import read_publication
from tests.faults.forked import BEFORE, NIGHT, Arena

pytestmark = pytest.mark.faults
STEPS = ("open_night", "extract_shop", *AFTER_EXTRACT, "close_night")
POINTS = int(os.environ.get("REGULARS_FAULT_POINTS", "200"))
SEED = 20171002
HOUSEHOLDS = 40


@pytest.fixture(scope="module")
def arena(tmp_path_factory):
    made = Arena(tmp_path_factory.mktemp("arena"), households=HOUSEHOLDS)
    made.warm_up()
    with SandboxProcess(made.settings, households=HOUSEHOLDS) as sandbox:
        made.prepare(sandbox)
        made.restore()
        started = time.monotonic()
        made.undisturbed = made.run(NIGHT)
        made.seconds = time.monotonic() - started
        assert not made.undisturbed.error, made.undisturbed.error
        assert made.undisturbed.as_of_date == NIGHT
        assert made.undisturbed.queued, "a night that queues nothing proves nothing"
        yield made


def check_recovery(arena, killed_in):
    publication = read_publication(arena.settings)
    assert publication is not None
    assert publication.as_of_date in (BEFORE, NIGHT)
    again = arena.run(NIGHT)
    assert not again.error, f"killed in {killed_in}: {again.error}"
    assert again.digest == arena.undisturbed.digest, f"killed in {killed_in}"
    assert again.queued == arena.undisturbed.queued, f"killed in {killed_in}"


@pytest.mark.parametrize("step", STEPS)
def test_a_night_killed_as_a_step_begins_is_simply_run_again(arena, step):
    arena.restore()
    killed_in = arena.run_and_kill(NIGHT, lambda line: 0.0 if line == f"step {step}" else None)
    assert killed_in in (step, "")
    check_recovery(arena, step)


@pytest.mark.parametrize("point", range(POINTS))
def test_a_night_killed_at_a_random_moment_is_simply_run_again(arena, point):
    moment = random.Random(SEED + point).uniform(0.0, arena.seconds)
    arena.restore()
    started = time.monotonic()
    killed_in = arena.run_and_kill(
        NIGHT,
        lambda line: (
            max(0.0, moment - (time.monotonic() - started)) if line == "step open_night" else None
        ),
    )
    check_recovery(arena, killed_in)
