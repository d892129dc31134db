"""The real DAG in the real Airflow: no shop, one, three; and each gate failing."""

from datetime import date

import pytest
import yaml

from regulars.night.calendar import logical_date_of
from regulars.state import StateStore
from regulars.warehouse.publish import read_publication
from tests.world import FIRST_NIGHT, open_world

pytestmark = [pytest.mark.airflow, pytest.mark.slow]


@pytest.fixture
def run(airflow_database, installation):
    def run_night(world, day: date = FIRST_NIGHT):
        """Run the DAG for a date; the run's state and each task's states."""
        from airflow.models.dagrun import DagRun
        from airflow.models.taskinstance import TaskInstance
        from airflow.utils.session import create_session
        from sqlalchemy import select

        from regulars.orchestration import local

        installation(world)
        logical = logical_date_of(world.night().shops, day)
        outcome = local.run_dag("run_night", logical, {"date": day.isoformat()})
        with create_session() as session:
            rows = session.execute(
                select(TaskInstance.task_id, TaskInstance.map_index, TaskInstance.state)
                .where(
                    TaskInstance.dag_id == "run_night",
                    # The tests share one Airflow: earlier runs stand beside this one.
                    TaskInstance.run_id
                    == select(DagRun.run_id)
                    .where(DagRun.dag_id == "run_night")
                    .order_by(DagRun.id.desc())
                    .limit(1)
                    .scalar_subquery(),
                )
                .order_by(TaskInstance.task_id, TaskInstance.map_index)
            ).all()
        states: dict[str, list[str]] = {}
        for task_id, _, state in rows:
            states.setdefault(task_id.rpartition(".")[2], []).append(str(state))
        return outcome, states

    return run_night


def lease_of(world):
    return StateStore(world.settings.resolved_state_url).lease.current()


@pytest.mark.parametrize("count", [0, 3])
def test_a_night_is_mapped_over_its_shops(tmp_path, run, count):
    """One shop alone is mapped as well, where it has to pass the gates: see below."""
    shops = ("demo_grocer", "second_grocer", "third_grocer")[:count]
    with open_world(tmp_path, households=6, shops=shops) as world:
        outcome, states = run(world)
        assert outcome == "success"
        expected = ["success"] * count or ["skipped"]
        assert states.pop("extract_shop") == expected
        assert {state for found in states.values() for state in found} == {"success"}
        publication = read_publication(world.settings)
        assert publication.as_of_date == FIRST_NIGHT
        assert (publication.tables["fct_orders"] > 0) == (count > 0)
        assert lease_of(world) is None


def expect_too_much(world, boundary, table):
    """Settings with an expectation that cannot hold, instead of all others of the boundary."""
    folder = world.root / f"too_much_of_{boundary}"
    (folder / boundary).mkdir(parents=True)
    (folder / boundary / f"{table}.yml").write_text(
        yaml.safe_dump(
            {
                "expectations": [
                    {
                        "type": "expect_table_row_count_to_be_between",
                        "kwargs": {"min_value": 10**9},
                        "severity": "critical",
                    }
                ]
            }
        )
    )
    return world.settings.model_copy(update={"expectations_dir": folder})


GATES = [
    ("landing", "file__orders", "validate_landing", {"load_raw", "publish_marts", "export"}),
    ("marts", "fct_orders", "validate_marts", {"propose", "publish_marts", "export"}),
    (
        "queues",
        "queue_sms__first_month_gift",
        "validate_queues",
        {"commit", "export", "complete_night"},
    ),
]


def test_a_failing_gate_holds_what_comes_after_it(tmp_path, run):
    """One night of one shop that each gate stops in turn, and that goes through in the end."""
    with open_world(tmp_path, households=6) as world:
        good = world.settings
        for boundary, table, failed, kept in GATES:
            world.settings = expect_too_much(world, boundary, table)
            outcome, states = run(world)
            assert outcome == "failed"
            # The cause of the gate before is removed: the same night gets past it.
            assert states[failed] == ["failed"]
            for name in kept:
                assert states[name] == ["upstream_failed"], name
            assert states["close_night"] == ["success"]
            assert lease_of(world) is None
            assert (read_publication(world.settings) is not None) == (boundary == "queues")
            assert world.queued() == []
            world.settings = good
        outcome, states = run(world)
        assert outcome == "success"
        assert states.pop("extract_shop") == ["success"], "one shop is a list of one"
        assert {state for found in states.values() for state in found} == {"success"}
        publication = read_publication(world.settings)
        assert publication.as_of_date == FIRST_NIGHT
        assert publication.tables["fct_orders"] > 0
        assert lease_of(world) is None
