"""Nights that somebody or something gets in the way of: readers, a lost broker, cleared tasks."""

import csv
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
import yaml
from sqlalchemy import select

from regulars.errors import LeaseHeld, QueueError
from regulars.night.journal import latest_entries
from regulars.night.manifest import run_id_of
from regulars.night.whole import AFTER_EXTRACT
from regulars.progress import listening
from regulars.sandbox.export import export_history
from regulars.state.database import Database
from regulars.state.schema import message_events
from regulars.warehouse.publish import read_publication
from regulars.warehouse.read import query_published
from tests.world import FIRST_NIGHT, World, open_world

pytestmark = pytest.mark.faults
SECOND_NIGHT = FIRST_NIGHT + timedelta(days=1)
FROM_PUBLISHING = AFTER_EXTRACT[AFTER_EXTRACT.index("publish_marts") :]
READER = (
    "import duckdb, sys\n"
    "connection = duckdb.connect(sys.argv[1], read_only=True)\n"
    "print('open', flush=True)\n"
    "sys.stdin.read()\n"
)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """One undisturbed night, which the others are compared with."""
    with open_world(tmp_path_factory.mktemp("undisturbed")) as made:
        made.run(FIRST_NIGHT)
        assert made.queued(), "a night that queues nothing proves nothing"
        yield made


def messages(world: World) -> list[object]:
    return sorted(str(row["message_id"]) for row in world.queued())


def entry_of(world: World, day, step: str) -> dict[str, object]:
    entries = latest_entries(world.settings, run_id_of(day))
    return next(entry for entry in reversed(entries) if entry["step"] == step)


class ForeignReader:
    """Another program that opens a database file and lets go of it after so many seconds."""

    def __init__(self, path, seconds: float) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", READER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout.readline().strip() == "open"
        self._timer = threading.Timer(seconds, self.close)
        self._timer.start()

    @property
    def has_let_go(self) -> bool:
        return self._process.poll() is not None

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def end(self) -> None:
        self._timer.cancel()
        self._process.kill()
        self._process.wait()


def test_a_night_waits_for_whoever_opens_its_files_between_two_steps(world, tmp_path):
    """Each reader comes as one step ends and holds a file that the next step writes."""
    # What waits differs: our own connection, dbt's, and the one that publishing copies from.
    comes = {
        "load_raw": ("build_core", "warehouse_path", 3.0),
        "validate_marts": ("propose", "warehouse_path", 1.0),
        "commit": ("publish_marts", "marts_path", 1.0),
    }
    held: dict[str, ForeignReader] = {}
    waited = []

    def listen(line: str) -> None:
        step = line.split()[1] if line.startswith("✓ ") else ""
        if step in held:
            assert held[step].has_let_go
            waited.append(step)
        if step in comes:
            following, file, seconds = comes[step]
            held[following] = ForeignReader(getattr(disturbed.settings, file), seconds)

    with open_world(tmp_path) as disturbed:
        disturbed.settings = disturbed.settings.model_copy(update={"warehouse_lock_seconds": 60.0})
        try:
            with listening(listen):
                disturbed.run(FIRST_NIGHT)
        finally:
            for reader in held.values():
                reader.end()
        assert waited == [following for following, _, _ in comes.values()]
        assert disturbed.digest == world.digest
        assert messages(disturbed) == messages(world)


@contextmanager
def unreachable_broker():
    """URL of a broker on a port that is taken and that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"amqp://guest:guest@127.0.0.1:{taken.getsockname()[1]}//"


def hold_out(world: World, campaign: str, share: float) -> None:
    path = world.settings.config_dir / "campaigns" / f"{campaign}.yml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["holdout_share"] = share
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")


def waiting(world: World):
    ledger = world.night().state.ledger
    return [row for batch in ledger.unsettled_batches() for row in ledger.unsettled(*batch)]


def exits_of(world: World) -> dict[str, tuple[str, str | None]]:
    """Event and reason of each message that has passed the exit."""
    query = select(message_events.c.message_id, message_events.c.event, message_events.c.reason)
    query = query.where(message_events.c.event != "committed")
    with Database(world.settings.resolved_state_url).reading() as connection:
        rows = connection.execute(query).all()
    found = {row.message_id: (row.event, row.reason) for row in rows}
    assert len(found) == len(rows)
    return found


def drop_refusals(world: World, said_at: dict[str, str]) -> None:
    """The merchant's file of members who took their consent to SMS back; instants by buyer."""
    fresh = world.root / "fresh"
    export_history(fresh, "demo_grocer", world.sandbox.shop.book)
    [exported] = (fresh / "demo_grocer" / "members").glob("*.csv")
    with exported.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["buyer_id"] in said_at]
    assert [row["sms_consent"] for row in rows] == ["granted"] * len(said_at)
    for row in rows:
        at = said_at[row["buyer_id"]]
        row |= {"sms_consent": "refused", "sms_consent_at": at, "modified_at": at}
    part = world.settings.inbox_dir / "demo_grocer" / "members" / "refusals.csv.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    part.rename(part.with_suffix(""))


@pytest.fixture(scope="module")
def delayed(tmp_path_factory):
    """A night that committed and could not export, refusals, and the night after it.

    The world; the messages that waited; of them, those whose members refused by day and those
    whose members refused after the business date had ended, an hour before the night.
    """
    with open_world(tmp_path_factory.mktemp("delayed"), households=160) as made:
        hold_out(made, "just_silent_coupon", 0.2)
        good = made.settings
        with unreachable_broker() as url:
            made.settings = good.model_copy(update={"queue_url": url})
            with pytest.raises(QueueError, match="RabbitMQ cannot be reached"):
                made.run(FIRST_NIGHT)
        made.settings = good
        waited = waiting(made)
        assert len(waited) > 2, "somebody must refuse and somebody must not"
        assert made.queued() == []
        by_day, by_night = waited[:2]
        buyers = dict(
            query_published(
                made.settings, "select cast(customer_key as varchar), buyer_id from dim_customers"
            )[1]
        )
        drop_refusals(
            made,
            {
                buyers[str(by_day.customer_key)]: f"{SECOND_NIGHT} 09:00:00",
                buyers[str(by_night.customer_key)]: f"{SECOND_NIGHT + timedelta(days=1)} 00:30:00",
            },
        )
        made.run(SECOND_NIGHT)
        yield made, {row.message_id for row in waited}, by_day.message_id, by_night.message_id


def test_a_message_that_waited_does_not_leave_when_its_member_has_refused_since(delayed):
    world, waited, by_day, by_night = delayed
    assert exits_of(world)[by_day] == ("suppressed_at_exit", "refused")
    assert by_day not in messages(world)
    assert set(messages(world)) > waited - {by_day, by_night}


def test_a_message_that_waited_does_not_leave_when_its_member_refused_after_midnight(delayed):
    world, _, _, by_night = delayed
    assert exits_of(world)[by_night] == ("suppressed_at_exit", "refused")
    assert by_night not in messages(world)


def test_nobody_is_lost_and_nobody_counts_twice_when_an_export_failed(delayed):
    world, _, _, _ = delayed
    left, exits = messages(world), exits_of(world)
    exported = {key for key, (event, _) in exits.items() if event == "exported"}
    assert sorted(exported) == left
    assert waiting(world) == []
    ledger = world.night().state.ledger
    decided = [
        ledger.result(run_id_of(day), campaign)
        for day in (FIRST_NIGHT, SECOND_NIGHT)
        for campaign in ledger.campaigns_of(run_id_of(day))
    ]
    held_out = sum(result.holdout for result in decided)
    suppressed = sum(result.suppressed for result in decided)
    at_exit = len(exits) - len(exported)
    assert min(held_out, suppressed, at_exit) > 0, "each outcome must stand for itself"
    considered = sum(result.considered for result in decided)
    assert considered == len(exported) + suppressed + at_exit + held_out


def test_steps_cleared_after_their_night_has_ended_run_again_and_change_nothing(world):
    run_id, digest, queued = run_id_of(FIRST_NIGHT), world.digest, messages(world)
    published = read_publication(world.settings)
    assert world.night().state.lease.current() is None
    for name in FROM_PUBLISHING:
        # Under the scheduler each cleared task is a process of its own.
        cleared = world.night("cleared")
        getattr(cleared, name)(run_id)
        assert cleared.state.lease.current().holder == "cleared"
    assert entry_of(world, FIRST_NIGHT, "export")["exported"] == 0
    world.night("cleared").close_night(run_id)
    assert world.night().state.lease.current() is None
    assert world.digest == digest
    assert read_publication(world.settings) == published
    assert messages(world) == queued


def test_a_step_cleared_while_another_night_runs_is_refused_with_the_holders_name(world):
    run_id, published = run_id_of(FIRST_NIGHT), read_publication(world.settings)
    tonight = world.night("tonight")
    tonights = tonight.open_night(SECOND_NIGHT)
    try:
        for name in FROM_PUBLISHING:
            with pytest.raises(LeaseHeld, match=f"tonight holds the lease for {tonights}"):
                getattr(world.night("cleared"), name)(run_id)
        world.night("cleared").close_night(run_id)
        assert tonight.state.lease.current().holder == "tonight"
    finally:
        tonight.close_night(tonights)
    assert read_publication(world.settings) == published
