"""Committed messages leave once, in files, through the exit."""

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from regulars.credentials import Credentials
from regulars.errors import LeaseHeld, QueueError
from regulars.queues import BatchExport, UnsubscribeLinks, export_messages
from regulars.queues.transports import FileQueue
from regulars.queues.unsubscribe import message_of_token
from regulars.state import ConsentRecord, MessageEvent, StateStore, message_id_of
from regulars.vault import keys_from_credentials
from tests.queues.shop import NIGHT, campaign, queued, queued_members, rules, shanghai
from tests.state.processes import kill_at
from tests.state.rows import DAY, PLANNED, held_out, member, proposal, suppressed

RUN = "night-20171001"
SHARED = "shared"


def commit(state: StateStore, *rows: dict[str, Any], day: date = DAY, code: str = "gift") -> str:
    run_id = state.nights.open(day).run_id
    state.commit_decisions(run_id, code, rows, occurred_at=NIGHT)
    return run_id


def export(
    state: StateStore, queue: FileQueue, run_id: str = RUN, **changes: Any
) -> list[BatchExport]:
    values: dict[str, Any] = {"now": NIGHT, "rules": rules(), **changes}
    return export_messages(state, queue, run_id=run_id, **values)


def events(state: StateStore, *kinds: str) -> dict[int, list[str]]:
    """Events by member number."""
    members = {
        row["message_id"]: row["member_key"].int
        for row in state.iter_stream("state__decisions", 0, 10**9)
    }
    found: dict[int, list[str]] = {}
    for row in state.iter_stream("state__message_events", 0, 10**9):
        if row["event"] in kinds:
            found.setdefault(members[row["message_id"]], []).append(row["event"])
    return found


def test_messages_to_send_leave_and_nothing_else(
    state: StateStore, file_queue: FileQueue, queue_folder: Path
) -> None:
    commit(state, proposal(1), proposal(2), held_out(3), suppressed(4))
    (batch,) = export(state, file_queue)
    assert (batch.exported, batch.recovered, dict(batch.suppressed)) == (2, 0, {})
    assert batch.place == str(queue_folder / "sms" / "gift" / f"{RUN}.ndjson")
    assert queued_members(queue_folder) == [1, 2]
    assert events(state, "committed", "exported") == {
        1: ["committed", "exported"],
        2: ["committed", "exported"],
    }


def test_a_row_tells_a_sender_everything_and_nobody_who_it_is(
    state: StateStore, file_queue: FileQueue, queue_folder: Path
) -> None:
    commit(state, proposal(1))
    export(state, file_queue)
    assert queued(queue_folder) == [
        {
            "message_id": proposal(1)["message_id"],
            "run_id": RUN,
            "campaign": "gift",
            "brand": "demo",
            "platform": "taobao",
            "shop": "grocer",
            "channel": "sms",
            "purpose": "marketing",
            "contact_ref": "tok_1",
            "template": "gift",
            "coupon_code": "MONTH5",
            "coupon_amount": "5.00",
            "send_at": "2017-10-02T02:00:00Z",
            "expires_at": "2017-10-05T16:00:00Z",
        }
    ]


KEYS = keys_from_credentials(Credentials("regulars_pii", password="5" * 64))


def test_a_marketing_email_carries_the_way_out_that_leads_to_it(
    state: StateStore, file_queue: FileQueue, queue_folder: Path
) -> None:
    commit(state, proposal(1, channel="email"), proposal(2, channel="email", purpose="service"))
    links = UnsubscribeLinks("https://receive.example/", KEYS)
    export(state, file_queue, rules=rules(unsubscribe=links))
    rows = {row["contact_ref"]: row for row in queued(queue_folder)}
    row = rows["tok_1"]
    token = row["unsubscribe_url"].removeprefix("https://receive.example/u/")
    assert message_of_token(KEYS, token) == row["message_id"]
    assert row["headers"] == {
        "List-Unsubscribe": f"<{row['unsubscribe_url']}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    # What belongs to an order is no advertising: there is nothing to unsubscribe from.
    assert not {"unsubscribe_url", "headers"} & rows["tok_2"].keys()


def test_no_marketing_email_leaves_that_nobody_could_unsubscribe_from(
    state: StateStore, file_queue: FileQueue, queue_folder: Path
) -> None:
    commit(state, proposal(1, channel="email"))
    with pytest.raises(QueueError, match="public_url"):
        export(state, file_queue)
    assert queued(queue_folder) == []
    links = UnsubscribeLinks("https://receive.example", KEYS)
    (batch,) = export(state, file_queue, rules=rules(unsubscribe=links))
    assert batch.exported == 1


def test_a_second_export_exports_nothing(
    state: StateStore, file_queue: FileQueue, queue_folder: Path
) -> None:
    commit(state, proposal(1))
    export(state, file_queue)
    before = {path: path.read_bytes() for path in queue_folder.rglob("*") if path.is_file()}
    heads = state.stream_heads()
    assert export(state, file_queue) == []
    assert export(state, file_queue, now=NIGHT + timedelta(days=3)) == []
    assert {path: path.read_bytes() for path in queue_folder.rglob("*") if path.is_file()} == before
    assert state.stream_heads() == heads


def test_what_is_kept_back_is_recorded_with_its_reason(
    state: StateStore, file_queue: FileQueue, queue_folder: Path
) -> None:
    commit(state, proposal(1), proposal(2))
    state.consent.record(
        [ConsentRecord("demo", "hash_1", None, "sms", "refusal", NIGHT, "receipt")]
    )
    (batch,) = export(state, file_queue)
    assert (batch.exported, dict(batch.suppressed)) == (1, {"refused": 1})
    assert queued_members(queue_folder) == [2]
    assert events(state, "exported", "suppressed_at_exit") == {
        1: ["suppressed_at_exit"],
        2: ["exported"],
    }


def test_nothing_to_send_writes_no_file(
    state: StateStore, file_queue: FileQueue, queue_folder: Path
) -> None:
    commit(state, held_out(1))
    (batch,) = export(state, file_queue)
    assert (batch.exported, batch.place) == (0, None)
    assert queued(queue_folder) == []
    assert export(state, file_queue) == []


def test_an_earlier_night_that_never_left_leaves_now_and_a_later_one_waits(
    state: StateStore, file_queue: FileQueue, queue_folder: Path
) -> None:
    commit(state, proposal(1), day=DAY)
    second = commit(state, proposal(2), day=date(2017, 10, 2))
    commit(state, proposal(3), day=date(2017, 10, 3))
    batches = export(state, file_queue, second, now=shanghai(3, "02:00"))
    assert [(batch.run_id, batch.exported) for batch in batches] == [(RUN, 1), (second, 1)]
    assert {row["contact_ref"]: row["send_at"] for row in queued(queue_folder)} == {
        "tok_1": "2017-10-03T02:00:00Z",  # late: the next slot
        "tok_2": "2017-10-03T02:00:00Z",
    }


def test_caps_look_back_at_what_earlier_nights_exported(
    state: StateStore, file_queue: FileQueue
) -> None:
    codes = ("gift", "coupon")
    all_rules = rules(*(campaign(code) for code in codes))
    planned = PLANNED.replace(tzinfo=None)
    for night in range(3):
        day = DAY + timedelta(days=night)
        rows = [
            proposal(1, occasion=f"{night}", planned_at=planned + timedelta(days=night)),
            proposal(2, occasion=f"{night}", planned_at=planned + timedelta(hours=23 * night)),
        ]
        run_id = commit(state, *rows, day=day)
        (batch,) = export(
            state, file_queue, run_id, now=NIGHT + timedelta(hours=22 * night), rules=all_rules
        )
        # Two a week for the first; 23 hours after a message the second gets none, 46 hours after
        # it again.
        assert (batch.exported, dict(batch.suppressed)) == [
            (2, {}),
            (1, {"cap": 1}),
            (1, {"cap": 1}),
        ][night]
    assert events(state, "exported", "suppressed_at_exit") == {
        1: ["exported", "exported", "suppressed_at_exit"],
        2: ["exported", "suppressed_at_exit", "exported"],
    }


def test_two_campaigns_of_one_night_share_the_caps(
    state: StateStore, file_queue: FileQueue
) -> None:
    commit(state, proposal(1))
    commit(state, proposal(1, campaign="coupon"), code="coupon")
    both = rules(campaign(priority=30), campaign("coupon", priority=20))
    batches = {batch.campaign: batch for batch in export(state, file_queue, rules=both)}
    assert batches["coupon"].exported == 1
    assert dict(batches["gift"].suppressed) == {"cap": 1}


def test_people_in_different_arms_at_one_contact_are_flagged_and_not_messaged(
    state: StateStore, file_queue: FileQueue, queue_folder: Path
) -> None:
    commit(state, proposal(1, contact_hash=SHARED), held_out(2, contact_hash=SHARED), proposal(3))
    (batch,) = export(state, file_queue)
    assert (batch.contaminated, dict(batch.suppressed)) == (2, {"contaminated_contact": 1})
    assert queued_members(queue_folder) == [3]
    assert events(state, "contaminated") == {1: ["contaminated"], 2: ["contaminated"]}


def test_somebody_held_out_later_contaminates_who_was_messaged_before(
    state: StateStore, file_queue: FileQueue
) -> None:
    commit(state, proposal(1, contact_hash=SHARED))
    export(state, file_queue)
    run_id = commit(state, held_out(2, contact_hash=SHARED), day=date(2017, 10, 2))
    (batch,) = export(state, file_queue, run_id)
    assert batch.contaminated == 2
    assert events(state, "exported", "contaminated") == {
        1: ["exported", "contaminated"],
        2: ["contaminated"],
    }


def test_a_merged_person_keeps_caps_and_refusals(state: StateStore, file_queue: FileQueue) -> None:
    identity = {member(9): member(1), member(8): member(2)}
    both = (campaign(), campaign("coupon"))
    first = [proposal(number, campaign="coupon") for number in (9, 8)]
    commit(state, *first, code="coupon")
    state.consent.record([ConsentRecord("demo", None, member(2), "sms", "refusal", NIGHT, "form")])
    export(state, file_queue, rules=rules(*both))
    rows = [proposal(1, occasion="x"), proposal(8, occasion="x")]
    run_id = commit(state, *rows, day=date(2017, 10, 2))
    (batch,) = export(state, file_queue, run_id, rules=rules(*both, identity=identity))
    assert dict(batch.suppressed) == {"cap": 1, "refused": 1}


def test_a_lost_lease_stops_before_anything_leaves(
    state: StateStore, file_queue: FileQueue, queue_folder: Path
) -> None:
    commit(state, proposal(1))

    def lost() -> None:
        raise LeaseHeld("ben holds it", where=RUN, next_step="stop")

    with pytest.raises(LeaseHeld):
        export(state, file_queue, still_holding=lost)
    assert queued(queue_folder) == []
    (batch,) = export(state, file_queue)
    assert batch.exported == 1


@pytest.mark.parametrize("reference", ["13800000000", "+86 138-0000-0000", "someone@example.com"])
def test_contact_data_never_leaves_as_a_reference(
    state: StateStore, file_queue: FileQueue, queue_folder: Path, reference: str
) -> None:
    commit(state, proposal(1, contact_ref=reference), proposal(2))
    with pytest.raises(QueueError, match="looks like a phone number") as caught:
        export(state, file_queue)
    assert reference not in str(caught.value)
    assert queued(queue_folder) == []


# --- the file queue in doubt ---------------------------------------------------------------------


def handed_over_but_not_recorded(state: StateStore, queue: FileQueue, *numbers: int) -> None:
    """An export that dies between hand-over and record."""
    commit(state, *(proposal(number) for number in numbers))

    class Died(BaseException):
        pass

    def die(*_: object) -> None:
        raise Died

    real = state.ledger.append_events
    calls = 0

    def append(events: Any) -> int:
        nonlocal calls
        events = list(events)
        calls += 1
        if any(event.event == "exported" for event in events):
            raise Died
        return real(events)

    state.ledger.append_events = append  # type: ignore[method-assign]
    with pytest.raises(Died):
        export(state, queue)
    state.ledger.append_events = real  # type: ignore[method-assign]
    assert calls > 0


def test_a_file_handed_over_before_the_crash_is_recognised(
    state: StateStore, file_queue: FileQueue, queue_folder: Path
) -> None:
    handed_over_but_not_recorded(state, file_queue, 1, 2)
    # Whatever was said since: it has left.
    state.consent.record(
        [ConsentRecord("demo", "hash_1", None, "sms", "refusal", NIGHT, "receipt")]
    )
    (batch,) = export(state, file_queue, now=NIGHT + timedelta(days=1))
    assert (batch.exported, batch.recovered, dict(batch.suppressed)) == (0, 2, {})
    assert queued_members(queue_folder) == [1, 2]
    (sent, _) = state.ledger.exported_to("demo", [member(1), member(2)], [], None)
    assert sent.send_at == PLANNED


def manifest_of(folder: Path) -> Path:
    return folder / "sms" / "gift" / f"{RUN}.manifest.json"


def data_of(folder: Path) -> Path:
    return folder / "sms" / "gift" / f"{RUN}.ndjson"


def test_data_without_manifest_was_never_handed_over(
    state: StateStore, file_queue: FileQueue, queue_folder: Path
) -> None:
    handed_over_but_not_recorded(state, file_queue, 1, 2)
    manifest_of(queue_folder).unlink()
    state.consent.record(
        [ConsentRecord("demo", "hash_1", None, "sms", "refusal", NIGHT, "receipt")]
    )
    (batch,) = export(state, file_queue)
    assert (batch.exported, batch.recovered, dict(batch.suppressed)) == (1, 0, {"refused": 1})
    assert queued_members(queue_folder) == [2]


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: data_of(folder).unlink(),
        lambda folder: data_of(folder).write_text(""),
        lambda folder: data_of(folder).write_text(data_of(folder).read_text().splitlines()[0]),
        lambda folder: manifest_of(folder).write_text("{}"),
        lambda folder: manifest_of(folder).write_text("half"),
    ],
)
def test_a_damaged_hand_over_is_never_repeated_blindly(
    state: StateStore, file_queue: FileQueue, queue_folder: Path, damage: Any
) -> None:
    handed_over_but_not_recorded(state, file_queue, 1, 2)
    damage(queue_folder)
    with pytest.raises(QueueError, match="in doubt"):
        export(state, file_queue)
    assert events(state, "exported") == {}


def test_a_foreign_file_in_the_place_is_never_overwritten(
    state: StateStore, file_queue: FileQueue, queue_folder: Path, tmp_path: Path
) -> None:
    handed_over_but_not_recorded(state, file_queue, 1)
    ids = [proposal(1)["message_id"]]
    state.ledger.append_events(
        MessageEvent(id_, "suppressed_at_exit", NIGHT, RUN, "refused") for id_ in ids
    )
    state.ledger.settle(RUN, "gift")
    content = data_of(queue_folder).read_bytes()
    # The same place again, for other messages: a ledger that was put back to an old copy.
    other = StateStore(f"sqlite:///{tmp_path / 'older.db'}")
    commit(other, proposal(2))
    with pytest.raises(QueueError, match="in doubt"):
        export(other, file_queue)
    assert data_of(queue_folder).read_bytes() == content


def test_the_manifest_describes_the_file(
    state: StateStore, file_queue: FileQueue, queue_folder: Path
) -> None:
    import hashlib

    commit(state, proposal(1), proposal(2))
    export(state, file_queue)
    assert json.loads(manifest_of(queue_folder).read_bytes()) == {
        "format": 1,
        "run_id": RUN,
        "campaign": "gift",
        "channel": "sms",
        "file": f"{RUN}.ndjson",
        "row_count": 2,
        "sha256": hashlib.sha256(data_of(queue_folder).read_bytes()).hexdigest(),
    }
    assert data_of(queue_folder).stat().st_mode & 0o077 == 0


def test_a_full_disk_hands_nothing_over(
    state: StateStore, file_queue: FileQueue, queue_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(state, proposal(1))

    def no_room(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", no_room)
        with pytest.raises(QueueError, match="No space left"):
            export(state, file_queue)
    assert [path.name for path in queue_folder.rglob("*") if path.is_file()] == [".lock"]
    (batch,) = export(state, file_queue)
    assert batch.exported == 1


def test_two_exporters_do_not_share_a_queue(
    state: StateStore, file_queue: FileQueue, queue_folder: Path
) -> None:
    commit(state, proposal(1))
    with (
        FileQueue(queue_folder).open(),
        pytest.raises(QueueError, match="another process is exporting"),
    ):
        export(state, file_queue)


# --- kill -9 -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_export_killed_at_any_point_loses_and_repeats_nothing(
    state: StateStore, file_queue: FileQueue, queue_folder: Path, dialect: str
) -> None:
    """kill -9 at every statement, fsync and rename of an export; then the night runs again.

    On PostgreSQL at every third: what it does differently lies within single statements.
    """
    day = DAY
    recovered = 0
    starts: list[int] = []
    for point in range(0, 200, {"sqlite": 1, "postgresql": 3}[dialect]):
        first = point * 10 + 1
        starts.append(first)
        shared = f"shared {point}"
        rows = [proposal(number) for number in range(first, first + 3)]
        rows += [
            proposal(first + 3, contact_hash=f"refused {point}"),
            proposal(first + 4, contact_hash=shared),
            held_out(first + 5, contact_hash=shared),
        ]
        run_id = commit(state, *rows, day=day)
        refusal = ConsentRecord("demo", f"refused {point}", None, "sms", "refusal", NIGHT, "r")
        state.consent.record([refusal])
        name = kill_at(point, lambda: export(state, file_queue, run_id))  # noqa: B023
        for batch in export(state, file_queue, run_id):
            recovered += batch.recovered
        data = queue_folder / "sms" / "gift" / f"{run_id}.ndjson"
        references = [json.loads(line)["contact_ref"] for line in data.read_bytes().splitlines()]
        assert sorted(references) == sorted(f"tok_{first + n}" for n in range(3)), name
        assert state.ledger.unsettled_batches() == []
        assert export(state, file_queue, run_id) == []
        day += timedelta(days=1)
        if name is None:
            break
    assert 20 < point < 199
    assert recovered > 0
    members = [number for start in starts for number in range(start, start + 3)]
    assert queued_members(queue_folder) == members
    outcome = events(state, "exported", "suppressed_at_exit")
    assert {number for number in outcome if outcome[number] == ["exported"]} == set(members)
    kept = {number for start in starts for number in (start + 3, start + 4)}
    assert {number for number in outcome if outcome[number] == ["suppressed_at_exit"]} == kept
    assert set(outcome) == kept | set(members)


def test_ids_are_told_apart_by_occasion() -> None:
    ids = {
        message_id_of(code, member(number), "sms", occasion)
        for code in ("gift", "coupon")
        for number in (1, 2)
        for occasion in ("a", "b")
    }
    assert len(ids) == 8


def test_now_is_an_instant_anywhere(state: StateStore, file_queue: FileQueue) -> None:
    commit(state, proposal(1))
    local = NIGHT.astimezone(datetime.now().astimezone().tzinfo)
    (batch,) = export(state, file_queue, now=local)
    assert batch.exported == 1


MERGED = {member(2): member(1)}
"""Member 2 has become member 1."""


def test_who_refused_under_a_retired_key_is_not_messaged(
    state: StateStore, file_queue: FileQueue, queue_folder: Path
) -> None:
    commit(state, proposal(1), proposal(3))
    state.consent.record([ConsentRecord("demo", None, member(2), "sms", "refusal", NIGHT, "form")])
    (batch,) = export(state, file_queue, rules=rules(identity=MERGED))
    assert dict(batch.suppressed) == {"refused": 1}
    assert queued_members(queue_folder) == [3]


def test_who_refused_as_one_may_be_messaged_as_the_other_again_after_an_unmerge(
    state: StateStore, file_queue: FileQueue, queue_folder: Path
) -> None:
    commit(state, proposal(1), proposal(2))
    state.consent.record([ConsentRecord("demo", None, member(2), "sms", "refusal", NIGHT, "form")])
    export(state, file_queue, rules=rules(identity={}))
    assert queued_members(queue_folder) == [1]


def test_caps_count_what_both_of_two_merged_members_were_sent(
    state: StateStore, file_queue: FileQueue, queue_folder: Path
) -> None:
    both = (campaign(), campaign("coupon"))
    commit(state, proposal(2, campaign="coupon"), code="coupon")
    export(state, file_queue, rules=rules(*both))
    later = DAY + timedelta(days=1)
    # Within 24 hours of what the other was sent.
    soon = PLANNED + timedelta(hours=23)
    changes = {"occasion": "later", "planned_at": soon.replace(tzinfo=None)}
    run = commit(state, proposal(1, **changes), proposal(3, **changes), day=later)
    merged = rules(*both, identity=MERGED)
    (batch,) = export(state, file_queue, run_id=run, rules=merged, now=NIGHT + timedelta(days=1))
    assert dict(batch.suppressed) == {"cap": 1}
    assert queued_members(queue_folder) == [2, 3]


def test_members_who_were_drawn_apart_before_they_were_merged_are_flagged(
    state: StateStore, file_queue: FileQueue, queue_folder: Path
) -> None:
    commit(state, held_out(1), proposal(2), proposal(3))
    (batch,) = export(state, file_queue, rules=rules(identity=MERGED))
    assert (batch.contaminated, dict(batch.suppressed)) == (2, {"merged_holdout": 1})
    assert queued_members(queue_folder) == [3]
    assert set(events(state, "contaminated")) == {1, 2}
    assert export(state, file_queue, rules=rules(identity=MERGED)) == []
