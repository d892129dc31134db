"""The real DAG in the real Airflow: every part is done, in order."""

from datetime import UTC, datetime

import pytest

from regulars.night.maintenance import Maintenance
from regulars.settings import PROJECT_ROOT
from tests.world import open_world

pytestmark = [pytest.mark.airflow, pytest.mark.slow]


def test_maintenance_does_its_parts_in_order_and_in_the_warehouses_pool(
    tmp_path, airflow_database, installation, monkeypatch
):
    from regulars.orchestration import local, maintenance, nights

    done = []
    for part in maintenance.PARTS:
        real = getattr(Maintenance, part)

        def noted(self, part=part, real=real):
            done.append(part)
            return real(self)

        monkeypatch.setattr(Maintenance, part, noted)
    with open_world(tmp_path, households=2) as world:
        installation(world)
        assert local.run_dag("maintain_warehouse", datetime(2017, 11, 3, tzinfo=UTC), {}) == (
            "success"
        )
    assert tuple(done) == maintenance.PARTS
    from airflow.dag_processing.dagbag import DagBag

    [dag] = DagBag(dag_folder=str(PROJECT_ROOT / "dags" / "maintain_warehouse.py")).dags.values()
    assert {task.pool for task in dag.tasks} == {nights.POOL}
