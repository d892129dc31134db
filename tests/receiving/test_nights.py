"""What was pushed flows on: landed batches load, stage and stand beside dropped receipts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from regulars.state import ErasedKeys
from regulars.warehouse.load import load_batches
from tests.dbt.conftest import project  # noqa: F401
from tests.dbt.project import Project, open_pair
from tests.receiving.service import Office, aliyun, aliyun_reply


@pytest.fixture
def loaded(office: Office, tmp_path: Path) -> Iterator[tuple[list[str], Path]]:
    """The warehouse of a night after three messages were reported about."""
    ids = office.send(1, 2, 3)
    office.take("aliyun", [aliyun(ids[0], 1), aliyun(ids[1], 2, success=False, err_code="MK:1")])
    office.take("aliyun", [aliyun(ids[0], 1), aliyun_reply("R", 3), aliyun("0" * 32)])
    warehouse = tmp_path / "warehouse"
    warehouse.mkdir()
    with open_pair(warehouse) as connection:
        rows = load_batches(
            connection, office.settings.landing_dir, office.batches, erased=ErasedKeys()
        )
        assert rows == {"receipts__reports": 4}
        connection.execute(
            "insert into ops.run_shops values "
            "('demo', 'taobao', 'grocer', 'Asia/Shanghai', 'CNY', '2017-01-01', "
            "'2017-10-02 16:00:00', '2017-10-01 16:00:00')"
        )
        for batch in office.batches:
            connection.execute(
                "insert into ops.pending_batches values (?, ?, ?, 'demo', 'taobao', 'grocer')",
                [batch.batch_id, batch.source, batch.stream],
            )
    yield ids, warehouse


@pytest.mark.slow
def test_landed_reports_reach_the_receipts_of_all_sources(
    project: Project,  # noqa: F811
    loaded: tuple[list[str], Path],
) -> None:
    ids, warehouse = loaded
    project.run(warehouse, "run", "--select", "+int_receipts__unioned")
    with open_pair(warehouse) as connection:
        rows = connection.execute(
            "select send_id, event, any_value(code), count(*), count(distinct receipt_key), "
            "cast(max(occurred_at) as varchar) "
            "from warehouse.intermediate.int_receipts__unioned group by all"
        ).fetchall()
    assert set(rows) == {
        (ids[0], "delivered", "DELIVERED", 2, 1, "2017-10-02 02:00:05"),
        (ids[1], "failed", "MK:1", 1, 1, "2017-10-02 02:00:05"),
        (ids[2], "unsubscribed", "R", 1, 1, "2017-10-02 03:00:00"),
    }
