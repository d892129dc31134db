"""Quarantined records: looking at them, correcting them, letting them land after all.

A record in quarantine carries its line, its reasons, and no contact in plain text: contacts are
tokens, and refused texts that may hold one are sealed with the vault's key. A released record is
checked like any other and lands in a batch of its own; what it was released from keeps standing,
with a note of who let it go.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import zstandard

from regulars.errors import LandingError
from regulars.landing.batches import (
    DATA_SUFFIX,
    BatchWriter,
    Origin,
    Place,
    landing_errors,
    write_durably,
)
from regulars.landing.writing import write_restored
from regulars.records import BatchManifest
from regulars.settings import Settings
from regulars.sources import payload_model
from regulars.sources.payloads import MISSING, Checked, PayloadModel
from regulars.vault import Vault

ERASED_NOTE = "_erased"
"""Marks the line of a record whose content an erasure took."""

_PLACE = ("_position", "_record", "_sealed")
_META = frozenset({"_line", "_reasons", "_key_id", *_PLACE, ERASED_NOTE})
_CONTACT_PARTS = ("_ref", "_hash", "_masked")


@dataclass(frozen=True)
class Quarantined:
    """One record in quarantine.

    Attributes:
        line: its number in the source's answer or file.
        reasons: why it was refused.
        payload: its fields as text; contacts as tokens, doubtful texts sealed.
        released_as: the batch it landed in later, or the erasure that took it; None while it
            waits.
    """

    line: int
    reasons: tuple[str, ...]
    payload: Mapping[str, Any]
    released_as: str | None = None


@dataclass
class Release:
    """What a release did.

    Attributes:
        batch: the new batch; None when no record passed.
        lines: lines that landed.
        refused: why the others are still refused, by line.
    """

    batch: BatchManifest | None = None
    lines: list[int] = field(default_factory=list)
    refused: dict[int, list[str]] = field(default_factory=dict)


def quarantined_records(settings: Settings, batch: BatchManifest) -> Iterator[Quarantined]:
    """Records of a batch that were put aside, in order of line.

    Raises:
        LandingError: the file is missing or damaged.
    """
    if not batch.quarantined_count:
        return
    released = read_notes(settings, batch)
    path = settings.quarantine_dir / batch.path
    try:
        with landing_errors(path), path.open("rb") as file:
            plain = zstandard.ZstdDecompressor().stream_reader(file).read()
    except zstandard.ZstdError:
        raise LandingError(
            "the quarantined records are damaged",
            where=str(path),
            next_step="restore the file from a backup",
        ) from None
    for text in plain.splitlines():
        record = orjson.loads(text)
        note = released.get(str(record["_line"]))
        yield Quarantined(
            line=record["_line"],
            reasons=tuple(record["_reasons"]),
            payload={name: value for name, value in record.items() if name not in _META}
            | {name: record[name] for name in _PLACE if name in record},
            released_as=note["batch_id"] if note else record.get(ERASED_NOTE),
        )


def waiting_count(settings: Settings, batch: BatchManifest) -> int:
    """How many of a batch's quarantined records have not been released."""
    return batch.quarantined_count - len(read_notes(settings, batch))


def refused_count(settings: Settings, batch: BatchManifest) -> int:
    """How many records of a batch wait because of what is in them.

    Those that the platform did not give are no sign that its data has become worse: the window
    was asked again for them, or they were given up by name.
    """
    missed = batch.unread_count + batch.given_up_count
    return max(0, waiting_count(settings, batch) - missed)


def release(
    settings: Settings,
    vault: Vault,
    batch: BatchManifest,
    *,
    lines: Iterable[int] | None,
    changes: Mapping[str, str],
    at: datetime,
    by: str,
) -> Release:
    """Let quarantined records land that pass their check now.

    Only for the holder of the run lease.

    Args:
        settings: where landing stands.
        vault: opens what is sealed, takes contacts.
        batch: the batch whose records they are.
        lines: which ones; None for all that wait.
        changes: corrections of every one of them, by path: ``paid_amount``, or
            ``orders.2.payment`` for the second nested record; an empty value removes the field.
        at: when (aware, UTC).
        by: who.

    Raises:
        LandingError: no such line waits, or a folder cannot be written.
    """
    waiting = {
        one.line: one for one in quarantined_records(settings, batch) if one.released_as is None
    }
    chosen = sorted(waiting) if lines is None else sorted(set(lines))
    if missing := [line for line in chosen if line not in waiting]:
        raise LandingError(
            f"line {missing[0]} does not wait in quarantine",
            where=batch.batch_id,
            next_step=f"`regulars quarantine show {batch.batch_id}` lists those that do",
        )
    model = payload_model(batch.source, batch.stream)
    result = Release()
    passed: list[tuple[Checked, dict[str, Any]]] = []
    for line in chosen:
        record, tokens = _restored(model, waiting[line].payload, vault)
        for path, value in changes.items():
            _change(record, path, value, batch)
        checked = model.check(record)
        reasons = [reason for reason in checked.reasons if not _is_token(reason, tokens)]
        if reasons:
            result.refused[line] = reasons
        else:
            passed.append((checked, tokens))
            result.lines.append(line)
    if not passed:
        return result
    place = Place(
        batch.source, batch.brand, batch.platform, batch.shop, batch.stream, batch.window_date
    )
    with BatchWriter(settings, place, "release") as writer:
        write_restored(writer, model, vault, passed)
        result.batch = writer.commit(Origin(f"released from {batch.batch_id}", at))
    notes = read_notes(settings, batch)
    for line in result.lines:
        notes[str(line)] = {
            "batch_id": result.batch.batch_id,
            "changed": sorted(changes),
            "by": by,
            "at": at.isoformat(),
        }
    with landing_errors(settings.quarantine_dir):
        write_durably(notes_path(settings, batch), orjson.dumps(notes) + b"\n")
    return result


def _restored(
    model: PayloadModel, payload: Mapping[str, Any], vault: Vault
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The record as the source gave it, and the contact tokens that stand for its contacts."""
    nested = {item.name for item in model.fields if item.members}
    record: dict[str, Any] = {}
    tokens: dict[str, Any] = {}
    for name, value in payload.items():
        sealed = name.removesuffix("_sealed")
        if name in ("_position", "_record"):
            continue
        if name == "_sealed":
            record.update(json.loads(vault.unseal(value), parse_float=str))
        elif sealed != name and sealed in model.names:
            record[sealed] = vault.unseal(value)
        elif name not in model.names and name.endswith(_CONTACT_PARTS):
            tokens[name] = value
        else:
            record[name] = value
    for name in nested & record.keys():
        if isinstance(record[name], str):
            record[name] = json.loads(record[name], parse_float=str)
    return record, tokens


def _is_token(reason: str, tokens: Mapping[str, Any]) -> bool:
    """Whether a reason only misses a contact that is there as a token."""
    name, _, why = reason.partition(": ")
    return why == MISSING and any(f"{name}{part}" in tokens for part in _CONTACT_PARTS)


def _change(record: dict[str, Any], path: str, value: str, batch: BatchManifest) -> None:
    *way, last = path.split(".")
    target: Any = record
    for step in way:
        if isinstance(target, list) and step.isdecimal() and 1 <= int(step) <= len(target):
            target = target[int(step) - 1]
        elif isinstance(target, dict) and step in target:
            target = target[step]
        else:
            target = None
            break
    if not isinstance(target, dict):
        raise LandingError(
            f"there is no {path!r} in the record",
            where=batch.batch_id,
            next_step="nested records are counted from 1: orders.2.payment",
        )
    if value:
        target[last] = value
    else:
        target.pop(last, None)


def notes_path(settings: Settings, batch: BatchManifest) -> Path:
    """Where it is noted what became of a batch's quarantined records."""
    name = Path(batch.path).name.removesuffix(DATA_SUFFIX)
    return settings.quarantine_dir / Path(batch.path).parent / f"{name}.released.json"


def read_notes(settings: Settings, batch: BatchManifest) -> dict[str, dict[str, Any]]:
    """By line: the batch that a record was released as, or the erasure that took it."""
    path = notes_path(settings, batch)
    try:
        found: dict[str, dict[str, Any]] = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    return found
