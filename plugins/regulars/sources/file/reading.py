"""Reading dropped files: CSV, Parquet and XLSX, piece by piece, as columns.

A file is one of two things: readable, and then a bad record costs only itself; or not (cut in the
middle, another format, no header that fits), and then it is refused as a whole, because nobody
knows what else it lacks.
"""

import codecs
import csv
import json
import xml.etree.ElementTree as ElementTree
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
from openpyxl.utils.exceptions import InvalidFileException

from regulars.records import RawRecord
from regulars.sources.headers import normal_name
from regulars.sources.payloads import PayloadModel, as_text
from regulars.vault.contacts import mask_in_text

PREAMBLE_ROWS = 20
_ROWS = 32_768
_BLOCK = 1 << 20
_EXCEL_ERRORS = frozenset(("#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!"))

_SHEET_FAULTS = (
    OSError,
    EOFError,
    KeyError,
    ValueError,
    zlib.error,
    zipfile.BadZipFile,
    ElementTree.ParseError,
)


class UnreadableFile(Exception):
    """The whole file must be refused; ``reason`` says why and shows none of its content."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive records of a file.

    Attributes:
        columns: normalised header name -> Arrow array of plain values, all of one length.
        lines: number of each record within the file (int64 Arrow array), from 1.
        defects: records that could not be split into cells; their numbers are not in ``lines``.
    """

    columns: dict[str, Any]
    lines: Any
    defects: list[tuple[int, RawRecord]] = field(default_factory=list)

    def records(self) -> Iterator[tuple[int, RawRecord]]:
        """The records one by one, with their numbers."""
        names = tuple(self.columns)
        rows = zip(*(column.to_pylist() for column in self.columns.values()), strict=True)
        for line, row in zip(self.lines.to_pylist(), rows, strict=True):
            yield line, RawRecord(dict(zip(names, row, strict=True)), f"line {line}")
        yield from self.defects


def read_chunks(path: Path, kind: str, model: PayloadModel) -> Iterator[Chunk]:
    """The records of a file, piece by piece.

    Args:
        path: the file.
        kind: ``csv``, ``parquet`` or ``xlsx``.
        model: the stream's contract.

    Raises:
        UnreadableFile: the file cannot be read to its end, or its header does not fit.
    """
    return _READERS[kind](path, model)


def detect_encoding(path: Path) -> str:
    """``utf-8-sig`` (with or without byte order mark) or ``gb18030``.

    Raises:
        UnreadableFile: it is neither.
    """
    for encoding in ("utf-8", "gb18030"):
        decoder = codecs.getincrementaldecoder(encoding)("strict")
        try:
            with path.open("rb") as file:
                while block := file.read(_BLOCK):
                    decoder.decode(block)
                decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            continue
        return "utf-8-sig" if encoding == "utf-8" else encoding
    raise UnreadableFile("neither UTF-8 nor GB18030 text")


def _fitting_header(cells: list[str], model: PayloadModel) -> list[str]:
    fields = _fields_of(cells, model)
    # Names of unknown columns are counted in the manifest, and a cell may hold anything.
    names = [
        fields.get(name) or mask_in_text(name) or f"column_{no}"
        for no, name in enumerate(cells, start=1)
    ]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UnreadableFile(f"the column {_shown(twice[0], model)} stands there twice")
    missing = [_with_alias(name, model) for name in model.required if name not in names]
    if missing:
        raise UnreadableFile(f"required columns are missing: {', '.join(missing)}")
    return names


def _fields_of(cells: list[str], model: PayloadModel) -> dict[str, str]:
    """The field of each header; of several headers of one field the one it lists first."""
    fields: dict[str, str] = {}
    for item in model.fields:
        present = [name for name in (item.name, *item.aliases) if name in cells]
        fields |= dict.fromkeys(present[:1], item.name)
    return fields


def _with_alias(name: str, model: PayloadModel) -> str:
    aliases = [alias for alias, target in model.aliases.items() if target == name]
    return f"{name} ({' or '.join(aliases)})" if aliases else name


def _shown(name: str, model: PayloadModel) -> str:
    # A row of data may have been taken for the header.
    return name if name in model.names else "(not in the contract)"


def _find_header(rows: Iterator[list[str]], model: PayloadModel) -> list[str]:
    """Skip what stands above the header: the first row that names the first required column."""
    anchor = model.required[0]
    for row in islice(rows, PREAMBLE_ROWS):
        cells = [normal_name(cell) for cell in row]
        if anchor in cells or anchor in map(model.aliases.get, cells):
            while cells and not cells[-1]:
                cells.pop()
            return _fitting_header(cells, model)
    raise UnreadableFile(f"no header row with the column {anchor} at the top")


def _below_notes(
    rows: Iterator[list[str]] | Iterator[list[str] | RawRecord],
    header: list[str],
    model: PayloadModel,
) -> Iterator[list[str] | RawRecord]:
    """The rows below the header, without the line that explains its columns if there is one."""
    for row in islice(rows, 1):
        if isinstance(row, RawRecord) or not _is_note(row, header, model):
            yield row
    yield from rows


def _is_note(row: list[str], header: list[str], model: PayloadModel) -> bool:
    anchor = model.required[0]
    if not next(item.pattern for item in model.fields if item.name == anchor):
        return False  # nobody has said what its ids look like
    named = dict(zip(header, row, strict=False)).get(anchor, "")
    return not named.isascii() or not any(letter.isdigit() for cell in row for letter in cell)


def _read_csv(path: Path, model: PayloadModel) -> Iterator[Chunk]:
    encoding = detect_encoding(path)
    with path.open(encoding=encoding, newline="") as file:
        lines = _Lines(file)
        reader = csv.reader(lines, strict=True)
        rows = _csv_rows(reader, lines)
        header = _find_header((row for row in rows if isinstance(row, list)), model)
        rows = _below_notes(rows, header, model)
        yield from _chunked(rows, header, lambda: lines.is_cut)


class _Lines:
    """The lines of a text file, remembering those of the record being read."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.current: list[str] = []
        self.is_cut = False

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = next(self._file)
        self.current.append(line)
        self.is_cut = not line.endswith(("\n", "\r"))
        return line

    def taken(self) -> str:
        text = "".join(self.current)
        self.current.clear()
        return text


def _csv_rows(reader: Any, lines: _Lines) -> Iterator[list[str] | RawRecord]:
    while True:
        try:
            row: list[str] = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            text = str(error)
            if "unexpected end" in text or "field larger" in text:
                raise UnreadableFile("cut in the middle: a quoted cell does not end") from None
            yield RawRecord({"text": lines.taken()}, "", "not valid CSV")
            continue
        lines.current.clear()
        if any(row):
            yield row


def _read_xlsx(path: Path, model: PayloadModel) -> Iterator[Chunk]:
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, InvalidFileException) as error:
        raise UnreadableFile(f"not a readable XLSX file ({type(error).__name__})") from None
    try:
        sheet = book.worksheets[0]
        sheet.reset_dimensions()
        rows = _sheet_rows(sheet)
        header = _find_header(rows, model)
        # A row ends with its last cell that holds something.
        whole = (row + [""] * (len(header) - len(row)) for row in rows)
        yield from _chunked(_below_notes(whole, header, model), header, lambda: False)
    except _SHEET_FAULTS as error:
        raise UnreadableFile(f"cut in the middle ({type(error).__name__})") from None
    finally:
        book.close()


def _sheet_rows(sheet: Any) -> Iterator[list[str]]:
    for cells in sheet.iter_rows(values_only=True):
        row = [_cell_text(cell) for cell in cells]
        if any(row):
            yield row


def _cell_text(value: object) -> str:
    if value is None or value in _EXCEL_ERRORS:
        return ""
    try:
        return as_text(value) or ""
    except ValueError:
        # The field's own check will refuse it, with the field's name.
        return repr(value) if isinstance(value, float) else str(value)


def _chunked(
    rows: Iterator[list[str] | RawRecord],
    header: list[str],
    is_cut: Callable[[], bool],
) -> Iterator[Chunk]:
    width = len(header)
    line = 0
    while True:
        good: list[list[str]] = []
        lines: list[int] = []
        defects: list[tuple[int, RawRecord]] = []
        last: object = None
        for last in islice(rows, _ROWS):
            line += 1
            row = last if isinstance(last, RawRecord) else _fitted(last, width)
            if isinstance(row, RawRecord):
                position = f"line {line}"
                defects.append((line, RawRecord(row.payload, position, row.defect)))
            else:
                good.append(row)
                lines.append(line)
        if last is None:
            return
        if defects and defects[-1][0] == line and is_cut():
            raise UnreadableFile("cut in the middle of its last record")
        columns = list(zip(*good, strict=True)) or [()] * width
        yield Chunk(
            {
                name: pa.array([cell or None for cell in column], pa.string())
                for name, column in zip(header, columns, strict=True)
            },
            pa.array(lines, pa.int64()),
            defects,
        )


def _fitted(row: list[str], width: int) -> list[str] | RawRecord:
    if len(row) == width:
        return row
    if len(row) > width and not any(row[width:]):
        return row[:width]
    reason = f"{len(row)} cells where the header has {width}"
    return RawRecord({"cells": row}, "", reason)


def _read_parquet(path: Path, model: PayloadModel) -> Iterator[Chunk]:
    try:
        with pq.ParquetFile(path) as file:
            header = _fitting_header([normal_name(name) for name in file.schema_arrow.names], model)
            line = 0
            for batch in file.iter_batches(batch_size=_ROWS, use_threads=False):
                columns = {
                    name: _plain(name, column, model)
                    for name, column in zip(header, batch.columns, strict=True)
                }
                lines = pa.array(np.arange(line + 1, line + 1 + batch.num_rows))
                line += batch.num_rows
                yield Chunk(columns, lines)
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFile(f"not a complete Parquet file ({type(error).__name__})") from None


def _plain(name: str, column: Any, model: PayloadModel) -> Any:
    """A column that dictionary encoding and Python understand without loss."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain(name, column.dictionary_decode(), model)
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return column.cast(pa.timestamp("us", kind.tz), safe=False)
    if pa.types.is_nested(kind):
        if name in model.names:
            raise UnreadableFile(f"{name}: a nested column where plain values belong")
        values = column.to_pylist()
        texts = [
            None if v is None else json.dumps(v, ensure_ascii=False, default=str) for v in values
        ]
        return pa.array(texts, pa.string())
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return column.cast(pa.string())
    if pa.types.is_null(kind):
        return column.cast(pa.string())
    return column


_READERS: dict[str, Callable[[Path, PayloadModel], Iterator[Chunk]]] = {
    "csv": _read_csv,
    "parquet": _read_parquet,
    "xlsx": _read_xlsx,
}
