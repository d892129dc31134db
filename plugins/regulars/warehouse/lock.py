"""One writer: an OS file lock beside the warehouse. The one-slot pool only saves waiting.

The kernel drops the lock when its holder dies, so a killed night never leaves one behind.
"""

import fcntl
import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from regulars.errors import WarehouseLocked

_POLL_SECONDS = 0.1
_FOREIGN_LOCK = re.compile(
    r"could not set lock on file\s+\"(?P<path>[^\"]+)\""
    r"(?:.*?held in\s+(?P<program>\S+)\s+\(PID\s+(?P<pid>\d+)\))?",
    re.IGNORECASE | re.DOTALL,
)
"""What DuckDB says when a process that knows nothing of our lock has the file open."""

_held: set[Path] = set()
_guard = threading.Lock()


@contextmanager
def warehouse_lock(
    warehouse_path: Path,
    *,
    holder: str,
    wait_seconds: float,
    wait: Callable[[float], object] = time.sleep,
) -> Iterator[None]:
    """Hold the warehouse for the length of the ``with`` block; re-entrant within a process.

    Args:
        warehouse_path: the DuckDB file; the lock file stands beside it.
        holder: who asks, for the message that others will read.
        wait_seconds: how long to wait for somebody else.
        wait: sleeps between tries (seconds); tests replace it.

    Raises:
        WarehouseLocked: somebody else held it all the while; names the holder.
    """
    path = warehouse_path.with_suffix(".lock")
    with _guard:
        mine = path in _held
    if mine:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _wait_for(descriptor, path, wait_seconds, wait)
        os.ftruncate(descriptor, 0)
        note = {"holder": holder, "pid": os.getpid(), "host": socket.gethostname()}
        os.pwrite(descriptor, json.dumps(note).encode(), 0)
        with _guard:
            _held.add(path)
        try:
            yield
        finally:
            with _guard:
                _held.discard(path)
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def holder_of(warehouse_path: Path) -> str | None:
    """Who holds the warehouse at this moment; None when nobody does."""
    path = warehouse_path.with_suffix(".lock")
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder_of(descriptor)
    finally:
        os.close(descriptor)
    return None


def _wait_for(
    descriptor: int, path: Path, wait_seconds: float, wait: Callable[[float], object]
) -> None:
    waited = 0.0
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waited >= wait_seconds:
                raise WarehouseLocked(
                    f"{_holder_of(descriptor)} has held the warehouse for {waited:.0f} s and more",
                    where=str(path),
                    next_step="wait for it or stop it, then run the night again; nothing is lost",
                ) from None
            wait(_POLL_SECONDS)
            waited += _POLL_SECONDS
        else:
            return


def foreign_lock(text: str) -> WarehouseLocked | None:
    """The error for a file that a foreign process (a DuckDB shell, a BI tool) has open.

    Args:
        text: DuckDB's message, or that of something that passes it on.

    Returns:
        None when the message is about something else.
    """
    found = _FOREIGN_LOCK.search(text)
    if found is None:
        return None
    program, pid = found["program"], found["pid"]
    holder = f"{Path(program).name} (pid {pid})" if program else "another program"
    return WarehouseLocked(
        f"{holder} has the warehouse open",
        where=found["path"],
        next_step=(
            "close it (readers belong on data/published/current.duckdb) and run the night again; "
            "nothing is lost"
        ),
    )


def _holder_of(descriptor: int) -> str:
    try:
        note = json.loads(os.pread(descriptor, 4096, 0) or b"{}")
    except ValueError:
        note = {}
    if not note:
        return "another process"
    return f"{note.get('holder')} (pid {note.get('pid')} on {note.get('host')})"
