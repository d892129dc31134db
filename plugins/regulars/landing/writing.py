"""From records, or whole columns, to the lines of a batch.

Both ways use the same compiled checks. Records (APIs) are checked one by one. Columns (files) are
checked by their distinct values, and their lines are put together by Arrow: a record then costs
about two microseconds, and only refused ones become Python objects.
"""

import gc
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice, repeat
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from regulars.landing.batches import BatchWriter
from regulars.landing.contacts import (
    contact_keys,
    looks_like_contact,
    plain_text,
    quarantine_payload,
    safe_name,
    tokenise_plain,
    unknown_keys,
)
from regulars.records import RawRecord
from regulars.sources.payloads import Check, Checked, PayloadModel
from regulars.sources.quick import quick_check
from regulars.vault import ContactKind, ContactRef, Vault

# Few stay in the processor's cache, which saves a sixth of the time; but each part with contacts in
# plain text is a transaction of the vault, which costs more than that.
_RECORDS_AT_ONCE = 100
_CONTACTS_AT_ONCE = 500
_REMEMBERED = 100_000

GIVEN_UP = "given up: asked again in vain"
"""Ends the reason of what could not be read the second time either."""

ColumnTexts = tuple[list[str], list[bool], list[bool]]
"""Of each distinct value: its piece of the line, whether it is refused, whether it was hashed."""


def write_records(
    writer: BatchWriter,
    model: PayloadModel,
    vault: Vault,
    records: Iterable[RawRecord],
    was_defective: Callable[[RawRecord], bool] = lambda _: False,
) -> None:
    """Check and write records, numbered from 1; the writer counts those that were not readable.

    Args:
        writer: the open batch.
        model: the stream's model.
        vault: where contacts go.
        records: as the source gives them.
        was_defective: whether a record that could not be read had been asked for before, in vain:
            then it is given up, else its window is to be asked again.
    """
    numbered = enumerate(records, start=1)
    while True:
        size = _RECORDS_AT_ONCE if writer.key_id is None else _CONTACTS_AT_ONCE
        with _no_search_for_cycles():
            part = list(islice(numbered, size))
            _write_part(writer, model, vault, part, was_defective)
        if not part:
            return


@contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """Records are trees: to look for cycles among them finds none and takes a tenth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _write_part(
    writer: BatchWriter,
    model: PayloadModel,
    vault: Vault,
    part: list[tuple[int, RawRecord]],
    was_defective: Callable[[RawRecord], bool],
) -> None:
    readable = [(line, record) for line, record in part if record.defect is None]
    odd: set[int] = set()
    try:
        checked = _checked(model, vault, readable)
    except (TypeError, UnicodeEncodeError):
        # Somewhere stands what cannot be written. Looking for it in every record would cost as much
        # as writing it once more.
        odd = {line for line, record in readable if not _is_unicode(record.payload)}
        checked = _checked(model, vault, [one for one in readable if one[0] not in odd])
    for line, record in part:
        if line in odd:
            named = RawRecord(record.payload, record.position, "text that is not Unicode")
            quarantine_defect(writer, vault, line, named)
        elif record.defect is None:
            continue
        elif record.is_final:
            quarantine_defect(writer, vault, line, record)
        elif was_defective(record):
            writer.given_up_count += 1
            given_up = replace(record, defect=f"{record.defect}; {GIVEN_UP}")
            quarantine_defect(writer, vault, line, given_up)
        else:
            writer.unread_count += 1
            quarantine_defect(writer, vault, line, record)
    checked.give(writer, vault)


def write_restored(
    writer: BatchWriter,
    model: PayloadModel,
    vault: Vault,
    records: Iterable[tuple[Checked, Mapping[str, Any]]],
) -> None:
    """Write checked records whose contacts are tokens already, numbered from 1.

    Args:
        writer: the open batch.
        model: the stream's model.
        vault: takes contacts that were corrected.
        records: what the check gave, without reasons, and the tokens beside it.
    """
    for line, (one, tokens) in enumerate(records, start=1):
        refs = {
            name: tokenise_plain(vault, kind, [one.values[name]] if name in one.values else [])
            for name, kind in model.contacts.items()
        }
        landed = {"_line": line, **tokens, **_landed(model, vault, one, refs)}
        if any(key.endswith("_ref") for key in landed):
            landed["_key_id"] = writer.key_id = vault.key_id
        writer.write(orjson.dumps(landed, default=str) + b"\n", 1)


def quarantine_defect(writer: BatchWriter, vault: Vault, line: int, record: RawRecord) -> None:
    """Put aside a record that could not be told apart into fields; sealed: it may hold anything."""
    payload: dict[str, Any] = {"_position": record.position}
    if record.key:
        payload["_record"] = record.key
    if record.payload:
        # Escaped to ASCII: half a surrogate pair must not stop us here.
        payload["_sealed"] = vault.seal(json.dumps(record.payload, default=str))
    writer.quarantine(line, [record.defect or "unreadable"], payload)


def _is_unicode(payload: Mapping[str, Any]) -> bool:
    """Whether every text in it can be written; JSON may escape half a surrogate pair."""
    try:
        orjson.dumps(payload)
    except TypeError:
        pass  # or it holds what only the slower one can write
    else:
        return True
    try:
        json.dumps(payload, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass
class _CheckedLines:
    """What became of some records; nothing of it is in the batch before :meth:`give`.

    Attributes:
        lines: those that may land, as lines.
        refused: line, reasons and payload of the others.
        unknown: names of fields that the model does not know, as often as they came.
        is_hashed: whether the vault's key stands in any of them.
    """

    lines: list[bytes] = field(default_factory=list)
    refused: list[tuple[int, list[str], dict[str, Any]]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    is_hashed: bool = False

    def give(self, writer: BatchWriter, vault: Vault) -> None:
        if self.is_hashed:
            writer.key_id = vault.key_id
        for line, reasons, payload in self.refused:
            writer.quarantine(line, reasons, payload)
        for name in self.unknown:
            writer.count_unknown(name, 1)
        if self.lines:
            writer.write(b"".join(self.lines), len(self.lines))


def _checked(model: PayloadModel, vault: Vault, part: list[tuple[int, RawRecord]]) -> _CheckedLines:
    """Check records together.

    Raises:
        TypeError, UnicodeEncodeError: one of them holds text that is not Unicode.
    """
    done, check = _CheckedLines(), quick_check(model)
    checked = [check(record.payload) for _, record in part]
    refs = {
        name: tokenise_plain(
            vault, kind, {one.values[name] for one in checked if name in one.values}
        )
        for name, kind in model.contacts.items()
    }
    references = {f"{name}_ref" for name in model.contacts}
    for (line, record), one in zip(part, checked, strict=True):
        if one.reasons:
            payload = _refused(model, vault, record, one.reasons)
            orjson.dumps(payload)
            done.refused.append((line, list(dict.fromkeys(one.reasons)), payload))
            done.is_hashed |= "_key_id" in payload
            continue
        landed = {"_line": line, **_landed(model, vault, one, refs)}
        if not references.isdisjoint(landed) or (
            one.unknown and any(key.endswith("_ref") for key in landed)
        ):
            landed["_key_id"] = vault.key_id
            done.is_hashed = True
        done.lines.append(orjson.dumps(landed, default=str, option=orjson.OPT_APPEND_NEWLINE))
        if one.unknown or one.unknown_nested:
            carried = [name for name, value in one.unknown.items() if plain_text(value) is not None]
            done.unknown += (*carried, *dict.fromkeys(one.unknown_nested))
    return done


def _landed(
    model: PayloadModel, vault: Vault, one: Checked, refs: dict[str, dict[str, ContactRef]]
) -> dict[str, Any]:
    landed = dict(one.values)
    for name, of in refs.items():
        value = landed.pop(name, None)
        if value is not None:
            landed.update(contact_keys(name, model.contacts[name], value, of))
    if one.unknown_nested:
        _keep_unknown_members(model, vault, landed)
    for name, value in one.unknown.items():
        landed.update(unknown_keys(model, name, value, vault))
    return landed


def _keep_unknown_members(model: PayloadModel, vault: Vault, landed: dict[str, Any]) -> None:
    for item in model.fields:
        known = {member.name for member in item.members}
        for record in landed.get(item.name, ()) if known else ():
            for name in record.keys() - known:
                record.update(unknown_keys(model, name, record.pop(name), vault))


def _refused(
    model: PayloadModel, vault: Vault, record: RawRecord, reasons: list[str]
) -> dict[str, Any]:
    """What stands in quarantine of a refused record."""
    refused = {reason.partition(":")[0].partition(".")[0] for reason in reasons}
    payload = quarantine_payload(model, record.payload, refused, vault)
    if any(key.endswith("_ref") for key in payload):
        payload["_key_id"] = vault.key_id
    return payload


class ColumnLanding:
    """Checks and writes the records of one file, which come as Arrow columns.

    What a value became is remembered per column, since ids, products and amounts come again and
    again; the memory is bounded.
    """

    def __init__(self, writer: BatchWriter, model: PayloadModel, vault: Vault) -> None:
        self._writer = writer
        self._model = model
        self._vault = vault
        self._remembered: dict[str, dict[Any, str]] = {}
        self._carried: dict[str, Any] = {}

    def write(self, columns: dict[str, Any], lines: Any) -> None:
        """Check and write consecutive records.

        Args:
            columns: name -> Arrow array of plain values, all of one length; every required
                column is there.
            lines: number of each record (int64 Arrow array).
        """
        if not len(lines):
            return
        pieces: list[Any] = ['{"_line":', lines.cast(pa.string())]
        refused: Any = None
        hashed: Any = None
        for name, column in columns.items():
            if self._is_plain(name, column):
                pieces += _plain_pieces(name, column)
                continue
            texts, is_refused, is_hashed = self._pieces(name, column)
            pieces.append(texts)
            refused = _either(refused, is_refused)
            hashed = _either(hashed, is_hashed)
        pieces.append(self._ends(hashed))
        self._count_unknown(refused)
        joined = pc.binary_join_element_wise(*pieces, "")
        if refused is not None:
            self._quarantine(columns, lines, refused)
            joined = joined.filter(pc.invert(refused))
        if len(joined):
            self._writer.write(_bytes_of(joined), len(joined))

    def _is_plain(self, name: str, column: Any) -> bool:
        """Whether every value there is passes its check unchanged, by one look at them all."""
        pattern = self._model.plain_pattern(name)
        if pattern is None or not pa.types.is_string(column.type):
            return False
        if column.null_count and name in self._model.required:
            return False
        matched = pc.all(pc.match_substring_regex(column, pattern=pattern)).as_py()
        return matched is not False

    def _ends(self, hashed: Any) -> Any:
        if hashed is None:
            return "}\n"
        self._writer.key_id = self._vault.key_id
        return pc.if_else(hashed, f',"_key_id":"{self._vault.key_id}"}}\n', "}\n")

    def _pieces(self, name: str, column: Any) -> tuple[Any, Any, Any]:
        """Per record the piece of its line, and two masks (None: nowhere): refused, hashed."""
        model = self._model
        encoded = column.dictionary_encode()
        values: list[Any] = encoded.dictionary.to_pylist()
        check = model.check_of(name)
        is_required = name in model.required
        if check is None:
            texts, refused, hashed = _unknown_texts(model, name, self._vault, values)
        elif name in model.contacts:
            kind = model.contacts[name]
            texts, refused, hashed = _contact_texts(name, kind, check, self._vault, values)
        else:
            remembered = self._remembered.setdefault(name, {})
            texts, refused = _checked_texts(name, check, values, is_required, remembered)
            hashed = []
        indices = encoded.indices
        if indices.null_count:
            indices = pc.fill_null(indices, len(values))
            texts.append("")
            refused.append(is_required)
            hashed.append(False)
        if check is None:
            self._carried[name] = pa.array([bool(text) for text in texts]).take(indices)
        return (
            pa.array(texts, pa.string()).take(indices),
            pa.array(refused).take(indices) if any(refused) else None,
            pa.array(hashed).take(indices) if any(hashed) else None,
        )

    def _count_unknown(self, refused: Any) -> None:
        for name, carried in self._carried.items():
            landed = carried if refused is None else pc.and_not(carried, refused)
            self._writer.count_unknown(name, pc.sum(landed).as_py() or 0)
        self._carried.clear()

    def _quarantine(self, columns: dict[str, Any], lines: Any, refused: Any) -> None:
        rows = zip(*(one.filter(refused).to_pylist() for one in columns.values()), strict=True)
        for line, row in zip(lines.filter(refused).to_pylist(), rows, strict=True):
            record = RawRecord(dict(zip(columns, row, strict=True)), f"line {line}")
            reasons = self._model.check(record.payload).reasons
            payload = _refused(self._model, self._vault, record, reasons)
            if "_key_id" in payload:
                self._writer.key_id = self._vault.key_id
            self._writer.quarantine(line, list(dict.fromkeys(reasons)), payload)


def _plain_pieces(name: str, column: Any) -> list[Any]:
    if not column.null_count:
        return [f',"{name}":"', column, '"']
    texts = pc.binary_join_element_wise(f',"{name}":"', column, '"', "")
    return [pc.fill_null(texts, "")]


def _either(one: Any, other: Any) -> Any:
    if one is None or other is None:
        return other if one is None else one
    return pc.or_(one, other)


def _bytes_of(texts: Any) -> memoryview:
    """The texts of an Arrow string array, one after the other, without a copy."""
    _, offsets, data = texts.buffers()
    ends = memoryview(offsets).cast("i")
    return memoryview(data)[ends[texts.offset] : ends[texts.offset + len(texts)]]


def _checked_texts(
    name: str,
    check: Check,
    values: list[Any],
    is_required: bool,
    remembered: dict[Any, str],
) -> tuple[list[str], list[bool]]:
    texts: list[str] = list(map(remembered.get, values, repeat("")))
    refused = [False] * len(values)
    for index, piece in enumerate(texts):
        if piece:
            continue
        try:
            text = check(values[index])
        except ValueError:
            refused[index] = True
            continue
        if text is None:
            refused[index] = is_required
            continue
        texts[index] = f',"{name}":{orjson.dumps(text).decode()}'
        if len(remembered) < _REMEMBERED:
            remembered[values[index]] = texts[index]
    return texts, refused


def _contact_texts(
    name: str, kind: ContactKind, check: Check, vault: Vault, values: list[Any]
) -> ColumnTexts:
    plain: list[str | None] = []
    refused: list[bool] = []
    for value in values:
        try:
            plain.append(check(value))
            refused.append(False)
        except ValueError:
            plain.append(None)
            refused.append(True)
    refs = tokenise_plain(vault, kind, {text for text in plain if text})
    texts, _, hashed = _key_texts([contact_keys(name, kind, t, refs) if t else {} for t in plain])
    return texts, refused, hashed


def _unknown_texts(model: PayloadModel, name: str, vault: Vault, values: list[Any]) -> ColumnTexts:
    plain = [plain_text(value) for value in values]
    safe = safe_name(model, name)
    contacts = {text for text in plain if text and looks_like_contact(name, text)}
    refs = tokenise_plain(vault, "other", contacts)
    keys = [
        {}
        if not text
        else contact_keys(safe, "other", text, refs)
        if text in contacts
        else {safe: text}
        for text in plain
    ]
    return _key_texts(keys)


def _key_texts(keys: list[dict[str, str]]) -> ColumnTexts:
    texts = ["," + orjson.dumps(one).decode()[1:-1] if one else "" for one in keys]
    return texts, [False] * len(keys), [len(one) > 1 for one in keys]
