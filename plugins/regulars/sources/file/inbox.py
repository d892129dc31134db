"""The inbox: which dropped files are ready, and taking them so that a crash loses none.

Taking is a rename into ``.taken/<shop>/<stream>/<number>-<name>``. A taken file is deleted only
after its batch has been committed, so whatever a killed night leaves there is found again. A file
under its final name counts as renamed from ``.part``, unless a process of this machine still has
it open for writing.
"""

import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

KINDS = ("csv", "parquet", "xlsx")
TAKEN = ".taken"
_USED = ".used"
"""Ends the name of an ``.ok`` file whose file is being deleted."""
_NUMBERED = re.compile(r"(\d{6})-(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Drop:
    """A file that was taken.

    Attributes:
        stream: its folder's name.
        path: where it stands now.
        name: the name it was dropped under.
        kind: ``csv``, ``parquet`` or ``xlsx``.
        expected_sha256: what its ``.ok`` file demands; empty when that says nothing.
    """

    stream: str
    path: Path
    name: str
    kind: str
    expected_sha256: str

    def sha256(self) -> str:
        """SHA-256 of the file, hex."""
        with self.path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()

    def finish(self) -> None:
        """Delete the taken file: its batch is committed, or it is kept in quarantine.

        Its ``.ok`` file first ceases to be one: killed in between, it could not speak for a later
        file of the same name, and still says what this one had to be.
        """
        used = _used_of(self.path)
        with suppress(FileNotFoundError):
            _ok_of(self.path).replace(used)
        self.path.unlink(missing_ok=True)
        used.unlink(missing_ok=True)


def take_drops(inbox: Path, shop: str, streams: Iterable[str]) -> Iterator[Drop]:
    """Take what is ready, one file at a time; first what an earlier, killed run left taken.

    Streams in the given order, files by name.
    """
    for stream in streams:
        taken = inbox / TAKEN / shop / stream
        yield from _left_over(inbox / shop / stream, taken, stream)
        for path, _ in ready_files(inbox / shop / stream):
            yield _take(path, taken, stream)


def find_strays(inbox: Path, shop: str, streams: Iterable[str]) -> list[str]:
    """Folders and files of a shop that will never be taken as they are, with the reason."""
    known = set(streams)
    strays: list[str] = []
    for folder in _entries(inbox / shop):
        name = f"{shop}/{folder.name}"
        if not folder.is_dir():
            strays.append(f"{name} lies outside a stream's folder")
        elif folder.name not in known:
            if any(_entries(folder)):
                strays.append(f"{name}/ is not the name of a stream")
        else:
            strays += [
                f"{name}/{path.name} is neither .csv, .parquet nor .xlsx"
                for path in _entries(folder)
                if path.suffix not in (".part", ".ok") and kind_of(path) is None
            ]
    return strays


def kind_of(path: Path) -> str | None:
    """Format by suffix, or None."""
    suffix = path.suffix.lower().removeprefix(".")
    return suffix if suffix in KINDS else None


def _entries(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def ready_files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Files of a stream's folder that may be taken, with their format, by name."""
    for path in _entries(folder):
        kind = kind_of(path)
        if kind is None or not path.is_file():
            continue
        if _ok_of(path).exists() or not _open_for_writing(path):
            yield path, kind


def _ok_of(path: Path) -> Path:
    return path.with_name(path.name + ".ok")


def _used_of(path: Path) -> Path:
    return path.with_name(path.name + _USED)


def _open_for_writing(path: Path) -> bool:
    """Whether a process of this machine has the file open for writing.

    Linux grants a read lease only on a file that nobody writes; file systems without leases
    refuse it with other errors, and then the name alone decides.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _take(path: Path, taken: Path, stream: str) -> Drop:
    taken.mkdir(parents=True, exist_ok=True)
    number = max((int(m.group(1)) for m in _numbered(taken)), default=0) + 1
    target = taken / f"{number:06d}-{path.name}"
    if _ok_of(path).exists():
        # First, so that it cannot stay behind and speak for a later file of the same name.
        _ok_of(path).rename(_ok_of(target))
    path.rename(target)
    return _drop(target, path.name, stream)


def _left_over(folder: Path, taken: Path, stream: str) -> Iterator[Drop]:
    _settle_ok_files(folder, taken)
    for match in _numbered(taken):
        if not match.group(2).endswith((".ok", _USED)):
            yield _drop(taken / match.group(), match.group(2), stream)


def _settle_ok_files(folder: Path, taken: Path) -> None:
    """Give back the ``.ok`` files that were taken without their file: killed within _take."""
    for match in _numbered(taken):
        path, name = taken / match.group(), match.group(2)
        if name.endswith(_USED) and not path.with_suffix("").exists():
            path.unlink()
        if not name.endswith(".ok") or path.with_suffix("").exists():
            continue
        if (folder / name).exists() or not (folder / name).with_suffix("").exists():
            path.unlink()
        else:
            path.rename(folder / name)


def _numbered(taken: Path) -> list[re.Match[str]]:
    matches = (_NUMBERED.fullmatch(path.name) for path in _entries(taken))
    return [match for match in matches if match]


def _drop(path: Path, name: str, stream: str) -> Drop:
    kind = kind_of(path)
    if kind is None:
        raise ValueError(f"{path} was taken without a known suffix")
    ok = next((one for one in (_ok_of(path), _used_of(path)) if one.exists()), _ok_of(path))
    expected = ok.read_text(encoding="ascii", errors="replace").split() if ok.exists() else []
    return Drop(stream, path, name, kind, expected[0].lower() if expected else "")
