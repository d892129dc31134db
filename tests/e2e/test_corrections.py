"""What people do between two nights: take back code, take out a batch, deploy in the middle."""

import json
import shutil
from contextlib import contextmanager
from datetime import timedelta

import pytest

from regulars.errors import GateFailed, NightError, QuarantineExceeded, QueueError
from regulars.landing import list_batches
from regulars.night.journal import latest_entries
from regulars.night.manifest import fingerprint, read_manifest, run_id_of
from regulars.night.quarantine import release_records
from regulars.night.replay import replay_night
from regulars.night.whole import iter_steps
from regulars.night.withdrawal import withdraw_batch
from regulars.progress import listening
from regulars.sandbox.book import day_start
from regulars.settings import PROJECT_ROOT
from regulars.warehouse.read import query_published
from tests.world import FIRST_NIGHT, World, open_world

pytestmark = pytest.mark.faults
SECOND_NIGHT = FIRST_NIGHT + timedelta(days=1)
THIRD_NIGHT = FIRST_NIGHT + timedelta(days=2)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """What three nights publish in which nobody touched anything."""
    with open_world(tmp_path_factory.mktemp("straight")) as world:
        published = {}
        for day in (FIRST_NIGHT, SECOND_NIGHT, THIRD_NIGHT):
            world.run(day)
            published[day] = content(world)
    assert published[FIRST_NIGHT] != published[SECOND_NIGHT] != published[THIRD_NIGHT]
    return published


def content(world: World) -> dict[str, object]:
    """Every mart's rows as one hash each, but for the number of the recorded threshold version.

    An attempt that failed may have recorded a version; the next one then gets the next number.
    """
    columns: dict[str, list[str]] = {}
    for table, column in rows(
        world,
        "select table_name, column_name from information_schema.columns "
        "where not starts_with(column_name, '_') "
        "and table_name <> 'mart_publication' and column_name <> 'threshold_version'",
    ):
        columns.setdefault(table, []).append(column)
    return {
        table: rows(world, f"select count(*), sum(hash({', '.join(names)})::hugeint) from {table}")
        for table, names in columns.items()
    }


def rows(world: World, sql: str) -> list[tuple[object, ...]]:
    return query_published(world.settings, sql)[1]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with open_world(tmp_path_factory.mktemp("corrected")) as made:
        yield made


@contextmanager
def changed(world: World, **settings):
    good = world.settings
    world.settings = good.model_copy(update=settings)
    try:
        yield
    finally:
        world.settings = good


def project_with(world: World, name: str, old: str, new: str):
    """A copy of the dbt project in which one file of SQL, a model or macros, was edited."""
    project = world.root / f"project_{len(list(world.root.glob('project_*')))}"
    shutil.copytree(
        PROJECT_ROOT / "dbt_project", project, ignore=shutil.ignore_patterns("target", "logs")
    )
    path = next(project.rglob(f"{name}.sql"))
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return project


def impossible(world: World):
    """Expectations that no marts can meet."""
    folder = world.root / "impossible"
    (folder / "marts").mkdir(parents=True, exist_ok=True)
    (folder / "marts" / "fct_orders.yml").write_text(
        "expectations:\n"
        "- type: expect_table_row_count_to_be_between\n"
        "  kwargs: {min_value: 1000000000}\n"
        "  severity: critical\n"
    )
    return folder


@pytest.mark.parametrize("day", [FIRST_NIGHT, SECOND_NIGHT])
def test_code_that_failed_the_gate_and_was_taken_back_leaves_no_trace(world, straight, day):
    """Its rows stand in the warehouse; the night after it must not build upon them."""
    wrong = project_with(world, "taobao", "as paid_amount,", "+ 1000 as paid_amount,")
    file_too = next(wrong.rglob("stg_file__orders.sql"))
    text = file_too.read_text(encoding="utf-8")
    assert text.count("as paid_amount") == 1
    file_too.write_text(text.replace("as paid_amount", "+ 1000 as paid_amount"), encoding="utf-8")
    with (
        changed(world, dbt_project_dir=wrong, expectations_dir=impossible(world)),
        pytest.raises(GateFailed),
    ):
        world.run(day)
    world.run(day)
    assert content(world) == straight[day]


def test_a_bad_batch_is_taken_out_and_the_corrected_one_takes_its_place(world, straight):
    inbox = world.settings.inbox_dir / "demo_grocer" / "refunds"
    inbox.mkdir(parents=True, exist_ok=True)
    (inbox / "bad.csv").write_text(
        "refund_id,order_id,status,created_at,refund_amount\n"
        "1,2,succeeded,2017-10-01 08:00:00,lots\n"
    )
    with pytest.raises(QuarantineExceeded) as caught:
        world.run(THIRD_NIGHT)
    [bad] = [batch for batch in list_batches(world.settings) if batch.origin == "bad.csv"]
    assert f"regulars landing withdraw {bad.batch_id}" in caught.value.next_step
    with pytest.raises(QuarantineExceeded):
        world.run(THIRD_NIGHT)

    line = withdraw_batch(world.settings, bad.batch_id, "amounts are words")
    assert "Drop the corrected file into data/inbox/demo_grocer/refunds/" in line
    note = next(world.settings.withdrawn_dir.rglob(f"{bad.batch_id}.withdrawn.json"))
    assert json.loads(note.read_text())["reason"] == "amounts are words"
    kept = {path.name for path in note.parent.iterdir()}
    assert {f"{bad.batch_id}.manifest.json", f"quarantined-{bad.batch_id}.ndjson.zst"} <= kept
    assert not list(world.settings.landing_dir.rglob(f"*{bad.batch_id}*"))
    assert not list(world.settings.quarantine_dir.rglob(f"*{bad.batch_id}*"))

    world.run(THIRD_NIGHT)
    assert content(world) == straight[THIRD_NIGHT]


def test_a_batch_that_a_night_was_built_on_stays(world):
    used = next(batch for batch in list_batches(world.settings) if batch.record_count)
    with pytest.raises(NightError, match="night-20171001 was built on") as caught:
        withdraw_batch(world.settings, used.batch_id, "regret")
    assert "the newest version of a record counts" in caught.value.next_step
    assert used in list_batches(world.settings)
    with pytest.raises(NightError, match="there is no batch nonsense"):
        withdraw_batch(world.settings, "nonsense", "typo")


def test_a_night_that_newer_code_ended_says_which_code_built_what_is_published(world):
    day = THIRD_NIGHT + timedelta(days=1)
    begun = world.night("old code")
    run_id = begun.open_night(day)
    for name, call in iter_steps(begun, run_id):
        call()
        if name == "commit":
            break
    begun.close_night(run_id)
    newer = project_with(world, "mart_shop_daily", "select", "-- newer\nselect")
    with changed(world, dbt_project_dir=newer):
        world.run(day)
        manifest = read_manifest(world.settings, run_id_of(day))
        assert manifest.published_fingerprint == fingerprint(world.settings)
        assert manifest.fingerprint != manifest.published_fingerprint
        outcome = replay_night(world.settings, world.find_credentials, day.isoformat())
        assert outcome.is_equal, outcome.line
        assert outcome.changed_since == ()
    entries = latest_entries(world.settings, run_id_of(day))
    rebuilt = {name for entry in entries for name in entry.get("rebuilt", [])}
    assert "mart_shop_daily" in rebuilt


def test_a_window_whose_batch_is_gone_is_named_and_asked_again(world):
    day = THIRD_NIGHT + timedelta(days=2)
    with changed(world, expectations_dir=impossible(world)), pytest.raises(GateFailed):
        world.run(day)
    fresh = list_batches(world.settings, source="taobao_top", stream="orders")
    gone = max((one for one in fresh if one.record_count), key=lambda one: one.window_end)
    line = withdraw_batch(world.settings, gone.batch_id, "cut short by a proxy")
    assert "asks for its window again" in line
    told = []
    with listening(told.append):
        world.run(day)
    assert any("orders" in text and "never landed: asking again" in text for text in told)
    until = day_start(day + timedelta(days=1))
    created = (world.sandbox.shop.book.created < until).sum()
    assert rows(world, "select count(*) from fct_orders") == [(int(created),)]
    told.clear()
    with listening(told.append):
        world.run(day + timedelta(days=1))
    assert not any("never landed" in text for text in told)


def test_a_night_with_too_many_refused_records_goes_on_when_they_are_released(world):
    day = THIRD_NIGHT + timedelta(days=4)
    inbox = world.settings.inbox_dir / "demo_grocer" / "traffic"
    inbox.mkdir(parents=True, exist_ok=True)
    (inbox / "traffic.csv").write_text("date,channel,visitors,page_views\n2017-10-07,pc,many,20\n")
    with pytest.raises(QuarantineExceeded) as caught:
        world.run(day)
    [bad] = [batch for batch in list_batches(world.settings) if batch.origin == "traffic.csv"]
    assert f"regulars quarantine show {bad.batch_id}" in caught.value.next_step
    line = release_records(
        world.settings, world.find_credentials, bad.batch_id, None, {"visitors": "12"}
    )
    assert line.startswith("1 released as ")
    world.run(day)
    assert rows(world, "select max(as_of_date) from mart_publication") == [(day,)]


def test_a_frozen_night_does_not_pass_for_one_built_with_an_edited_shop(tmp_path):
    """It is repeated with the shops of its manifest; the next night has to build with the new."""
    with open_world(tmp_path) as made:
        made.run(FIRST_NIGHT)
        with (
            changed(made, queue_url="amqp://guest:guest@127.0.0.1:1//"),
            pytest.raises(QueueError),
        ):
            made.run(SECOND_NIGHT)
        path = made.settings.config_dir / "shops.yml"
        text = path.read_text(encoding="utf-8")
        assert text.count("zone: Asia/Shanghai") == 1
        path.write_text(text.replace("zone: Asia/Shanghai", "zone: Asia/Tokyo"), encoding="utf-8")
        made.run(SECOND_NIGHT)
        made.run(THIRD_NIGHT)
        for day in (SECOND_NIGHT, THIRD_NIGHT):
            outcome = replay_night(made.settings, made.find_credentials, day.isoformat())
            assert outcome.is_equal, outcome.line
