"""A small real shop whose landing is compacted and whose raw is pruned: no figure changes."""

from datetime import date

import pytest
from rich.console import Console

from regulars.errors import LeaseHeld, NightError
from regulars.landing import list_batches
from regulars.night import landed, maintenance
from regulars.night.erasure import Eraser, Given
from regulars.night.journal import read_entries
from regulars.night.maintenance import Maintenance
from regulars.night.manifest import read_manifest, resolve, run_id_of
from regulars.night.replay import replay_night
from regulars.night.withdrawal import withdraw_batch
from regulars.records import BatchManifest
from regulars.state import StateStore
from regulars.warehouse import control
from regulars.warehouse.prune import pruned_batches
from regulars.warehouse.read import query_published
from regulars.warehouse.session import open_warehouse
from tests.world import FIRST_NIGHT, World, open_world

pytestmark = pytest.mark.faults
SECOND = date(2017, 10, 2)
NEXT_MONTH = [date(2017, 11, day) for day in (2, 3, 4, 5)]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two nights of October and one of November; a refund that came in two versions."""
    with open_world(tmp_path_factory.mktemp("world"), households=10) as made:
        made.settings = made.settings.model_copy(
            update={"raw_retention_days": 1, "landing_compact_after_days": 0}
        )
        made.run(FIRST_NIGHT)
        order = rows(made, "select max(order_id) from fct_orders where net_amount > 5")[0][0]
        # The first success dates it: only an old version says when.
        drop_refund(made, order, "2017-10-02", "succeeded")
        made.run(SECOND)
        drop_refund(made, order, "2017-10-20", "succeeded", reason="a remark")
        made.run(NEXT_MONTH[0])
        yield made


def rows(world: World, sql: str) -> list[tuple[object, ...]]:
    return query_published(world.settings, sql)[1]


def drop_refund(world: World, order: object, day: str, status: str, reason: str = "") -> None:
    folder = world.settings.inbox_dir / "demo_grocer" / "refunds"
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{day}.part"
    part.write_text(
        "refund_id,order_id,status,created_at,modified_at,refund_amount,reason\n"
        f"r1,{order},{status},2017-10-01 10:00:00,{day} 08:00:00,1.00,{reason}\n"
    )
    part.rename(folder / f"{day}.csv")


def maintain(world: World) -> Maintenance:
    return Maintenance(world.settings, holder="test maintenance")


def raw_counts(world: World) -> dict[str, int]:
    with open_warehouse(world.settings, holder="test") as connection:
        tables = connection.execute(
            "select distinct source || '__' || stream from warehouse.ops.pruned_batches"
        ).fetchall()
        return {
            table: connection.execute(f"select count(*) from warehouse.raw.{table}").fetchone()[0]
            for (table,) in tables
        }


def replayed(world: World, day: date) -> None:
    outcome = replay_night(world.settings, world.find_credentials, day.isoformat())
    assert outcome.is_equal, outcome.line
    assert outcome.digest == outcome.published_digest


def refunded_on(world: World) -> str:
    [(instant,)] = rows(world, "select refunded_at from fct_refunds where refund_id = 'r1'")
    return str(instant)[:10]


def stored_batch(world: World) -> BatchManifest:
    """A compacted batch with records."""
    return next(
        one
        for one in list_batches(world.settings, source="taobao_top", stream="orders")
        if one.stored_in and one.record_count
    )


def test_compacted_and_pruned_the_next_nights_are_what_a_full_rebuild_gives(world):
    files = len(list(world.settings.landing_dir.rglob("*.manifest.json")))
    before = read_manifest(world.settings, run_id_of(NEXT_MONTH[0]))
    months = maintain(world).compact_landing(dry_run=True)
    assert months and len(list(world.settings.landing_dir.rglob("*.manifest.json"))) == files
    assert len(maintain(world).compact_landing()) == len(months)
    assert maintain(world).compact_landing() == []
    assert len(list(world.settings.landing_dir.rglob("*.manifest.json"))) < files
    pruned = maintain(world).prune_raw()
    assert pruned["file__refunds"] == 1
    assert pruned["taobao_top__orders"] > 0
    assert maintain(world).shrink_warehouse()
    batch = stored_batch(world)
    line = landed.replay_batch(world.settings, batch.batch_id)
    assert f"{batch.record_count} records loaded again" in line
    world.run(NEXT_MONTH[1])
    with open_warehouse(world.settings, holder="test") as connection:
        consumed = "select run_id from warehouse.ops.consumed_batches where batch_id = ?"
        taken_in_by = connection.execute(consumed, [batch.batch_id]).fetchone()
    assert taken_in_by == (run_id_of(NEXT_MONTH[1]),)
    after = read_manifest(world.settings, run_id_of(NEXT_MONTH[1]))
    assert len(after.batches) < len(before.batches)
    assert len(resolve(world.settings, after)) > len(resolve(world.settings, before))
    assert refunded_on(world) == "2017-10-02"
    replayed(world, NEXT_MONTH[1])


def test_an_old_nights_manifest_is_replayed_from_what_it_was_compacted_into(world):
    compacted = {one.batch_id for one in list_batches(world.settings) if one.stored_in}
    manifest = read_manifest(world.settings, run_id_of(SECOND))
    assert compacted & {ref.batch_id for ref in manifest.batches}
    replayed(world, SECOND)


def test_a_night_on_compacted_batches_takes_none_for_fresh(world):
    known = world.night()._known_batches()
    assert {one.batch_id for one in list_batches(world.settings)} <= known


def pruned(world: World) -> set[str]:
    with open_warehouse(world.settings, holder="test") as connection:
        return pruned_batches(connection)


def test_an_edited_campaign_loads_nothing_pruned_again(world):
    """What reads it is built anew; that is no staging model, and so nothing reads raw's past."""
    left = pruned(world)
    path = world.settings.config_dir / "campaigns" / "first_month_gift.yml"
    text = path.read_text(encoding="utf-8")
    assert text.count("priority: ") == 1
    path.write_text(text.replace("priority: ", "priority: 9"), encoding="utf-8")
    world.run(NEXT_MONTH[2])
    entries = list(read_entries(world.settings, run_id_of(NEXT_MONTH[2])))
    assert left and pruned(world) == left
    assert not any(entry.get("reloaded") for entry in entries)
    rebuilt = " ".join(name for entry in entries for name in entry.get("rebuilt", []))
    assert "int_campaigns__registered" in rebuilt and "stg_" not in rebuilt
    replayed(world, NEXT_MONTH[2])


def test_a_staging_model_built_anew_reads_what_was_pruned(world):
    left = raw_counts(world)
    with open_warehouse(world.settings, holder="test") as connection:
        assert pruned_batches(connection)
        good = control.read_fingerprints(connection)
        staging = [name for name in good if name.startswith("model.regulars.stg_")]
        control.distrust(connection, staging)
    world.run(NEXT_MONTH[3])
    with open_warehouse(world.settings, holder="test") as connection:
        assert pruned_batches(connection) == set()
        for table, count in left.items():
            found = connection.execute(f"select count(*) from warehouse.raw.{table}").fetchone()[0]
            assert found > count
    assert refunded_on(world) == "2017-10-02"


def test_a_batch_is_shown_with_what_it_holds_and_an_unknown_one_is_refused(world, capsys):
    batch = stored_batch(world)
    landed.print_batch(world.settings, batch.batch_id, 1, Console(width=200))
    told = capsys.readouterr().out
    assert batch.sha256 in told and batch.stored_in.batch_id in told
    assert "buyer_open_uid" in told
    for call in (
        lambda: landed.replay_batch(world.settings, "other"),
        lambda: landed.print_batch(world.settings, "other", 1, Console()),
    ):
        with pytest.raises(NightError, match="there is no batch other"):
            call()


def test_a_compacted_batch_is_not_withdrawn_because_a_night_was_built_on_it(world):
    batch = next(one for one in list_batches(world.settings) if one.stored_in)
    with pytest.raises(NightError, match=f"was built on {batch.batch_id}"):
        withdraw_batch(world.settings, batch.batch_id, "it is wrong")
    assert batch.batch_id in {one.batch_id for one in list_batches(world.settings)}


def test_maintenance_waits_for_a_night_and_a_night_for_it(world):
    night = world.night("a night")
    run_id = night.open_night(NEXT_MONTH[3])
    for part in ("compact_landing", "prune_raw", "shrink_warehouse", "remove_leftovers"):
        with pytest.raises(LeaseHeld, match="a night holds the lease"):
            getattr(maintain(world), part)()
    night.close_night(run_id)
    lease = StateStore(world.settings.resolved_state_url).lease
    lease.acquire(maintenance.LEASE, "maintenance", 900)
    with pytest.raises(LeaseHeld, match="maintenance holds the lease"):
        world.run(NEXT_MONTH[3])
    lease.release(maintenance.LEASE, "maintenance")


def test_replays_that_were_killed_are_removed_and_running_ones_stay(world):
    folder = world.settings.data_dir / "replay" / "night-20171001"
    folder.mkdir(parents=True)
    made_at = folder.stat().st_mtime
    for days, is_left in ((1, True), (3, False)):
        present = made_at + days * 24 * 3600
        Maintenance(world.settings, holder="test", present=lambda at=present: at).remove_leftovers()
        assert folder.exists() == is_left


def test_a_month_that_is_none_is_refused(world):
    with pytest.raises(NightError, match="'september' is not a month"):
        maintain(world).compact_landing("september")


def test_an_erased_person_stays_out_of_compacted_batches(world):
    [(buyer,)] = rows(
        world, "select min(buyer_id) from dim_customers where buyer_id not like 'order:%'"
    )
    eraser = Eraser(world.settings, world.find_credentials, holder="test", requested_by="somebody")
    given = (Given("buyer_id", f"demo_grocer:{buyer}"),)
    done = eraser.erase(given, request="ticket 1", confirm=lambda _: True, rebuild=False)
    assert done.erasure.counts["landing_records_left_out"] > 0
    outcome = replay_night(world.settings, world.find_credentials, SECOND.isoformat())
    assert outcome.is_equal, outcome.line
    assert outcome.tombstones > 0
    assert outcome.digest != outcome.published_digest
