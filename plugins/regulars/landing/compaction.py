"""Compaction: the batches of an old month of a stream become one file, and nothing else changes.

A platform that is asked every quarter of an hour lands 96 batches a day, most of them small. Put
together they take less room, are parsed at once, and stand in a run manifest as one.

The order is what makes it safe to kill: the new data is written, brought to the disk and read back
against every member's checksum; its mark is written; only then do the originals go, each one's
manifest before its data. Before the mark the month is what it was, after it the month is compacted,
and whoever repeats it removes what is left over.
"""

import hashlib
import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import zstandard

from regulars.landing.batches import (
    DATA_SUFFIX,
    MANIFEST_SUFFIX,
    landing_errors,
    list_batches,
    plain_blocks,
    stream_folder,
    verify,
    write_durably,
)
from regulars.landing.compacted import (
    COMPACTED_SUFFIX,
    MARK_SUFFIX,
    CompactedBatch,
    Member,
    marked,
    read_compacted,
)
from regulars.records import BatchManifest
from regulars.settings import Settings

_LEVEL = 9
"""A month is compressed once and read rarely: a third smaller than what lands, at level 1."""
_FRAME_BYTES = 256 * 1024
"""Uncompressed bytes from which on a frame is closed: what is read to find one small member."""


@dataclass(frozen=True)
class Month:
    """The batches of a stream that may stand together.

    Attributes:
        month: ``2017-09``, of their window dates.
        batches: at least two, in order.
    """

    month: str
    batches: tuple[BatchManifest, ...]

    @property
    def folder(self) -> Path:
        """Where the compacted batch stands, relative to the landing folder."""
        one = self.batches[0]
        return stream_folder(one.source, one.platform, one.shop, one.stream) / self.month

    def __str__(self) -> str:
        one = self.batches[0]
        return f"{one.shop}/{one.stream} {self.month}: {len(self.batches):,} batches"


def months_to_compact(settings: Settings, before: date, used: Collection[str]) -> list[Month]:
    """What there is to compact, oldest first.

    Args:
        settings: where landing stands.
        before: first day of the first month that is left as it is.
        used: ids of the batches that a completed night was built on. Others may still be
            withdrawn, so they stay.

    Raises:
        LandingError: a manifest is damaged.
    """
    groups: dict[tuple[str, ...], list[BatchManifest]] = {}
    for one in list_batches(settings):
        if one.stored_in is None and one.window_date < before and one.batch_id in used:
            month = f"{one.window_date:%Y-%m}"
            key = (month, one.source, one.platform, one.brand, one.shop, one.stream)
            groups.setdefault(key, []).append(one)
    return [Month(key[0], tuple(found)) for key, found in sorted(groups.items()) if len(found) > 1]


def compact(
    settings: Settings, month: Month, still_holding: Callable[[], object] = lambda: None
) -> str:
    """Write one compacted batch and remove what it replaces; its id.

    Only for the holder of the run lease.

    Args:
        settings: where landing stands.
        month: of :func:`months_to_compact`.
        still_holding: called now and then, for the lease.

    Raises:
        LandingError: a member is not what its manifest says, or the disk is full; the month stands
            as it was.
    """
    folder = settings.landing_dir / month.folder
    first = month.batches[0]
    named = hashlib.sha256("\n".join(one.batch_id for one in month.batches).encode())
    batch_id = (
        f"{first.shop}-{first.stream}-{month.month.replace('-', '')}-{named.hexdigest()[:16]}"
    )
    data = folder / f"{batch_id}{COMPACTED_SUFFIX}"
    part = data.with_name(f"{data.name}.part")
    with landing_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            written = _write(settings, month, part, still_holding)
            whole = CompactedBatch(
                batch_id=batch_id,
                month=month.month,
                path=str(data.relative_to(settings.landing_dir)),
                sha256=written.sha256,
                record_count=sum(one.record_count for one in month.batches),
                members=tuple(written.members),
            )
            part.replace(data)
            _sync(folder)
        finally:
            part.unlink(missing_ok=True)
        still_holding()
        for member in whole.batches():
            verify(settings, member)
        text = whole.model_dump_json(exclude_defaults=True).encode() + b"\n"
        write_durably(folder / f"{batch_id}{MARK_SUFFIX}", text)
    _remove_originals(settings, whole.batches())
    return batch_id


class _Written:
    """A compacted file that is being written: frames, and where each member stands in them."""

    def __init__(self) -> None:
        self.members: list[Member] = []
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def add(self, data: bytes) -> bytes:
        self._hash.update(data)
        return data


def _write(
    settings: Settings, month: Month, part: Path, still_holding: Callable[[], object]
) -> _Written:
    written = _Written()
    with part.open("wb") as file:
        packer = zstandard.ZstdCompressor(level=_LEVEL)
        left = list(enumerate(month.batches, start=1))
        while left:
            still_holding()
            frame, start = file.tell(), 0
            with packer.stream_writer(file, closefd=False) as stream:
                while left and start < _FRAME_BYTES:
                    number, batch = left.pop(0)
                    size = 0
                    for line in _lines(settings, batch):
                        size += len(line := written.add(marked(number, line)))
                        stream.write(line)
                    written.members.append(
                        Member(batch=batch, number=number, frame=frame, start=start, size=size)
                    )
                    start += size
        file.flush()
        os.fsync(file.fileno())
    return written


def _sync(folder: Path) -> None:
    """Bring a folder's names to the disk: the mark may not come before the data."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lines(settings: Settings, batch: BatchManifest) -> Iterator[bytes]:
    rest = b""
    for block in plain_blocks(settings.landing_dir, batch):
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield line + b"\n"


def _remove_originals(settings: Settings, members: Iterator[BatchManifest]) -> int:
    """Remove what stands in a compacted batch by now; how many batches stood twice."""
    removed = 0
    for member in members:
        data = settings.landing_dir / member.path
        mark = data.with_name(data.name.removesuffix(DATA_SUFFIX) + MANIFEST_SUFFIX)
        with landing_errors(data):
            if mark.exists() or data.exists():
                removed += 1
            mark.unlink(missing_ok=True)
            data.unlink(missing_ok=True)
            # Nothing else stands in the folder of a day of which everything was compacted.
            if data.parent.is_dir() and not any(data.parent.iterdir()):
                data.parent.rmdir()
    return removed


def finish_compaction(settings: Settings) -> int:
    """Remove what a killed compaction left behind; how many files and batches.

    Only for the holder of the run lease.

    Raises:
        LandingError: a mark is damaged, or a folder cannot be written.
    """
    removed = 0
    streams = "*/*/*/*/????-??"
    with landing_errors(settings.landing_dir):
        for data in sorted(settings.landing_dir.glob(f"{streams}/*{COMPACTED_SUFFIX}")):
            if not data.with_name(data.name.removesuffix(COMPACTED_SUFFIX) + MARK_SUFFIX).exists():
                data.unlink(missing_ok=True)
                removed += 1
        for path in sorted(settings.landing_dir.glob(f"{streams}/*.part")):
            path.unlink(missing_ok=True)
            removed += 1
        for mark in sorted(settings.landing_dir.glob(f"{streams}/*{MARK_SUFFIX}")):
            removed += _remove_originals(settings, iter(read_compacted(mark).values()))
    return removed
