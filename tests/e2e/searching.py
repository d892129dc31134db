"""Looks for texts in everything that a run wrote, whatever holds it."""

import base64
import gzip
import json
import re
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path
from urllib.parse import quote, quote_plus

import duckdb
import zstandard

_ENCODINGS = ("utf-8", "gb18030", "utf-16-le", "utf-16-be")


def spellings(text: str) -> set[bytes]:
    """The ways in which a text may stand in a file and still be read by anybody."""
    found = {text.encode(encoding) for encoding in _ENCODINGS}
    found |= {json.dumps(text)[1:-1].encode(), quote(text).encode(), quote_plus(text).encode()}
    found.add(ascii(text)[1:-1].encode())
    # Base64 depends on what stands before: the part that is the same for each of three places.
    plain = text.encode()
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + plain)
        found.add(coded[-(-before * 4 // 3) : (before + len(plain)) * 4 // 3])
    return {one.lower() for one in found if len(one) >= 6}


class Search:
    """Where any of some texts stands below some folders.

    Args:
        texts: what must not be found, by the name that a failure shows of it.
    """

    def __init__(self, texts: dict[str, str]) -> None:
        self._names = {
            spelling: name for name, text in texts.items() for spelling in spellings(text)
        }
        self._pattern = re.compile(b"|".join(map(re.escape, self._names)))
        self.files = 0
        """Files looked at."""
        self.kinds: dict[str, int] = {}
        """Files of each kind that were opened rather than read as they are."""

    def in_bytes(self, data: bytes) -> set[str]:
        """Names of what stands in some bytes; letters' case does not matter."""
        found = {match.group() for match in self._pattern.finditer(data.lower())}
        return {self._names[one] for one in found}

    def below(self, *folders: Path) -> dict[str, list[str]]:
        """Names of what was found -> the files it stands in."""
        places: dict[str, list[str]] = {}
        for folder in folders:
            for path in sorted(one for one in folder.rglob("*") if one.is_file()):
                self.files += 1
                for name in self._in_file(path):
                    places.setdefault(name, []).append(str(path))
        return places

    def _in_file(self, path: Path) -> set[str]:
        data = path.read_bytes()
        found = self.in_bytes(str(path).encode()) | self.in_bytes(data)
        for kind, opened in _OPENED.items():
            if opened[0](data):
                self.kinds[kind] = self.kinds.get(kind, 0) + 1
                for part in opened[1](path, data):
                    found |= self.in_bytes(part)
        return found


def _zst(path: Path, data: bytes) -> Iterator[bytes]:
    yield zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()


def _gz(path: Path, data: bytes) -> Iterator[bytes]:
    yield gzip.decompress(data)


def _zip(path: Path, data: bytes) -> Iterator[bytes]:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        for name in archive.namelist():
            yield archive.read(name)


def _sqlite(path: Path, data: bytes) -> Iterator[bytes]:
    # Read-only, with what the log beside it holds.
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        tables = database.execute("select name from sqlite_master where type = 'table'").fetchall()
        for (table,) in tables:
            for row in database.execute(f'select * from "{table}"'):
                yield b"\n".join(
                    one if isinstance(one, bytes) else str(one).encode() for one in row
                )


def _duckdb(path: Path, data: bytes) -> Iterator[bytes]:
    with duckdb.connect(str(path), read_only=True) as database:
        tables = database.execute(
            "select schema_name, table_name from duckdb_tables() where not internal"
        ).fetchall()
        for schema, table in tables:
            yield from _rows(database, f'from "{schema}"."{table}"')


def _parquet(path: Path, data: bytes) -> Iterator[bytes]:
    with duckdb.connect() as database:
        yield from _rows(database, f"from read_parquet('{path}')")


def _rows(database: duckdb.DuckDBPyConnection, source: str) -> Iterator[bytes]:
    result = database.execute(source)
    while rows := result.fetchmany(10_000):
        yield repr(rows).encode("utf-8", errors="replace")


_OPENED: dict[str, tuple[Callable[[bytes], bool], Callable[[Path, bytes], Iterator[bytes]]]] = {
    "zst": (lambda data: data[:4] == b"\x28\xb5\x2f\xfd", _zst),
    "gz": (lambda data: data[:2] == b"\x1f\x8b", _gz),
    "zip": (lambda data: data[:4] == b"PK\x03\x04", _zip),
    "sqlite": (lambda data: data[:16] == b"SQLite format 3\0", _sqlite),
    "duckdb": (lambda data: data[8:12] == b"DUCK", _duckdb),
    "parquet": (lambda data: data[:4] == b"PAR1", _parquet),
}
"""What is opened: by its first bytes, since names may say anything."""
