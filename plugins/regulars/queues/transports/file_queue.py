"""The embedded queue: one file and one manifest per channel, campaign and night.

``<channel>/<campaign>/<run_id>.ndjson`` holds the rows, ``<run_id>.manifest.json`` beside it is
written last: a sender takes a file when its manifest is there and the sha256 is right, reads it,
and leaves both where they are. A night that died between manifest and ledger recognises its own
file and hands nothing over again.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from regulars.errors import QueueError
from regulars.queues.transports.handover import BatchName, QueueRow

QueueRecord = Mapping[str, Any]
"""A row of a queue file, as it stands there."""


class FileQueue:
    """Files below ``root``."""

    rows_per_handover: int | None = None

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def open(self) -> Iterator["FileQueue"]:
        """Hold the queue: one exporter at a time, freed by the system when it dies.

        Raises:
            QueueError: somebody else exports, or the folder cannot be written.
        """
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (self._root / ".lock").open("a")
        except OSError as error:
            raise _unwritable(self._root, error) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise QueueError(
                    "another process is exporting into this queue",
                    where=str(self._root),
                    next_step="wait until it has ended",
                ) from None
            yield self

    def handed_over(self, batch: BatchName, message_ids: Sequence[str]) -> dict[str, datetime]:
        """The rows of the batch's file, when its manifest is there.

        Raises:
            QueueError: file and manifest do not belong together, or hold other messages.
        """
        data, manifest = self._paths(batch)
        if not manifest.exists():
            return {}
        try:
            content = data.read_bytes()
            expected = json.loads(manifest.read_bytes())["sha256"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _doubtful(data, "it or its manifest cannot be read") from error
        if hashlib.sha256(content).hexdigest() != expected:
            raise _doubtful(data, "its content is not what its manifest says")
        rows = [json.loads(line) for line in content.splitlines()]
        found = {row["message_id"]: datetime.fromisoformat(row["send_at"]) for row in rows}
        if not set(found) <= set(message_ids):
            raise _doubtful(data, "it holds messages that the ledger has settled otherwise")
        return found

    def hand_over(self, batch: BatchName, rows: Sequence[QueueRow]) -> str:
        """Write file and manifest, each at once and for good; returns the file's path.

        Raises:
            QueueError: the batch was handed over before, or the disk refused.
        """
        data, manifest = self._paths(batch)
        if manifest.exists():
            raise _doubtful(data, "it was handed over before with other messages")
        content = "".join(f"{row.as_json()}\n" for row in rows).encode()
        described = {
            "format": 1,
            "run_id": batch.run_id,
            "campaign": batch.campaign,
            "channel": batch.channel,
            "file": data.name,
            "row_count": len(rows),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        try:
            data.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_at_once(data, content)
            _write_at_once(manifest, f"{json.dumps(described, indent=2)}\n".encode())
        except OSError as error:
            raise _unwritable(data, error) from error
        return str(data)

    def take_out(self, is_theirs: Callable[[QueueRecord], bool], erasure_id: str) -> int:
        """Take rows out of files that were handed over, and say so in their manifests; how many.

        Data first, manifest after it: a sender who looks in between finds a sha256 that is not
        right and leaves the file alone, and a repetition mends it.

        Raises:
            QueueError: a file and its manifest do not belong together, or cannot be written.
        """
        removed = 0
        for manifest in sorted(self._root.rglob("*.manifest.json")):
            data = manifest.with_name(manifest.name.replace(".manifest.json", ".ndjson"))
            try:
                described = json.loads(manifest.read_bytes())
                content = data.read_bytes()
                lines = content.splitlines(keepends=True)
                kept = [line for line in lines if not is_theirs(json.loads(line))]
                found = int(described["row_count"]) - len(kept)
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise _doubtful(data, "it or its manifest cannot be read") from error
            was_right = hashlib.sha256(content).hexdigest() == described["sha256"]
            if len(kept) == len(lines) and was_right:
                continue
            # Left by an erasure that was killed: fewer rows than the manifest says, none theirs.
            was_killed = described.get("pending") == erasure_id and found > 0
            if not (was_right or was_killed):
                raise _doubtful(data, "its content is not what its manifest says")
            left = b"".join(kept)
            erased = {**described.get("erased", {}), erasure_id: found}
            try:
                if was_right:
                    pending = {**described, "pending": erasure_id}
                    _write_at_once(manifest, f"{json.dumps(pending, indent=2)}\n".encode())
                    _write_at_once(data, left)
                described.pop("pending", None)
                described |= {
                    "row_count": len(kept),
                    "sha256": hashlib.sha256(left).hexdigest(),
                    "erased": erased,
                }
                _write_at_once(manifest, f"{json.dumps(described, indent=2)}\n".encode())
            except OSError as error:
                raise _unwritable(data, error) from error
            removed += found
        # Of an export that was killed: it was never handed over, and its night writes it anew.
        for part in [*self._root.rglob("*.part"), *self._unfinished()]:
            part.unlink(missing_ok=True)
        return removed

    def _unfinished(self) -> list[Path]:
        return [
            data
            for data in self._root.rglob("*.ndjson")
            if not data.with_name(f"{data.stem}.manifest.json").exists()
        ]

    def _paths(self, batch: BatchName) -> tuple[Path, Path]:
        folder = self._root / batch.channel / batch.campaign
        return folder / f"{batch.run_id}.ndjson", folder / f"{batch.run_id}.manifest.json"


def _write_at_once(path: Path, content: bytes) -> None:
    """The whole content under its name, on the disk, or nothing."""
    part = path.with_name(path.name + ".part")
    try:
        # Queue rows name persons by token: nobody but the owner needs to read them.
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _unwritable(path: Path, error: OSError) -> QueueError:
    return QueueError(
        f"the queue cannot be written: {error.strerror}",
        where=str(path),
        next_step="make room or give access, then run the night again; nothing was handed over",
    )


def _doubtful(path: Path, why: str) -> QueueError:
    return QueueError(
        f"the queue file is in doubt: {why}",
        where=str(path),
        next_step="ask its sender what was sent; only when nothing was, remove file and manifest "
        "and run the night again",
    )
