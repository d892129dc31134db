"""Nights that a later one has overtaken, and frozen nights whose evidence is not what it was.

One installation: a completed night, one that failed, and a completed one after it. The tests look
at it in the order in which they stand, each leaving it as good as it found it.
"""

import json
import shutil
import subprocess
import sys
from contextlib import contextmanager
from datetime import timedelta

import duckdb
import pytest

from regulars.errors import NightError, QueueError, TransformFailed
from regulars.night.journal import read_entries
from regulars.night.manifest import manifest_path, run_id_of
from regulars.night.replay import replay_night, restate_night
from regulars.night.whole import AFTER_EXTRACT
from regulars.progress import listening
from regulars.settings import PROJECT_ROOT
from regulars.warehouse.publish import read_publication
from tests.world import FIRST_NIGHT, World, open_world

pytestmark = pytest.mark.faults
FAILED_NIGHT = FIRST_NIGHT + timedelta(days=1)
LAST_NIGHT = FIRST_NIGHT + timedelta(days=2)
NEXT_NIGHT = FIRST_NIGHT + timedelta(days=3)

HOLD = (
    "import sys\n"
    "from pathlib import Path\n"
    "from regulars.warehouse.lock import warehouse_lock\n"
    "with warehouse_lock(Path(sys.argv[1]), holder='replay elsewhere', wait_seconds=0):\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.read()\n"
)


def export_without_a_warehouse(world: World) -> NightError:
    """As after an erasure whose rebuild failed: the warehouse is gone, messages still wait."""
    ledger = world.night().state.ledger
    assert any(ledger.unsettled(*batch) for batch in ledger.unsettled_batches())
    folder = world.settings.warehouse_path.parent
    kept = folder.rename(folder.with_name("kept"))
    with pytest.raises(NightError) as caught:
        world.night("cleared").export(run_id_of(FIRST_NIGHT))
    assert world.queued() == []
    shutil.rmtree(folder)
    kept.rename(folder)
    return caught.value


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with open_world(tmp_path_factory.mktemp("overtaken")) as made:
        good = made.settings
        made.settings = good.model_copy(update={"queue_url": "amqp://guest:guest@127.0.0.1:1//"})
        with pytest.raises(QueueError):
            made.run(FIRST_NIGHT)
        made.settings = good
        made.refused = export_without_a_warehouse(made)
        for name in ("export", "complete_night", "close_night"):
            getattr(made.night("cleared"), name)(run_id_of(FIRST_NIGHT))
        broken = made.root / "broken_project"
        shutil.copytree(
            PROJECT_ROOT / "dbt_project", broken, ignore=shutil.ignore_patterns("target", "logs")
        )
        path = next(broken.rglob("fct_refunds.sql"))
        path.write_text(path.read_text(encoding="utf-8") + "\n-- broken\nselect broken_column\n")
        made.settings = good.model_copy(update={"dbt_project_dir": broken})
        with pytest.raises(TransformFailed, match="fct_refunds"):
            made.run(FAILED_NIGHT)
        made.settings = good
        made.run(LAST_NIGHT)
        assert made.queued(), "nights that queue nothing prove nothing"
        yield made


def messages(world: World) -> list[object]:
    return sorted(str(row["message_id"]) for row in world.queued())


@pytest.mark.parametrize(
    ("day", "way_out"),
    [
        (FAILED_NIGHT, f"the night of {LAST_NIGHT} has taken in what it would have"),
        (FIRST_NIGHT, f"`regulars replay {FIRST_NIGHT}` builds it again beside the warehouse"),
    ],
    ids=["failed", "completed"],
)
def test_no_task_of_a_night_that_was_overtaken_runs(world, day, way_out):
    run_id, before = run_id_of(day), read_publication(world.settings)
    queued, journal = messages(world), list(read_entries(world.settings, run_id))
    shown = (world.settings.published_dir / "current.duckdb").resolve()
    heads = world.night().state.stream_heads()
    steps = [("extract_shop", ("demo_grocer",)), *((name, ()) for name in AFTER_EXTRACT)]
    for name, arguments in steps:
        told = []
        with (
            listening(told.append),
            pytest.raises(NightError, match="before the last completed night") as caught,
        ):
            getattr(world.night("cleared"), name)(run_id, *arguments)
        assert way_out in caught.value.next_step
        assert told == [f"✗ {' '.join([name, *arguments])}: {caught.value}"]
        assert world.night().state.lease.current() is None
    world.night("cleared").close_night(run_id)
    assert read_publication(world.settings) == before
    assert (world.settings.published_dir / "current.duckdb").resolve() == shown
    assert messages(world) == queued
    assert list(read_entries(world.settings, run_id)) == journal
    assert world.night().state.stream_heads() == heads


def test_a_night_that_was_skipped_is_shown_by_a_restatement(world):
    with pytest.raises(NightError, match="before the last completed night") as caught:
        world.run(FAILED_NIGHT)
    assert f"`regulars replay {FAILED_NIGHT} --restate`" in caught.value.next_step
    before = read_publication(world.settings)
    path = restate_night(world.settings, world.find_credentials, FAILED_NIGHT.isoformat())
    with duckdb.connect(path, read_only=True) as marts:
        [(day,)] = marts.execute("select max(day_date) from mart_shop_daily").fetchall()
    assert day == FAILED_NIGHT
    assert read_publication(world.settings) == before
    with pytest.raises(NightError, match="is not over in this warehouse"):
        restate_night(world.settings, world.find_credentials, NEXT_NIGHT.isoformat())
    with pytest.raises(NightError, match="was ever completed") as caught:
        replay_night(world.settings, world.find_credentials, FAILED_NIGHT.isoformat())
    assert "--restate" in caught.value.next_step


@contextmanager
def edited_manifest(world: World, text: str | None):
    """The last night's manifest replaced by another text, or gone, for the length of the block."""
    path = manifest_path(world.settings, run_id_of(LAST_NIGHT))
    kept = path.read_text(encoding="utf-8")
    if text is None:
        path.unlink()
    else:
        path.write_text(text, encoding="utf-8")
    try:
        yield path
    finally:
        path.write_text(kept, encoding="utf-8")


def test_a_night_whose_manifest_is_lost_says_where_it_comes_back_from(world):
    with edited_manifest(world, None) as path:
        for call in (
            lambda: world.run(LAST_NIGHT),
            lambda: replay_night(world.settings, world.find_credentials, LAST_NIGHT.isoformat()),
        ):
            with pytest.raises(NightError, match="the run manifest is lost") as caught:
                call()
            assert caught.value.where == str(path)
            assert "backup of data/runs" in caught.value.next_step
        assert not path.exists(), "no other one takes its place"
    assert world.night().state.lease.current() is None


def test_a_manifest_that_is_not_the_one_that_was_frozen_is_not_used(world):
    path = manifest_path(world.settings, run_id_of(LAST_NIGHT))
    document = json.loads(path.read_text(encoding="utf-8"))
    document["batches"] = document["batches"][1:]
    with edited_manifest(world, json.dumps(document, indent=1) + "\n"):
        for call in (
            lambda: world.run(LAST_NIGHT),
            lambda: world.night("cleared").load_raw(run_id_of(LAST_NIGHT)),
            lambda: replay_night(world.settings, world.find_credentials, LAST_NIGHT.isoformat()),
        ):
            with pytest.raises(NightError, match="not the one that the night decided from"):
                call()
    world.night("cleared").close_night(run_id_of(LAST_NIGHT))


def test_a_second_replay_of_a_date_is_refused_with_the_name_of_the_first(world):
    folder = world.settings.data_dir / "replay"
    folder.mkdir(exist_ok=True)
    for name, call in (
        (
            run_id_of(FIRST_NIGHT),
            lambda: replay_night(world.settings, world.find_credentials, FIRST_NIGHT.isoformat()),
        ),
        (
            f"restated-{FIRST_NIGHT:%Y%m%d}",
            lambda: restate_night(world.settings, world.find_credentials, FIRST_NIGHT.isoformat()),
        ),
    ):
        # What the first one has built so far is not touched.
        built = folder / name / "warehouse"
        built.mkdir(parents=True)
        first = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(folder / name)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert first.stdout.readline().strip() == "held"
            with pytest.raises(NightError, match=rf"replay elsewhere \(pid {first.pid} on .*\) is"):
                call()
            assert built.exists()
        finally:
            first.kill()
            first.communicate()
    outcome = replay_night(world.settings, world.find_credentials, FIRST_NIGHT.isoformat())
    assert outcome.is_equal, outcome.line


def test_an_export_on_a_warehouse_that_is_not_loaded_is_refused_by_name(world):
    assert "the warehouse is not loaded for this run" in world.refused.what
    assert "clear it from load_raw on" in world.refused.next_step


def column_of(world: World, table: str, column: str) -> tuple[int, int]:
    """Rows of a raw table, and those that hold a value in a column."""
    with duckdb.connect(str(world.settings.warehouse_path), read_only=True) as connection:
        query = f'select count(*), count("{column}") from {table}'
        [counts] = connection.execute(query).fetchall()
    return counts


def test_a_field_that_a_payload_model_gained_is_read_of_what_was_loaded_before(world):
    """The warehouse as older code left it: without the field, or without a member of a list."""
    whole = column_of(world, "raw.taobao_top__orders", "modified")
    assert whole[1] == whole[0] > 0
    with duckdb.connect(str(world.settings.warehouse_path)) as connection:
        connection.execute("alter table raw.taobao_top__orders drop column modified")
    cleared = world.night("cleared")
    with pytest.raises(NightError, match="a payload model changed since"):
        cleared.build_core(run_id_of(LAST_NIGHT))
    cleared.close_night(run_id_of(LAST_NIGHT))
    told = []
    with listening(told.append):
        world.run(NEXT_NIGHT)
    assert any("another shape now (taobao_top__orders)" in line for line in told)
    now = column_of(world, "raw.taobao_top__orders", "modified")
    assert now[1] == now[0] >= whole[0]
    outcome = replay_night(world.settings, world.find_credentials, NEXT_NIGHT.isoformat())
    assert outcome.is_equal, outcome.line
