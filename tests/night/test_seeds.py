"""Seeds that are edited between two nights, well and badly, and taken back."""

import shutil

import pytest
from tests.state.rows import DAY

from regulars.errors import ConfigError, TransformFailed
from regulars.night.steps import Night
from regulars.settings import PROJECT_ROOT, Settings
from regulars.state import run_id_of
from regulars.warehouse import control
from regulars.warehouse.session import open_warehouse
from regulars.warehouse.tables import create_tables

pytestmark = pytest.mark.slow
LAST_DAY = "select last_day from warehouse.seeds.lifecycle_windows where activity_stage = 'silent'"


def load_seeds(settings) -> int:
    """Load what changed since the last good night; the last day on which a member is silent."""
    night = Night(settings, lambda _: pytest.fail("no credentials"), holder="test")
    with open_warehouse(settings, holder="test") as connection:
        good = control.read_fingerprints(connection)
    night._load_seeds(good, {})
    return last_day(settings)


def last_day(settings) -> int:
    with open_warehouse(settings, holder="test") as connection:
        [(found,)] = connection.execute(LAST_DAY).fetchall()
    return int(found)


def test_a_seed_that_was_edited_beside_a_broken_one_and_taken_back_is_what_it_was(tmp_path):
    settings = Settings(data_dir=tmp_path / "data")
    settings.warehouse_path.parent.mkdir(parents=True)
    with open_warehouse(settings, holder="test") as connection:
        create_tables(connection)
    assert load_seeds(settings) == 60
    night = Night(settings, lambda _: pytest.fail("no credentials"), holder="test")
    with open_warehouse(settings, holder="test") as connection:
        control.consume(
            connection,
            run_id=run_id_of(DAY),
            as_of_date=DAY,
            fingerprints=night.transformer.fingerprints(),
        )

    edited = tmp_path / "edited"
    shutil.copytree(
        PROJECT_ROOT / "dbt_project", edited, ignore=shutil.ignore_patterns("target", "logs")
    )
    for seed, old, new in (
        ("lifecycle_windows", "silent,2,60,", "silent,2,20,"),
        ("message_caps", "sms,24,1,", "sms,24,one,"),
    ):
        path = edited / "seeds" / f"{seed}.csv"
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1
        path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(TransformFailed, match="message_caps"):
        load_seeds(settings.model_copy(update={"dbt_project_dir": edited}))
    assert last_day(settings) == 20, "one of them was loaded before the other failed"

    assert load_seeds(settings) == 60


def test_thresholds_that_overlap_are_refused_before_any_seed_is_loaded(tmp_path):
    edited = tmp_path / "edited"
    shutil.copytree(
        PROJECT_ROOT / "dbt_project", edited, ignore=shutil.ignore_patterns("target", "logs")
    )
    path = edited / "seeds" / "lifecycle_windows.csv"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("silent,2,60,", "silent,2,15,"), encoding="utf-8")
    settings = Settings(data_dir=tmp_path / "data", dbt_project_dir=edited)
    settings.warehouse_path.parent.mkdir(parents=True)
    with open_warehouse(settings, holder="test") as connection:
        create_tables(connection)
    with pytest.raises(ConfigError, match=r"lifecycle_windows\.csv:3.*Next"):
        load_seeds(settings)
    with open_warehouse(settings, holder="test") as connection:
        assert connection.execute(
            "select count(*) from duckdb_tables() where schema_name = 'seeds'"
        ).fetchall() == [(0,)]
