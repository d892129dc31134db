"""Nights of a small real shop, end to end: repeated, replayed, restated, rebuilt, broken.

The nights of one installation are run once; the tests look at it in the order in which they stand,
each leaving it as good as it found it.
"""

import shutil
import subprocess
import sys
import time
from datetime import date, timedelta

import pytest
import zstandard

from regulars.credentials import Credentials
from regulars.errors import GateFailed, LeaseHeld, NightError, TransformFailed, VaultKeyError
from regulars.night.journal import latest_entries
from regulars.night.manifest import read_manifest, run_id_of
from regulars.night.replay import replay_night, restate_night
from regulars.settings import PROJECT_ROOT
from regulars.state import store
from regulars.warehouse.publish import read_publication
from regulars.warehouse.read import query_published
from tests.world import FIRST_NIGHT, World, open_world

pytestmark = pytest.mark.slow
LAST_NIGHT = FIRST_NIGHT + timedelta(days=3)
HOUSEHOLDS = 40


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with open_world(tmp_path_factory.mktemp("world"), households=HOUSEHOLDS) as made:
        made.run_nights(4)
        assert made.queued(), "nights that queue nothing prove nothing"
        yield made


def messages(world: World) -> list[object]:
    return sorted(str(row["message_id"]) for row in world.queued())


def rows(world: World, sql: str) -> list[tuple[object, ...]]:
    return query_published(world.settings, sql)[1]


def note_of(world: World, day: date, step: str) -> str:
    entries = latest_entries(world.settings, run_id_of(day))
    return str(next(entry for entry in entries if entry["step"] == step).get("note"))


def test_every_order_of_file_and_api_is_one_order(world):
    seen = rows(world, "select record_source, count(*) from fct_orders group by all")
    assert {source for source, _ in seen} == {"file", "taobao_top"}
    assert rows(world, "select count(*) - count(distinct order_key) from fct_orders") == [(0,)]
    until = (LAST_NIGHT + timedelta(days=1)).isoformat()
    book = world.sandbox.shop.book
    created = (book.created < int(date_seconds(until))).sum()
    assert rows(world, "select count(*) from fct_orders") == [(int(created),)]


def date_seconds(text: str) -> int:
    """Wall seconds of a local midnight, as the sandbox's book counts them."""
    from regulars.sandbox.book import day_start

    return int(day_start(date.fromisoformat(text)))


def test_credited_and_organic_add_up_to_the_shops_net_sales_to_the_fen(world):
    [(credited, organic)] = rows(
        world, "select sum(credited_amount), sum(organic_amount) from fct_order_attribution"
    )
    [(net,)] = rows(world, "select sum(net_amount) from fct_orders where is_paid")
    assert credited + organic == net
    assert credited > 0


def test_every_considered_member_has_one_outcome(world):
    decided = [
        entry
        for number in range(4)
        for entry in latest_entries(world.settings, run_id_of(FIRST_NIGHT + timedelta(days=number)))
        if entry["step"] == "commit"
    ]
    for campaign in (found for entry in decided for found in entry["campaigns"]):
        total = campaign["sent"] + campaign["holdout"] + campaign["suppressed"]
        assert campaign["considered"] == total
        assert sum(campaign["reasons"].values()) == campaign["suppressed"]


def test_the_same_night_again_exports_nothing_and_has_the_same_digest(world):
    digest, queued = world.digest, messages(world)
    world.run(LAST_NIGHT)
    assert world.digest == digest
    assert messages(world) == queued
    assert note_of(world, LAST_NIGHT, "export").startswith("0 messages")
    assert "decided before" in note_of(world, LAST_NIGHT, "commit")


def test_a_replay_from_the_manifest_equals_what_was_published(world):
    day = FIRST_NIGHT + timedelta(days=1)
    outcome = replay_night(world.settings, world.find_credentials, day.isoformat())
    assert outcome.is_equal, outcome.line
    assert outcome.digest == read_manifest(world.settings, run_id_of(day)).digest
    assert outcome.digest != world.digest
    assert read_publication(world.settings).as_of_date == LAST_NIGHT


def test_a_restatement_sees_later_batches_and_never_moves_the_pointer(world):
    published, queued = read_publication(world.settings), messages(world)
    path = restate_night(world.settings, world.find_credentials, FIRST_NIGHT.isoformat())
    assert "restated" in path
    assert read_publication(world.settings) == published
    assert messages(world) == queued
    restated = read_manifest(world.settings, f"restated-{FIRST_NIGHT:%Y%m%d}-1")
    original = read_manifest(world.settings, run_id_of(FIRST_NIGHT))
    assert len(restated.batches) > len(original.batches)


def test_a_past_night_is_refused_with_the_way_to_restate_it(world):
    with pytest.raises(NightError, match="regulars replay 2017-10-01 --restate"):
        world.run(FIRST_NIGHT)


def test_a_second_night_is_refused_with_the_holders_name(world):
    first = world.night("first")
    run_id = first.open_night(LAST_NIGHT)
    with pytest.raises(LeaseHeld, match="first holds the lease for night-20171004"):
        world.run(LAST_NIGHT, holder="second")
    first.close_night(run_id)


def test_a_later_night_that_failed_leaves_the_repeated_one_as_it_was(world):
    """The warehouse is a night ahead: the repeated night is rebuilt from its own manifest."""
    digest, queued, good = world.digest, messages(world), world.settings
    expectations = world.root / "impossible"
    (expectations / "marts").mkdir(parents=True)
    (expectations / "marts" / "fct_orders.yml").write_text(
        "expectations:\n"
        "- type: expect_table_row_count_to_be_between\n"
        "  kwargs: {min_value: 1000000000}\n"
        "  severity: critical\n"
    )
    world.settings = good.model_copy(update={"expectations_dir": expectations})
    try:
        with pytest.raises(GateFailed):
            world.run(LAST_NIGHT + timedelta(days=1))
    finally:
        world.settings = good
    world.run(LAST_NIGHT)
    assert world.digest == digest
    assert messages(world) == queued


def test_a_deleted_warehouse_is_rebuilt_and_nothing_is_sent_again(world):
    """One of its two files is gone; that the other goes with it, tests/warehouse tells of both."""
    digest, queued = world.digest, messages(world)
    world.settings.warehouse_path.unlink()
    world.run(LAST_NIGHT)
    assert world.digest == digest, "the sum of four nights is a full rebuild"
    assert messages(world) == queued


def test_a_damaged_warehouse_says_how_to_rebuild_it(world):
    kept = world.settings.warehouse_path.read_bytes()
    world.settings.warehouse_path.write_bytes(b"not a database")
    from regulars.errors import WarehouseError

    with pytest.raises(WarehouseError, match="delete data/warehouse/ and run the night again"):
        world.run(LAST_NIGHT)
    world.settings.warehouse_path.write_bytes(kept)


def test_contact_data_stands_nowhere_but_in_the_vault(world):
    inbox = world.settings.inbox_dir
    plain = b"120"  # every phone number of the sandbox shop begins so, 11 digits long
    numbers = contact_numbers(world)
    assert len(numbers) > HOUSEHOLDS / 2
    looked_at = 0
    for path in world.settings.data_dir.rglob("*"):
        if not path.is_file() or inbox in path.parents:
            continue
        data = path.read_bytes()
        if path.suffix == ".zst":
            data = zstandard.ZstdDecompressor().stream_reader(data).read()
        looked_at += 1
        assert not [number for number in numbers if number in data], path
    assert looked_at > 50
    assert all(number.startswith(plain[:2]) for number in numbers)


def contact_numbers(world: World) -> list[bytes]:
    """The phone numbers that the merchant dropped, read from a fresh export."""
    import csv

    from regulars.sandbox.export import export_history

    folder = world.root / "fresh"
    export_history(folder, "demo_grocer", world.sandbox.shop.book)
    [path] = (folder / "demo_grocer" / "members").glob("*.csv")
    with path.open(encoding="utf-8") as file:
        found = [row["phone"].encode() for row in csv.DictReader(file) if row["phone"]]
    shutil.rmtree(folder)
    return found


@pytest.mark.parametrize("password", ["", "QUJD" * 11 + "QUI="])
def test_a_missing_or_changed_personal_data_key_stops_the_night(world, password):
    good = world.credentials["regulars_pii"]
    world.credentials["regulars_pii"] = Credentials("regulars_pii", password=password)
    published = read_publication(world.settings)
    try:
        with pytest.raises(VaultKeyError) as caught:
            world.run(LAST_NIGHT + timedelta(days=1))
    finally:
        world.credentials["regulars_pii"] = good
    assert password == "" or password not in str(caught.value)
    assert read_publication(world.settings) == published


def test_a_seed_edited_between_two_nights_rebuilds_what_descends_from_it(world, monkeypatch):
    """Silent ends at day 50 instead of 60: an incremental night equals a full rebuild."""
    project = world.root / "dbt_project"
    shutil.copytree(
        PROJECT_ROOT / "dbt_project", project, ignore=shutil.ignore_patterns("target", "logs")
    )
    seed = project / "seeds" / "lifecycle_windows.csv"
    edited = seed.read_text(encoding="utf-8").replace("silent,2,60,", "silent,2,50,")
    assert edited != seed.read_text(encoding="utf-8")
    seed.write_text(edited, encoding="utf-8")
    good = world.settings
    world.settings = good.model_copy(update={"dbt_project_dir": project})
    try:
        day = LAST_NIGHT + timedelta(days=1)
        world.run(day)
        entries = latest_entries(world.settings, run_id_of(day))
        rebuilt = {name for entry in entries for name in entry.get("rebuilt", [])}
        assert "mart_member_lifecycle_history" in rebuilt
        assert "fct_orders" not in rebuilt
        outcome = replay_night(world.settings, world.find_credentials, day.isoformat())
        assert outcome.is_equal, outcome.line
        assert (
            rows(
                world,
                "select max(days_since_last_valid_order) from mart_member_lifecycle "
                "where activity_stage = 'silent'",
            )[0][0]
            <= 50
        )
    finally:
        world.settings = good


def test_a_broken_model_is_named_and_the_last_good_marts_stay(world):
    project = world.root / "broken_project"
    shutil.copytree(
        PROJECT_ROOT / "dbt_project", project, ignore=shutil.ignore_patterns("target", "logs")
    )
    path = next(project.rglob("mart_shop_daily.sql"))
    path.write_text(path.read_text(encoding="utf-8") + "\n-- broken\nselect broken_column\n")
    good, published = world.settings, read_publication(world.settings)
    world.settings = good.model_copy(update={"dbt_project_dir": project})
    day = published.as_of_date + timedelta(days=1)
    try:
        with pytest.raises(TransformFailed, match="mart_shop_daily"):
            world.run(day)
    finally:
        world.settings = good
    assert read_publication(world.settings) == published
    world.run(day)
    assert read_publication(world.settings).as_of_date == day


def test_a_reader_on_the_live_warehouse_only_delays_the_night(world):
    """Somebody has the warehouse open for 20 seconds of waiting, then lets go."""
    from regulars.warehouse.session import open_warehouse

    script = (
        "import duckdb, sys\n"
        "connection = duckdb.connect(sys.argv[1], read_only=True)\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    reader = subprocess.Popen(
        [sys.executable, "-c", script, str(world.settings.warehouse_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdout.readline().strip() == "open"
    waits = []

    def wait(seconds):
        waits.append(seconds)
        if sum(waits) >= 20:
            reader.stdin.close()
            reader.wait()

    patient = world.settings.model_copy(update={"warehouse_lock_seconds": 60.0})
    with open_warehouse(patient, holder="test", wait=wait) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    assert sum(waits) >= 20


def test_two_machine_clocks_give_the_same_digest(world, tmp_path, monkeypatch):
    """The first night of an equal shop, on a machine years ahead in another zone."""
    now = store._machine_now
    monkeypatch.setattr(store, "_machine_now", lambda: now() + timedelta(days=4000))
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        with open_world(tmp_path, households=HOUSEHOLDS) as ahead:
            ahead.run(FIRST_NIGHT)
            digest = ahead.digest
    finally:
        monkeypatch.undo()
        time.tzset()
    original = read_manifest(world.settings, run_id_of(FIRST_NIGHT))
    assert digest == original.digest
