"""Who was erased leaves the queue: what waits is kept back, what lies in files is taken out."""

import json
from itertools import count
from pathlib import Path

import pytest

from regulars.errors import QueueError
from regulars.queues.erase import take_out_of_queue
from regulars.queues.transports import FileQueue
from regulars.state import ErasedKeys, StateStore
from tests.queues.shop import NIGHT, queued_members
from tests.queues.test_exit import message, reasons
from tests.queues.test_export import RUN, commit, export
from tests.state.processes import kill_at
from tests.state.rows import member, proposal

PERSON = ErasedKeys(members=frozenset({member(1)}), contacts=frozenset({"hash_1"}))


def erase(state: StateStore, wanted: ErasedKeys = PERSON) -> str:
    erasure = state.erasures.record(
        wanted, route="buyer_id", request="ticket 1", requested_by="somebody", now=NIGHT
    )
    return erasure.erasure_id


def take_out(folder: Path, state: StateStore, erasure_id: str) -> int | None:
    messages = state.erasures.keys(erasure_id=erasure_id).messages
    return take_out_of_queue(f"file://{folder}", messages, erasure_id)


def manifest(folder: Path) -> dict[str, object]:
    [path] = folder.rglob("*.manifest.json")
    return json.loads(path.read_bytes())


def test_rows_are_taken_out_and_the_manifest_says_so(
    state: StateStore, file_queue: FileQueue, queue_folder: Path
) -> None:
    commit(state, proposal(1), proposal(2))
    export(state, file_queue)
    erasure_id = erase(state)
    assert take_out(queue_folder, state, erasure_id) == 1
    assert queued_members(queue_folder) == [2]
    told = manifest(queue_folder)
    assert told["row_count"] == 1 and told["erased"] == {erasure_id: 1}
    assert "pending" not in told
    [path] = queue_folder.rglob("*.ndjson")
    assert b"tok_1" not in path.read_bytes()
    assert take_out(queue_folder, state, erasure_id) == 0
    assert manifest(queue_folder) == told


def test_the_file_is_still_recognised_as_handed_over(
    state: StateStore, file_queue: FileQueue, queue_folder: Path, monkeypatch
) -> None:
    """The night died between file and ledger; the erasure comes before its repetition."""
    commit(state, proposal(1), proposal(2))
    monkeypatch.setattr(type(state.ledger), "settle", lambda *_: (_ for _ in ()).throw(OSError))
    with pytest.raises(OSError):
        export(state, file_queue)
    monkeypatch.undo()
    take_out(queue_folder, state, erase(state))
    export(state, file_queue)
    assert queued_members(queue_folder) == [2]
    assert state.ledger.unsettled_batches() == []


def test_a_message_that_waits_is_kept_back_as_erased(
    state: StateStore, file_queue: FileQueue, queue_folder: Path
) -> None:
    commit(state, proposal(1), proposal(2))
    erase(state)
    (batch,) = export(state, file_queue)
    assert (batch.exported, dict(batch.suppressed)) == (1, {})
    assert queued_members(queue_folder) == [2]
    assert state.ledger.settle(RUN, "gift") == (1, 1)


def test_a_contact_that_was_erased_is_never_sent_to_for_anybody(
    state: StateStore, file_queue: FileQueue, queue_folder: Path
) -> None:
    erase(state)
    commit(state, proposal(5, contact_hash="hash_1"), proposal(6))
    (batch,) = export(state, file_queue)
    assert dict(batch.suppressed) == {"erased": 1}
    assert queued_members(queue_folder) == [6]


def test_erased_comes_before_every_other_reason() -> None:
    told = reasons(message(1), message(2), erased=frozenset({"hash_1"}), campaigns={})
    assert told == ["stopped", "stopped"]
    assert reasons(message(1), message(2), erased=frozenset({"hash_1"})) == ["erased", None]


@pytest.mark.slow
def test_an_erasure_killed_anywhere_in_the_queue_is_finished_by_the_next(
    state: StateStore, file_queue: FileQueue, queue_folder: Path
) -> None:
    commit(state, proposal(1), proposal(2))
    export(state, file_queue)
    erasure_id = erase(state)
    kept = {path: path.read_bytes() for path in queue_folder.rglob("sms/gift/*")}
    for point in count():
        for path, content in kept.items():
            path.write_bytes(content)
        killed = kill_at(point, lambda: take_out(queue_folder, state, erasure_id))
        take_out(queue_folder, state, erasure_id)
        assert queued_members(queue_folder) == [2], killed
        assert manifest(queue_folder)["erased"] == {erasure_id: 1}
        assert export(state, file_queue) == []
        if killed is None:
            break
    assert point > 5


def test_a_file_that_somebody_changed_is_named_and_left_alone(
    state: StateStore, file_queue: FileQueue, queue_folder: Path
) -> None:
    commit(state, proposal(1), proposal(2))
    export(state, file_queue)
    [path] = queue_folder.rglob("*.ndjson")
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    content = path.read_bytes()
    with pytest.raises(QueueError, match="in doubt"):
        take_out(queue_folder, state, erase(state))
    assert path.read_bytes() == content


def test_a_broker_gives_nothing_back() -> None:
    assert take_out_of_queue("redis://127.0.0.1:1/0", ["a"], "erasure-000001") is None
