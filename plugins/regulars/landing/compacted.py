"""What a compacted month looks like on disk, and reading it.

A compacted batch is two files in ``<stream>/<year>-<month>/``: ``<id>.compacted.zst`` holds the
lines of many batches, ``<id>.compacted.json`` says whose they are, and is its commit mark. Every
line begins with the number of its member, ``{"_member":7,"_line":1,...``, so the file is parsed
once for all of them; without that beginning it is the line that landed, byte by byte, which is what
the member's own checksum is of. Small members share a compressed frame, each frame can be read by
itself.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import zstandard
from pydantic import BaseModel, ConfigDict, ValidationError

from regulars.errors import LandingError
from regulars.records import BatchManifest, StoredIn

COMPACTED_SUFFIX = ".compacted.zst"
MARK_SUFFIX = ".compacted.json"
_BLOCK = 1 << 20
_MONTHS_REMEMBERED = 512


class Member(BaseModel):
    """One batch that was compacted: its manifest, and where its lines stand."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch: BatchManifest
    number: int
    frame: int
    start: int
    size: int


class CompactedBatch(BaseModel):
    """The mark of a compacted batch.

    Attributes:
        batch_id: its name, which run manifests list in place of its members'.
        month: ``2017-09``, the month of the members' window dates.
        path: the data file, relative to the landing folder.
        sha256: of the whole uncompressed content.
        record_count: lines in it.
        members: every batch in it, in the order of their lines.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch_id: str
    month: str
    path: str
    sha256: str
    record_count: int
    members: tuple[Member, ...]

    def batches(self) -> Iterator[BatchManifest]:
        """The members' manifests, each saying where its content stands."""
        for one in self.members:
            place = StoredIn(
                batch_id=self.batch_id,
                sha256=self.sha256,
                path=self.path,
                members=len(self.members),
                number=one.number,
                frame=one.frame,
                start=one.start,
                size=one.size,
            )
            yield one.batch.model_copy(update={"stored_in": place})


def read_compacted(mark: Path) -> dict[str, BatchManifest]:
    """The batches that a compacted one holds, by id.

    Raises:
        LandingError: the mark is damaged.
        OSError: it cannot be read.
    """
    state = mark.stat()
    return _read(mark, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=_MONTHS_REMEMBERED)
def _read(mark: Path, _changed: int, _size: int) -> dict[str, BatchManifest]:
    try:
        found = CompactedBatch.model_validate_json(mark.read_bytes())
    except ValidationError:
        raise LandingError(
            "the manifest of a compacted batch is damaged",
            where=str(mark),
            next_step="restore the file from a backup; landing is immutable",
        ) from None
    return {batch.batch_id: batch for batch in found.batches()}


def members_below(folder: Path, pattern: str = "*") -> Iterator[dict[str, BatchManifest]]:
    """The members of each compacted batch whose folder below ``folder`` matches a pattern.

    Raises:
        LandingError: a mark is damaged.
        OSError: one cannot be read.
    """
    for mark in sorted(folder.glob(f"{pattern}/*{MARK_SUFFIX}")):
        yield read_compacted(mark)


def find_member(stream_folder: Path, month: str, batch_id: str) -> BatchManifest | None:
    """A batch of a stream among the compacted ones of its month, or None.

    Raises:
        LandingError: a mark is damaged.
        OSError: one cannot be read.
    """
    for members in members_below(stream_folder, month):
        if batch_id in members:
            return members[batch_id]
    return None


def marked(number: int, line: bytes) -> bytes:
    """A landed line (a JSON object) with the number of its member in front."""
    return b'{"_member":%d,%b' % (number, line[1:])


def member_lines(landing_dir: Path, place: StoredIn) -> Iterator[bytes]:
    """The lines of a member as they landed, each with its end; memory stays bounded.

    Raises:
        LandingError: they are not what the mark says.
        OSError: the file cannot be read.
        zstandard.ZstdError: it is damaged.
    """
    if not place.size:
        return
    mark = b'{"_member":%d,' % place.number
    with (landing_dir / place.path).open("rb") as file:
        rest = b""
        for block in _member_blocks(file, place):
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                if not line.startswith(mark):
                    raise _damaged(place)
                yield b"{" + line[len(mark) :] + b"\n"
    if rest:
        raise _damaged(place)


def _member_blocks(file: BinaryIO, place: StoredIn) -> Iterator[bytes]:
    file.seek(place.frame)
    left = place.size
    skip = place.start
    with zstandard.ZstdDecompressor().stream_reader(file, closefd=False) as stream:
        while skip:
            passed = stream.read(min(skip, _BLOCK))
            if not passed:
                raise _damaged(place)
            skip -= len(passed)
        while left:
            block = stream.read(min(left, _BLOCK))
            if not block:
                raise _damaged(place)
            left -= len(block)
            yield block


def _damaged(place: StoredIn) -> LandingError:
    return LandingError(
        "the compacted batch's data is damaged",
        where=place.path,
        next_step="restore the file from a backup; landing is immutable",
    )
