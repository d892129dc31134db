"""Other processes for tests: raced against each other, or killed at a chosen point.

Children are forked: a state store holds no connection between calls, so nothing is shared.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlalchemy import event
from sqlalchemy.engine import Engine


def race(*contenders: Callable[[], str]) -> list[str]:
    """Run each contender in a process of its own, all let go at once; what they returned.

    An exception is returned as its class name.
    """
    start_read, start_write = os.pipe()
    children = []
    for contender in contenders:
        result_read, result_write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(start_write)
            os.read(start_read, 1)  # returns when the parent closes the last writing end
            try:
                answer = contender()
            except BaseException as error:
                answer = type(error).__name__
            os.write(result_write, answer.encode())
            os._exit(0)
        os.close(result_write)
        children.append((pid, result_read))
    os.close(start_read)
    os.close(start_write)
    answers = []
    for pid, result_read in children:
        with os.fdopen(result_read) as pipe:
            answers.append(pipe.read())
        os.waitpid(pid, 0)
    return answers


def kill_at(point: int, action: Callable[[], object]) -> str | None:
    """Run ``action`` in a process and kill -9 it at its ``point``-th step (from 0).

    Returns:
        The name of the step, or None when the action ended before it came to it.
    """
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)

        def pause(number: int, name: str) -> None:
            if number == point:
                os.write(write, f"{name}\n".encode())
                signal.pause()

        with steps(pause):
            action()
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        name = pipe.readline().strip()
        if name:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    if name:
        assert os.WIFSIGNALED(status)
        return name
    assert os.waitstatus_to_exitcode(status) == 0
    return None


@contextmanager
def steps(reached: Callable[[int, str], None]) -> Iterator[None]:
    """Call ``reached(number, name)`` before and after everything that lasts: SQL, files."""
    number = 0

    def at(name: str) -> None:
        nonlocal number
        number, reached_now = number + 1, number
        reached(reached_now, name)

    def before_sql(*arguments: Any) -> None:
        at(f"before {arguments[2][:40]}")

    def before_commit(_connection: Any) -> None:
        at("before commit")

    real_replace, real_fsync = Path.replace, os.fsync

    def replace(path: Path, target: Path) -> Path:
        at(f"before rename to {target.name}")
        result = real_replace(path, target)
        at(f"after rename to {target.name}")
        return result

    def fsync(descriptor: int) -> None:
        at("before fsync")
        real_fsync(descriptor)

    event.listen(Engine, "before_cursor_execute", before_sql)
    event.listen(Engine, "commit", before_commit)
    try:
        with patch.object(Path, "replace", replace), patch.object(os, "fsync", fsync):
            yield
    finally:
        event.remove(Engine, "before_cursor_execute", before_sql)
        event.remove(Engine, "commit", before_commit)
