"""Duplicates, any order, several processes, and a process that is killed at any moment."""

import json
import os
import shutil
import signal
import tempfile
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.receiving.intake import Intake
from tests.receiving.service import (
    NOW,
    SECRETS,
    Office,
    Service,
    aliyun,
    aliyun_reply,
    running,
    unique,
)
from tests.state.processes import kill_at, race

MEMBERS = 4
pushes = st.lists(
    st.lists(st.tuples(st.integers(1, MEMBERS), st.booleans()), max_size=4), min_size=1, max_size=5
)


def body_of(push: list[tuple[int, bool]], ids: list[str]) -> list[dict[str, Any]]:
    """Replies and deliveries, as one provider pushes them."""
    return [
        aliyun_reply("R", number) if is_reply else aliyun(ids[number - 1], number)
        for number, is_reply in push
    ]


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """An installation to copy that has sent to every member, and the ids of the messages."""
    root = tmp_path_factory.mktemp("sent")
    ids = Office(root).send(*range(1, MEMBERS + 1))
    return root, ids


@settings(max_examples=15, deadline=None)
@given(pushes, st.randoms(use_true_random=False))
def test_any_order_and_any_repetition_comes_to_the_same(
    sent: tuple[Path, list[str]], wanted: list[list[tuple[int, bool]]], random: Any
) -> None:
    base, ids = sent
    order = wanted * 2
    random.shuffle(order)
    with tempfile.TemporaryDirectory() as folder:
        office = Office(shutil.copytree(base, Path(folder) / "copy"))
        for push in order:
            office.take("aliyun", body_of(push, ids))
        told = {report for push in wanted for report in push}
        assert len(unique(office.landed())) == len(told)
        assert len(office.batches) == len({json.dumps(push) for push in wanted if push})
        refused = {row["member_key"].int for row in office.refusals()}
        assert refused == {number for number, is_reply in told if is_reply}
        assert len(office.refusals()) == len(refused)
        assert office.put_aside() == []


def test_processes_that_take_the_same_push_at_once_make_one_batch(office: Office) -> None:
    ids = office.send(1, 2, 3)
    bodies = [
        [aliyun(ids[0], 1), aliyun_reply("R", 1), aliyun("0" * 32)],
        [aliyun(ids[1], 2), aliyun_reply("R", 2)],
        [aliyun(ids[2], 3)],
    ]

    def push(first: int) -> str:
        for body in bodies[first:] + bodies[:first]:
            office.take("aliyun", body)
        return "done"

    assert race(*(partial(push, number % 3) for number in range(6))) == ["done"] * 6
    assert len(office.batches) == 3
    assert len(unique(office.landed())) == len(office.landed()) == 5
    assert len(office.put_aside()) == 1
    assert len(office.refusals()) == 2
    assert office.files().count("ndjson.zst.part") == 0


def test_threads_of_the_service_that_take_the_same_push_make_one_batch(service: Service) -> None:
    (message_id,) = service.office.send(1)
    content = json.dumps([aliyun(message_id), aliyun_reply("R")]).encode()

    def push() -> str:
        headers = {"Content-Type": "application/json"}
        url = f"http://127.0.0.1:{service.port}{service.path('aliyun')}"
        return str(httpx.post(url, content=content, headers=headers, timeout=20).status_code)

    assert race(*[push] * 6) == ["200"] * 6
    assert len(service.office.batches) == 1
    assert len(service.office.refusals()) == 1


@pytest.mark.slow
def test_killed_at_every_step_a_push_that_comes_again_is_whole(
    sent: tuple[Path, list[str]], tmp_path: Path
) -> None:
    base, ids = sent
    body = [aliyun(ids[0]), aliyun_reply("R"), aliyun("0" * 32)]
    names: list[str] = []
    for point in count():
        office = Office(shutil.copytree(base, tmp_path / str(point)))
        name = kill_at(point, partial(office.take, "aliyun", body))
        is_landed = bool(office.batches)
        assert office.refusals() or not is_landed, f"landed before it refused: {name}"
        office.take("aliyun", body)
        (batch,) = office.batches
        assert (batch.record_count, batch.quarantined_count) == (2, 1), name
        assert len(office.refusals()) == 1, name
        assert office.files() == ["manifest.json", "ndjson.zst", "ndjson.zst"], name
        if name is None:
            break
        names.append(name)
    assert sum("rename" in name for name in names) >= 6
    assert any("before commit" in name for name in names)


def test_killed_between_landing_and_answer_the_provider_repeats_and_there_is_one_batch(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    (message_id,) = office.send(1)
    real = Intake.take

    def take_and_die(*arguments: Any) -> None:
        real(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        monkeypatch.setattr(Intake, "take", take_and_die)
        with running(office) as service:
            os.write(writing, f"{service.port}\n".encode())
            signal.pause()
    os.close(writing)
    with os.fdopen(reading) as pipe:
        port = int(pipe.readline())
    content = json.dumps([aliyun(message_id), aliyun_reply("R")]).encode()
    headers = {"Content-Type": "application/json"}
    path = f"/receipts/aliyun_sms/{SECRETS['aliyun']}"
    with pytest.raises(httpx.HTTPError):
        httpx.post(f"http://127.0.0.1:{port}{path}", content=content, headers=headers, timeout=20)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert len(office.batches) == 1
    with running(office) as service:
        assert service.push("aliyun", content).status_code == 200
    assert len(office.batches) == 1
    assert len(office.landed()) == 2
    assert len(office.refusals()) == 1
    assert office.now == NOW
