"""The sum of the nights equals a full rebuild, for every mart (law 2)."""

from datetime import date
from pathlib import Path

import pytest

from tests.dbt.nights import Warehouse, differences
from tests.dbt.project import Project, open_pair
from tests.dbt.segment_story import write_segments
from tests.dbt.shop_story import Story

NIGHTS = 4

# This story has no tier program, no rule for points and too few buyers for a model of their value:
# test_loyalty_nights.py and test_value_models.py have.
FILLED_ELSEWHERE = {
    *("fct_point_lots", "mart_member_points", "mart_member_tiers"),
    "mart_value_calibration",
}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_sum_of_nights_equals_a_full_rebuild(project: Project, tmp_path: Path, seed: int) -> None:
    nightly = Warehouse(project, tmp_path / "nightly")
    rebuilt = Warehouse(project, tmp_path / "rebuilt")
    for warehouse in (nightly, rebuilt):
        warehouse.prepare()
        with open_pair(warehouse.directory) as connection:
            write_segments(connection)
    nights = list(Story(seed, date(2017, 10, 1), NIGHTS).nights())
    for index, night in enumerate(nights):
        nightly.land(night)
        rebuilt.land(night)
        if index == 1:
            # The night dies half way, nothing is consumed, and the next attempt does it again.
            nightly.build(night, "--select", "+int_customers__touched", run_id="failed")
        if index == 2:
            # Everything was built, but a gate refused it: the next night takes it in as well.
            nightly.build(night, run_id="refused")
            continue
        nightly.build(night, run_id=f"night-{index}")
        nightly.consume(night)
    rebuilt.build(nights[-1], run_id="rebuild")

    assert differences(nightly.marts(), rebuilt.marts()) == ""
    empty = {table.split(".")[-1] for table, rows in rebuilt.marts().items() if not rows}
    assert empty <= FILLED_ELSEWHERE, "an empty mart proves nothing"
