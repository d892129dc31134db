"""Two `regulars nightly` at once: the second is refused, the first does not notice."""

import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from regulars.night.calendar import logical_date_of
from regulars.night.journal import read_entries
from regulars.night.manifest import run_id_of
from regulars.warehouse.lock import warehouse_lock
from regulars.warehouse.publish import read_publication
from tests.world import FIRST_NIGHT, open_world

pytestmark = [pytest.mark.airflow, pytest.mark.faults]
RUN_ID = run_id_of(FIRST_NIGHT)
NEXT_NIGHT = FIRST_NIGHT + timedelta(days=1)
LONGEST_SECONDS = 300.0
"""A process that hangs is killed then, so that the test fails instead of waiting for ever."""


@contextmanager
def nightly(day):
    """`regulars nightly` as somebody types it; what stands in the environment is its world."""
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("regulars")), "nightly", "--date", day.isoformat()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "REGULARS_WAREHOUSE_LOCK_SECONDS": "240", "COLUMNS": "200"},
    )
    guard = threading.Timer(LONGEST_SECONDS, process.kill)
    guard.start()
    try:
        yield process
    finally:
        guard.cancel()
        process.kill()
        process.communicate()


def airflow_runs(world):
    """Run id, start and state of the runs of both dates, as Airflow records them."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    dates = [logical_date_of(world.night().shops, day) for day in (FIRST_NIGHT, NEXT_NIGHT)]
    query = select(DagRun.run_id, DagRun.start_date, DagRun.state)
    query = query.where(DagRun.dag_id == "run_night", DagRun.logical_date.in_(dates))
    with create_session() as session:
        return [(row.run_id, row.start_date, str(row.state)) for row in session.execute(query)]


def steps_of(world, run_id: str) -> list[tuple[str, str]]:
    return [(entry["step"], entry["status"]) for entry in read_entries(world.settings, run_id)]


def test_a_second_nightly_is_refused_and_the_first_ends_as_if_alone(
    tmp_path, airflow_database, installation
):
    with open_world(tmp_path) as world:
        installation(world)
        with nightly(FIRST_NIGHT) as first:
            # Who holds the warehouse decides how far the first one gets: not into load_raw.
            with warehouse_lock(world.settings.warehouse_path, holder="test", wait_seconds=0):
                lines = iter(first.stdout.readline, "")
                assert any("✓ validate_landing" in line for line in lines), first.stderr.read()
                [running] = airflow_runs(world)
                name, began, state = running
                assert state == "running"
                holder = f"Airflow run {name} (pid {first.pid})"
                with nightly(FIRST_NIGHT) as same, nightly(NEXT_NIGHT) as next_one:
                    for second in (same, next_one):
                        _, told = second.communicate()
                        assert second.returncode == 1, told
                        assert f"{holder} holds the lease for {RUN_ID}" in " ".join(told.split())
                assert first.poll() is None
                assert airflow_runs(world) == [running]
                assert world.night().state.lease.current().holder == holder
            rest, told = first.communicate()
        assert first.returncode == 0, rest + told
        assert airflow_runs(world) == [(name, began, "success")]
        state = world.night().state
        assert state.lease.current() is None
        assert state.nights.get(FIRST_NIGHT).is_completed
        assert state.nights.get(NEXT_NIGHT) is None
        assert steps_of(world, run_id_of(NEXT_NIGHT)) == []
        # Every step was done once, by one of them.
        done = steps_of(world, RUN_ID)
        assert len(done) == len(set(done))
        assert {status for _, status in done} == {"done"}
        published = [path.name for path in world.settings.published_dir.glob("marts-*.duckdb")]
        assert published == [read_publication(world.settings).file]
        queued = [str(row["message_id"]) for row in world.queued()]
        assert queued, "a night that queues nothing proves nothing"
        assert len(queued) == len(set(queued))
        assert state.ledger.unsettled_batches() == []
