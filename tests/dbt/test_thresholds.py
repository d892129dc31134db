"""Seeds of thresholds hold together, and those that do not are refused by file, line and reason."""

import csv
import shutil
from itertools import product
from pathlib import Path

import pytest

from regulars.errors import ConfigError
from regulars.transform.thresholds import check_thresholds
from tests.dbt.project import PROJECT_DIR

SEEDS = PROJECT_DIR / "seeds"


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    """A copy of the shipped seeds, to be broken."""
    shutil.copytree(SEEDS, tmp_path / "seeds")
    return tmp_path / "seeds"


def test_shipped_thresholds_hold_together() -> None:
    check_thresholds(SEEDS)


@pytest.mark.parametrize(
    ("seed", "line", "old", "new", "reason"),
    [
        ("lifecycle_windows", 2, "active,", "activ,", "activity_stage is 'activ'"),
        ("lifecycle_windows", 3, ",60,", ",15,", "last_day 15 overlaps 15"),
        ("lifecycle_windows", 4, ",180,", ",59,", "last_day 59 overlaps 60"),
        ("lifecycle_windows", 4, ",180,", ",18o,", "last_day is '18o'"),
        ("lifecycle_windows", 3, ",60,", ",-1,", "last_day is '-1'"),
        ("lifecycle_windows", 3, "1970-01-01", "1970-13-01", "valid_from is '1970-13-01'"),
        ("lifecycle_windows", 3, "silent,2", "silent,3", "stage_rank is 3"),
        ("count_stages", 4, ",2,false", ",1,false", "min_valid_orders 1 overlaps 1"),
        ("count_stages", 3, ",1,false", ",2,false", "min_valid_orders 2 overlaps 2"),
        ("count_stages", 2, ",0,false", ",no,false", "min_valid_orders is 'no'"),
        ("count_stages", 6, "true", "yes", "needs_advocacy is 'yes'"),
        ("lifecycle_actions", 5, "new_lost", "new_los", "cell_code is 'new_los'"),
        ("lifecycle_actions", 5, "dormant_lost", "dormant", "customer_group is 'dormant'"),
        ("lifecycle_parameters", 2, "180", "six months", "value is 'six months'"),
        ("lifecycle_parameters", 3, "cycle_median_min_gaps", "cycle_median", "name is"),
        ("aov_bands", 2, "0.00", "1.00", "amounts below 1.00 have no band"),
        ("aov_bands", 3, "100.00", "300.00", "lower_amount 300.00 overlaps 300.00"),
        ("aov_bands", 3, "100.00", "NaN", "lower_amount is 'NaN'"),
        ("aov_bands", 3, "true", "maybe", "is_lower_included is 'maybe'"),
        ("rfm_frequency_cuts", 2, "1,0", "1,1", "members without orders"),
        ("rfm_frequency_cuts", 4, "3,3", "3,2", "min_orders 2 overlaps 2"),
        ("rfm_frequency_cuts", 6, "5,6", "6,6", "frequency_score is '6'"),
        ("rfm_classes", 3, "0,1,1", "1,1,1", "stand in line 2 already"),
        ("rfm_classes", 3, "0,1,1", "2,1,1", "recency_bit is '2'"),
        ("rfm_segments", 2, "4,5,4,5,4,5", "3,5,4,5,4,5", "too"),
        ("rfm_segments", 2, "4,5,4,5,4,5", "5,4,4,5,4,5", "recency goes from 5 to 4"),
        ("rfm_segments", 2, "4,5,4,5,4,5", "4,6,4,5,4,5", "recency goes from 4 to 6"),
        ("rfm_segments", 2, "4,5,4,5,4,5", "5,5,4,5,4,5", "have no segment in set 'named'"),
        ("rfm_segments", 3, "fixed_frequency", "quintiles", "is scored otherwise"),
        ("metric_parameters", 2, ",order,", ",orders,", "value is 'orders'"),
        ("metric_parameters", 3, "same_day_merge", "sameday_merge", "'same_day_merge' is missing"),
        ("metric_parameters", 4, ",365,", ",0,", "value is '0'"),
        ("metric_parameters", 5, ",500,", ",few,", "value is 'few'"),
        ("rfm_classes", 3, "0,1,1,", "0,1,1", "fields, the header"),
    ],
)  # fmt: skip
def test_a_threshold_that_does_not_hold_is_refused(
    seeds: Path, seed: str, line: int, old: str, new: str, reason: str
) -> None:
    path = seeds / f"{seed}.csv"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    assert old in lines[line - 1], "the case no longer fits the seed"
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    path.write_text("".join(lines), encoding="utf-8")
    with pytest.raises(ConfigError, match=f"{seed}.csv:[0-9]+") as refused:
        check_thresholds(seeds)
    assert reason in refused.value.what
    found = int(refused.value.where.rsplit(":", 1)[1])
    # What is missing has no line, and of two that contradict each other the later one is named.
    assert found == line or "no segment" in reason or "missing" in reason or found > line
    assert refused.value.next_step


@pytest.mark.parametrize(
    "seed", ["lifecycle_windows", "count_stages", "lifecycle_actions", "rfm_frequency_cuts",
             "rfm_classes", "rfm_segments", "lifecycle_parameters"],
)  # fmt: skip
def test_a_row_twice_or_missing_is_refused(seeds: Path, seed: str) -> None:
    path = seeds / f"{seed}.csv"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join([*lines, lines[-1]]), encoding="utf-8")
    with pytest.raises(ConfigError, match=f"{seed}.csv:{len(lines) + 1}"):
        check_thresholds(seeds)
    path.write_text("".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(ConfigError, match=f"{seed}.csv:{len(lines) - 1}"):
        check_thresholds(seeds)


def test_every_named_segment_is_reached_and_every_triple_has_one() -> None:
    with (SEEDS / "rfm_segments.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for name in {row["segment_set"] for row in rows}:
        boxes = [row for row in rows if row["segment_set"] == name]
        reached = []
        for triple in product(range(1, 6), repeat=3):
            holds = [
                row["rfm_segment"]
                for row in boxes
                if all(
                    int(row[f"{score}_min"]) <= value <= int(row[f"{score}_max"])
                    for score, value in zip(
                        ("recency", "frequency", "monetary"), triple, strict=True
                    )
                )
            ]
            assert len(holds) == 1, triple
            reached += holds
        assert set(reached) == {row["rfm_segment"] for row in boxes}
        assert len(set(reached)) == 11
        # The narrow ones come before the wide ones that would swallow them (definitions 1.3).
        assert {"cannot_lose", "new", "promising"} < set(reached)
