"""The landing folder: writing a batch so that it is there whole or not at all, finding, verifying.

A batch is two files, data and manifest; the manifest is written last and is the commit mark. Data
without a manifest, and anything named ``.part``, is debris of a killed run. Batches of old months
stand together in one file (regulars.landing.compacted) and are listed and read like any other.

A batch is named after its content, so the same content landed twice is one batch: the SHA-256 of
the dropped file, or of what an API gave for a window (the landed lines, the quarantined ones if
any, and the window's ends).
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
import zstandard
from pydantic import ValidationError

from regulars import __version__
from regulars.errors import LandingError
from regulars.landing.compacted import find_member, member_lines, members_below
from regulars.records import BatchManifest, Window
from regulars.settings import Settings

DATA_SUFFIX = ".ndjson.zst"
MANIFEST_SUFFIX = ".manifest.json"
_LEVEL = 1
_REASONS_LISTED = 50
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """Where the batches of one stream and date stand."""

    source: str
    brand: str
    platform: str
    shop: str
    stream: str
    window_date: date

    @property
    def folder(self) -> Path:
        """Folder relative to the landing (or quarantine) folder."""
        return stream_folder(self.source, self.platform, self.shop, self.stream) / str(
            self.window_date
        )

    def __str__(self) -> str:
        return f"{self.shop}/{self.stream} {self.window_date}"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a batch comes from.

    Attributes:
        name: ``api``, or the name of the dropped file.
        extracted_at: when it was taken from the source (aware, UTC).
        window: the span asked for, for an API.
        sha256: of the dropped file.
    """

    name: str
    extracted_at: datetime
    window: Window | None = None
    sha256: str | None = None


def stream_folder(source: str, platform: str, shop: str, stream: str) -> Path:
    """Folder of a stream's dates, relative to the landing (or quarantine) folder."""
    return Path(source) / platform / shop / stream


@contextmanager
def landing_errors(where: object) -> Iterator[None]:
    """Turn errors of the file system into LandingError that names the place."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            what, step = "no space is left on the disk", "free space, then run the night again"
        else:
            what = f"the landing folder cannot be used: {error.strerror or type(error).__name__}"
            step = "check the folder and its permissions, then run the night again"
        raise LandingError(what, where=str(error.filename or where), next_step=step) from error


class _PartFile:
    """A compressed file that is still being written, with the hash of its plain content."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.hash = hashlib.sha256()
        self.count = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb")
        self._stream = zstandard.ZstdCompressor(level=_LEVEL).stream_writer(
            self._file, closefd=False
        )

    def write(self, data: bytes | memoryview, count: int) -> None:
        self.hash.update(data)
        self._stream.write(data)
        self.count += count

    def finish(self) -> None:
        self._stream.flush(zstandard.FLUSH_FRAME)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def discard(self) -> None:
        # The descriptor first: closing the stream would try to write on a full disk again.
        with suppress(OSError):
            self._file.close()
        self.path.unlink(missing_ok=True)


class BatchWriter:
    """Writes one batch. Use with ``with``: leaving without :meth:`commit` leaves nothing."""

    def __init__(self, settings: Settings, place: Place, run_id: str) -> None:
        self._settings = settings
        self._place = place
        name = f"{place.stream}-{run_id}-{os.getpid()}"
        self._folder = settings.landing_dir / place.folder
        self._quarantine_folder = settings.quarantine_dir / place.folder
        self._quarantine_part = self._quarantine_folder / f"{name}{DATA_SUFFIX}.part"
        self._bad: _PartFile | None = None
        self._reasons: dict[str, int] = {}
        self._unknown: dict[str, int] = {}
        self.key_id: str | None = None
        self.unread_count = 0
        """Places that the source could not read; set it before :meth:`commit`."""
        self.given_up_count = 0
        """Places that it could not read the second time either; set it before :meth:`commit`."""
        self.was_known = False
        """Whether :meth:`commit` found an equal batch that had landed before."""
        with landing_errors(self._folder):
            self._good = _PartFile(self._folder / f"{name}{DATA_SUFFIX}.part")

    def __enter__(self) -> "BatchWriter":
        return self

    def __exit__(self, *_: object) -> None:
        with landing_errors(self._folder):
            self._good.discard()
            if self._bad is not None:
                self._bad.discard()

    @property
    def record_count(self) -> int:
        """Records written so far, quarantined ones left out."""
        return self._good.count

    @property
    def quarantined_count(self) -> int:
        """Records quarantined so far."""
        return self._bad.count if self._bad else 0

    def write(self, lines: bytes | memoryview, count: int) -> None:
        """Add ``count`` finished NDJSON lines.

        Raises:
            LandingError: the disk is full or the folder cannot be written.
        """
        with landing_errors(self._good.path):
            self._good.write(lines, count)

    def quarantine(self, line: int, reasons: list[str], payload: dict[str, Any]) -> None:
        """Put one record aside, with its line and why; its contacts are tokenised already.

        Raises:
            LandingError: the disk is full or the folder cannot be written.
        """
        data = orjson.dumps({"_line": line, "_reasons": reasons, **payload}) + b"\n"
        with landing_errors(self._quarantine_part):
            if self._bad is None:
                self._bad = _PartFile(self._quarantine_part)
            self._bad.write(data, 1)
        for reason in dict.fromkeys(reasons):
            if reason not in self._reasons and len(self._reasons) >= _REASONS_LISTED:
                reason = "other reasons"
            self._reasons[reason] = self._reasons.get(reason, 0) + 1

    def count_unknown(self, name: str, records: int) -> None:
        """Note that ``records`` landed records carried a field that the model does not know."""
        if records:
            self._unknown[name] = self._unknown.get(name, 0) + records

    def commit(self, origin: Origin) -> BatchManifest:
        """Finish the batch; the manifest that stands in landing afterwards.

        The manifest of an equal batch that landed earlier is returned as it is.

        Raises:
            LandingError: the disk is full or the folder cannot be written.
        """
        with landing_errors(self._good.path):
            self._good.finish()
            if self._bad is not None:
                self._bad.finish()
            batch_id = self._batch_id(origin)
            marker = self._folder / f"{batch_id}{MANIFEST_SUFFIX}"
            if (known := find_landed(self._settings, self._place.folder, batch_id)) is not None:
                self.was_known = True
                return known
            manifest = self._manifest(batch_id, origin)
            if self._bad is not None:
                _settle(self._bad.path, self._quarantine_folder / f"{batch_id}{DATA_SUFFIX}")
            _settle(self._good.path, self._folder / f"{batch_id}{DATA_SUFFIX}")
            write_durably(marker, manifest.model_dump_json(indent=1).encode() + b"\n")
            return manifest

    def _batch_id(self, origin: Origin) -> str:
        content = origin.sha256
        if content is None:
            whole = self._good.hash.copy()
            if self._bad is not None:
                # Else records that were all refused would look like an empty answer.
                whole.update(b"quarantined:" + self._bad.hash.digest())
            if origin.window is not None:
                # Two empty windows are two things that are known.
                ends = (origin.window.start, origin.window.end)
                whole.update("/".join(end.astimezone(UTC).isoformat() for end in ends).encode())
            content = whole.hexdigest()
        return batch_id_of(self._place.shop, self._place.stream, self._place.window_date, content)

    def _manifest(self, batch_id: str, origin: Origin) -> BatchManifest:
        place = self._place
        return BatchManifest(
            batch_id=batch_id,
            source=place.source,
            brand=place.brand,
            platform=place.platform,
            shop=place.shop,
            stream=place.stream,
            window_date=place.window_date,
            window_start=origin.window.start if origin.window else None,
            window_end=origin.window.end if origin.window else None,
            path=str(place.folder / f"{batch_id}{DATA_SUFFIX}"),
            sha256=self._good.hash.hexdigest(),
            origin=origin.name,
            origin_sha256=origin.sha256,
            record_count=self.record_count,
            quarantined_count=self.quarantined_count,
            quarantine_reasons=dict(sorted(self._reasons.items())),
            unread_count=self.unread_count,
            given_up_count=self.given_up_count,
            unknown_fields=dict(sorted(self._unknown.items())),
            key_id=self.key_id,
            extracted_at=origin.extracted_at,
            code_version=__version__,
        )


def batch_id_of(shop: str, stream: str, window_date: date, content_sha256: str) -> str:
    """Name of a batch: shop, stream, date, and the first 16 hex digits of its content's SHA-256."""
    return f"{shop}-{stream}-{window_date:%Y%m%d}-{content_sha256[:16]}"


def write_durably(path: Path, data: bytes) -> None:
    """Write a whole file so that it is there completely or not at all, even after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _settle(part, path)
    finally:
        part.unlink(missing_ok=True)


def _settle(part: Path, path: Path) -> None:
    part.replace(path)
    _fsync_folder(path.parent)


def _fsync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def find_landed(settings: Settings, folder: Path, batch_id: str) -> BatchManifest | None:
    """The batch of this name, compacted or not, or None.

    Args:
        settings: where landing stands.
        folder: of its stream and window date, relative to the landing folder.
        batch_id: its name.

    Raises:
        LandingError: its manifest is damaged.
    """
    marker = settings.landing_dir / folder / f"{batch_id}{MANIFEST_SUFFIX}"
    if marker.exists():
        return read_manifest(marker)
    with landing_errors(marker):
        return find_member(marker.parents[1], folder.name[: len("2017-09")], batch_id)


def read_manifest(path: Path) -> BatchManifest:
    """Read one manifest.

    Raises:
        LandingError: it is missing or damaged.
    """
    try:
        with landing_errors(path):
            return BatchManifest.model_validate_json(path.read_bytes())
    except ValidationError:
        raise LandingError(
            "the batch manifest is damaged",
            where=str(path),
            next_step="restore the file from a backup; landing is immutable",
        ) from None


def list_batches(
    settings: Settings,
    *,
    source: str = "*",
    shop: str = "*",
    stream: str = "*",
    root: Path | None = None,
) -> list[BatchManifest]:
    """Manifests of the complete batches, in order of date, source, shop, stream, extraction.

    Raises:
        LandingError: a manifest is damaged.
    """
    streams = f"{source}/*/{shop}/{stream}"
    base = root or settings.landing_dir
    found: dict[str, BatchManifest] = {}
    with landing_errors(base):
        for members in members_below(base, f"{streams}/*"):
            found.update(members)
    for path in base.glob(f"{streams}/*/*{MANIFEST_SUFFIX}"):
        # What a killed compaction left stands twice, once as a member.
        if path.name.removesuffix(MANIFEST_SUFFIX) not in found:
            manifest = read_manifest(path)
            found[manifest.batch_id] = manifest
    return sorted(
        found.values(),
        key=lambda batch: (
            batch.window_date,
            batch.source,
            batch.platform,
            batch.shop,
            batch.stream,
            batch.extracted_at,
            batch.batch_id,
        ),
    )


def list_withdrawn(settings: Settings) -> list[BatchManifest]:
    """Manifests of the batches that were withdrawn; their records stand in the withdrawn folder.

    Raises:
        LandingError: a manifest is damaged.
    """
    return list_batches(settings, root=settings.withdrawn_dir)


def find_by_content(
    settings: Settings, platform: str, shop: str, stream: str, source: str, sha256: str
) -> BatchManifest | None:
    """The batch that a dropped file became earlier, whatever its date, or None."""
    folder = settings.landing_dir / stream_folder(source, platform, shop, stream)
    for path in sorted(folder.glob(f"*/{shop}-{stream}-*-{sha256[:16]}{MANIFEST_SUFFIX}")):
        manifest = read_manifest(path)
        if manifest.origin_sha256 == sha256:
            return manifest
    with landing_errors(folder):
        for members in members_below(folder):
            for member in members.values():
                if member.origin_sha256 == sha256:
                    return member
    return None


def read_batch(
    settings: Settings, manifest: BatchManifest, *, root: Path | None = None
) -> Iterator[dict[str, Any]]:
    """The records of a batch as they stand in landing, or below another ``root``.

    Raises:
        LandingError: the file is missing or damaged.
    """
    rest = b""
    for block in plain_blocks(root or settings.landing_dir, manifest):
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield orjson.loads(line)


def verify(settings: Settings, manifest: BatchManifest) -> None:
    """Compare a batch's data with its manifest.

    Raises:
        LandingError: the data is missing, damaged, or not what the manifest says.
    """
    found = hashlib.sha256()
    count = 0
    for block in plain_blocks(settings.landing_dir, manifest):
        found.update(block)
        count += block.count(b"\n")
    if found.hexdigest() != manifest.sha256 or count != manifest.record_count:
        raise LandingError(
            "the batch's content is not what its manifest says",
            where=manifest.data_path,
            next_step="restore the file from a backup; landing is immutable",
        )


def withdraw(
    settings: Settings, manifest: BatchManifest, *, reason: str, at: datetime, by: str
) -> Path:
    """Move a batch, and what was quarantined of it, out of landing; its new folder.

    Only for the holder of the run lease. The copies are whole and on disk before the commit mark
    goes, so a killed withdrawal, or a power cut, leaves the batch where it was or has moved it;
    repeat it in either case.

    Args:
        settings: where landing stands.
        manifest: the batch.
        reason: why, in a person's words; no personal data.
        at: when (aware, UTC).
        by: who.

    Raises:
        LandingError: the disk is full or a folder cannot be written.
    """
    place = Path(manifest.path).parent
    target = settings.withdrawn_dir / place
    data = Path(manifest.path).name
    marker = settings.landing_dir / place / f"{manifest.batch_id}{MANIFEST_SUFFIX}"
    note = {"batch_id": manifest.batch_id, "reason": reason, "by": by, "at": at.isoformat()}
    with landing_errors(target):
        target.mkdir(parents=True, exist_ok=True)
        originals = [settings.landing_dir / place / data]
        quarantined = settings.quarantine_dir / place / data
        if quarantined.exists():
            originals.append(quarantined)
            _copy_durably(quarantined, target / f"quarantined-{data}")
        if originals[0].exists():
            _copy_durably(originals[0], target / data)
        write_durably(
            target / f"{manifest.batch_id}.withdrawn.json",
            json.dumps(note, ensure_ascii=False, indent=1).encode() + b"\n",
        )
        _settle(marker, target / marker.name)
        for path in originals:
            path.unlink(missing_ok=True)
    return target


def _copy_durably(source: Path, target: Path) -> None:
    """Copy a file so that neither its content nor its name is lost in a power cut."""
    shutil.copyfile(source, target)
    with target.open("rb") as file:
        os.fsync(file.fileno())
    _fsync_folder(target.parent)


def plain_blocks(landing_dir: Path, manifest: BatchManifest) -> Iterator[bytes]:
    """The content of a batch as it landed, uncompressed, in pieces of bounded size.

    Raises:
        LandingError: the file is missing or damaged.
    """
    path = landing_dir / manifest.data_path
    try:
        with landing_errors(path):
            if manifest.stored_in is not None:
                yield from member_lines(landing_dir, manifest.stored_in)
                return
            with (
                path.open("rb") as file,
                zstandard.ZstdDecompressor().stream_reader(file) as stream,
            ):
                while block := stream.read(_BLOCK):
                    yield block
    except zstandard.ZstdError:
        raise LandingError(
            "the batch's data is damaged",
            where=str(path),
            next_step="restore the file from a backup; landing is immutable",
        ) from None


def remove_debris(
    settings: Settings, source: str, platform: str, shop: str, stream: str = "*"
) -> int:
    """Delete what killed runs left of a shop's batches; the number of files deleted.

    Only for the holder of the run lease: another run's unfinished batch looks the same.
    """
    removed = 0
    base = Path(source) / platform / shop
    landing = settings.landing_dir / base
    with landing_errors(landing):
        # A compacted batch has no manifest of its own, and what was quarantined of it stays.
        compacted = {one for members in members_below(landing, f"{stream}/*") for one in members}
        for root in (landing, settings.quarantine_dir / base):
            found = [*root.glob(f"{stream}/*/*.part"), *root.glob(f"{stream}/*/*{DATA_SUFFIX}")]
            for path in found:
                batch_id = path.name.removesuffix(DATA_SUFFIX)
                marker = landing / path.relative_to(root).parent / f"{batch_id}{MANIFEST_SUFFIX}"
                is_whole = marker.exists() or (batch_id in compacted and root != landing)
                if path.suffix == ".part" or not is_whole:
                    path.unlink(missing_ok=True)
                    removed += 1
    return removed
