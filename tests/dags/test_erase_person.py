"""The real DAG in the real Airflow: a contact comes by a file and stands nowhere afterwards."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from regulars.sandbox.export import export_history
from regulars.warehouse.read import query_published
from tests.world import FIRST_NIGHT, World, open_world

pytestmark = [pytest.mark.airflow, pytest.mark.slow]
CANARY = "13955550321"


def somebody(folder: Path, world: World) -> str:
    """A buyer of the history that the merchant drops."""
    files = export_history(folder, "demo_grocer", world.sandbox.shop.book)
    [orders] = [file.path for file in files if file.stream == "orders"]
    return min(filter(None, pq.read_table(orders)["buyer_id"].to_pylist()))


def test_a_person_is_erased_by_a_file_and_airflow_keeps_nothing_of_them(
    tmp_path, airflow_database, installation
):
    from regulars.orchestration import local

    with open_world(tmp_path, households=6) as world:
        buyer = somebody(tmp_path / "fresh", world)
        inbox = world.settings.inbox_dir / "demo_grocer" / "members"
        inbox.mkdir(parents=True, exist_ok=True)
        (inbox / "canary.csv").write_text(
            f"member_id,buyer_id,phone,modified_at\n1,{buyer},{CANARY},2017-10-01 12:00:00\n"
        )
        world.run(FIRST_NIGHT)
        everybody = query_published(world.settings, "select buyer_id from dim_customers")[1]
        assert (buyer,) in everybody
        installation(world)
        folder = world.settings.requests_dir
        folder.mkdir()
        (folder / "one.yml").write_text(f"request: ticket 3\nphone: '{CANARY}'\n")

        def run(minute: int, **conf: str) -> str:
            given = {"request_file": "", "customer_key": "", "request": "", **conf}
            logical = datetime(2017, 10, 5, 0, minute, tzinfo=UTC)
            return local.run_dag("erase_person", logical, given)

        assert run(0) == "failed", "a run that names nobody erases nobody"
        assert run(1, request_file="one.yml") == "success"
        assert list(folder.iterdir()) == []
        left = query_published(world.settings, "select buyer_id from dim_customers")[1]
        assert left and (buyer,) not in left
        assert run(2, request_file="one.yml") == "failed", "it was destroyed"
        for path in Path(os.environ["AIRFLOW_HOME"]).rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                assert CANARY.encode() not in data and str(buyer).encode() not in data, path
