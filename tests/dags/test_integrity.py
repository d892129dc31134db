"""Every DAG file: imports, names, notes, size. One red line per broken file."""

import itertools
from pathlib import Path

import pytest

from regulars.settings import PROJECT_ROOT

pytestmark = pytest.mark.airflow
FILES = sorted((PROJECT_ROOT / "dags").glob("*.py"))


@pytest.fixture(scope="module")
def bag(airflow_database):
    from airflow.dag_processing.dagbag import DagBag

    found = DagBag(dag_folder=str(PROJECT_ROOT / "dags"))
    assert found.dags
    return found


def test_there_are_dags_and_none_fails_to_import(bag):
    assert {path.stem for path in FILES} == {
        "run_night",
        "replay_night",
        "backfill_landing",
        "erase_person",
        "maintain_warehouse",
    }
    assert not bag.import_errors


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_dag_is_named_after_its_file_and_says_what_to_do_when_it_fails(bag, path: Path):
    dag = bag.dags[path.stem]
    assert "triage" in dag.doc_md.lower()
    assert any(tag.startswith("impact/") for tag in dag.tags)
    assert dag.max_active_runs == 1
    assert not dag.catchup


def test_the_night_is_wired_in_the_order_in_which_it_runs_without_airflow(bag):
    from regulars.night.whole import AFTER_EXTRACT

    dag = bag.dags["run_night"]
    order = [task.task_id.rpartition(".")[2] for task in dag.topological_sort()]
    wired = [name for name in order if name in AFTER_EXTRACT]
    assert sorted(wired) == sorted(AFTER_EXTRACT)
    by_name = {task.task_id.rpartition(".")[2]: task for task in dag.tasks}

    def before(name):
        return {
            task.task_id.rpartition(".")[2]
            for task in by_name[name].get_flat_relatives(upstream=True)
        }

    # The pipeline is a chain, except that publishing does not wait for the decision.
    chain = [name for name in AFTER_EXTRACT if name != "publish_marts"]
    for earlier, later in itertools.pairwise(chain):
        assert earlier in before(later)
    assert "validate_marts" in before("publish_marts")
    assert "publish_marts" in before("export")
    assert not {"commit", "validate_queues"} & before("publish_marts")
    assert by_name["close_night"].is_teardown


def test_whatever_opens_the_warehouse_waits_in_the_pool(bag):
    from regulars.orchestration.nights import POOL

    dag = bag.dags["run_night"]
    free = {"open_night", "list_shops", "extract_shop", "validate_landing"}
    free |= {"complete_night", "close_night"}
    for task in dag.tasks:
        name = task.task_id.rpartition(".")[2]
        assert (task.pool == POOL) == (name not in free), name
