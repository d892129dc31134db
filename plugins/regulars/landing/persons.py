"""Whose record a landed record is: finding a person in landing, and taking one out of quarantine.

Landing is immutable: nothing is taken out of it. What may be rewritten is quarantine, because no
night was ever built on it, and what it holds sealed could be opened with the vault's key.
"""

import io
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import zstandard

from regulars.errors import LandingError
from regulars.landing.batches import (
    DATA_SUFFIX,
    landing_errors,
    list_batches,
    read_batch,
    write_durably,
)
from regulars.landing.quarantine import ERASED_NOTE, notes_path, read_notes
from regulars.records import BatchManifest
from regulars.settings import Settings
from regulars.sources import raw_links
from regulars.sources.payloads import Refers
from regulars.vault import Vault

_TOKEN = "ct_"  # noqa: S105 - what tokens of the vault begin with
_TEXT_FILES = (".csv",)
_TELLING = 7
"""Characters from which on a number found in running text is taken for the one looked for."""
_OVERLAP = 512
"""Bytes of a block that are looked at again with the next: more than any id or contact has."""
_NOISE = re.compile(r"[\s\-()（）.·　]+")


@dataclass(frozen=True, slots=True)
class Mention:
    """What one record says about whose it is.

    Attributes:
        batch: where it landed.
        line: its number there.
        buyers, orders, messages: native ids of the record's own fields.
        contacts: keyed hashes of the contacts in it.
    """

    batch: BatchManifest
    line: int
    buyers: tuple[str, ...]
    orders: tuple[str, ...]
    messages: tuple[str, ...]
    contacts: tuple[str, ...]

    @property
    def defines(self) -> Refers | None:
        """What this record is the record of: an order's or a message's own, or neither."""
        own: dict[str, Refers] = {"orders": "order", "sends": "message"}
        return own.get(self.batch.stream)


def iter_mentions(settings: Settings, batches: Iterable[BatchManifest]) -> Iterator[Mention]:
    """Every record of the batches, in their order.

    Raises:
        LandingError: a file is missing or damaged.
    """
    for batch in batches:
        if not batch.record_count:
            continue
        links = raw_links(batch.source, batch.stream)
        if not links and batch.key_id is None:
            continue
        for record in read_batch(settings, batch):
            yield _mention(batch, links, record)


def _mention(
    batch: BatchManifest, links: Mapping[str, Refers], record: Mapping[str, Any]
) -> Mention:
    found: dict[Refers, list[str]] = {"buyer": [], "order": [], "message": []}
    for name, refers in links.items():
        value = record.get(name)
        if isinstance(value, str) and value:
            found[refers].append(value)
    return Mention(
        batch,
        record["_line"],
        tuple(found["buyer"]),
        tuple(found["order"]),
        tuple(found["message"]),
        tuple(_contacts(record)),
    )


def _contacts(record: Mapping[str, Any]) -> Iterator[str]:
    """Hashes that stand beside a token, nested records included."""
    for name, value in record.items():
        if isinstance(value, list):
            for one in value:
                if isinstance(one, dict):
                    yield from _contacts(one)
        elif name.endswith("_ref") and isinstance(value, str) and value.startswith(_TOKEN):
            hashed = record.get(f"{name.removesuffix('_ref')}_hash")
            if isinstance(hashed, str):
                yield hashed


# -- quarantine ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Traces:
    """What a person may be recognised by in what was refused.

    Attributes:
        ids: (platform, shop) -> native ids of the person there, by what they stand for.
        contacts: keyed hashes.
        plain: contacts in plain text, for what is sealed. Never shown, never written.
    """

    ids: Mapping[tuple[str, str], Mapping[Refers, frozenset[str]]]
    contacts: frozenset[str]
    plain: frozenset[str] = field(default=frozenset(), repr=False)

    def ids_of(self, platform: str, shop: str) -> Mapping[Refers, frozenset[str]]:
        """Native ids of the person at a shop."""
        return self.ids.get((platform, shop), {})

    def telling_ids(self, platform: str, shop: str) -> frozenset[str]:
        """Those ids that are found in running text without meaning something else there."""
        ids = self.ids_of(platform, shop).values()
        return frozenset(one for some in ids for one in some if len(one) >= _TELLING)

    def telling_contacts(self) -> frozenset[str]:
        """Numbers and addresses, as :func:`_searchable` writes them; a name tells too little."""
        return frozenset(
            _searchable(text)
            for text in self.plain
            if "@" in text or sum(map(str.isdigit, text)) >= _TELLING
        )


@dataclass
class Cleared:
    """What was taken out of quarantine: records, and files that had been refused as a whole."""

    records: int = 0
    files: int = 0


def quarantined_contacts(settings: Settings, vault: Vault, traces: Traces) -> frozenset[str]:
    """Keyed hashes of the contacts that stand in a person's refused records.

    Raises:
        LandingError: a file is damaged.
        VaultKeyError: something was sealed with another key.
    """
    found: set[str] = set()
    for path, place in _quarantined(settings):
        for text in _lines(path):
            record = orjson.loads(text)
            if ERASED_NOTE not in record and _is_theirs(record, place, vault, traces):
                found.update(_contacts(record))
    return frozenset(found)


def _quarantined(settings: Settings) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Files of refused records, and what their folders say: source, platform, shop, stream."""
    for root, pattern in (
        (settings.quarantine_dir, f"*{DATA_SUFFIX}"),
        (settings.withdrawn_dir, f"quarantined-*{DATA_SUFFIX}"),
    ):
        for path in sorted(root.rglob(pattern)):
            yield path, path.relative_to(root).parts


def clear_quarantine(settings: Settings, vault: Vault, traces: Traces, erasure_id: str) -> Cleared:
    """Take a person's refused records out of quarantine, withdrawn batches' included.

    A record is the person's when it names one of their ids or contacts, or when what is sealed in
    it does. Its line stays as a mark without content, so that counts stand. A file that was refused
    as a whole goes if it holds one of them; one of their shops' that cannot be searched (it is
    compressed) goes in any case: a refused file is delivered again, complete.

    Only for the holder of the run lease. Repeating it finishes what a killed one began.

    Raises:
        LandingError: a file is damaged or cannot be written.
        VaultKeyError: something was sealed with another key.
    """
    done = Cleared()
    roots = (settings.quarantine_dir, settings.withdrawn_dir)
    for path in sorted(path for root in roots for path in root.rglob("*.sealed")):
        if _clear_file(path, vault, traces):
            done.files += 1
    batches = {settings.quarantine_dir / one.path: one for one in list_batches(settings)}
    for path, place in _quarantined(settings):
        new, marked = _clear_records(path, place, vault, traces, erasure_id)
        if marked and path in batches:
            _note_erased(settings, batches[path], marked, erasure_id)
        done.records += new
    return done


def _clear_file(path: Path, vault: Vault, traces: Traces) -> bool:
    note_path = path.with_suffix(".rejected.json")
    try:
        name = str(orjson.loads(note_path.read_bytes()).get("file", ""))
    except (OSError, ValueError):
        name = ""
    # <source>/<platform>/<shop>/<stream>/<date>/<file>
    platform, shop = path.parts[-5], path.parts[-4]
    if name.lower().endswith(_TEXT_FILES):
        plain = traces.telling_contacts() | traces.telling_ids(platform, shop)
        found = _holds(vault.sealed_blocks(path), plain)
    else:
        found = bool(traces.ids_of(platform, shop))
    if found:
        with landing_errors(path):
            path.unlink(missing_ok=True)
    return found


def _holds(blocks: Iterable[bytes], texts: Collection[str]) -> bool:
    """Whether one of the texts stands in the blocks, across their borders as well."""
    rest = b""
    for block in blocks:
        whole = rest + block
        # Ids and contacts are ASCII, in whatever encoding the rest of the file is.
        readable = whole.decode("ascii", errors="replace")
        if any(text in seen for seen in (readable, _searchable(readable)) for text in texts):
            return True
        rest = whole[-_OVERLAP:]
    return False


def _searchable(text: str) -> str:
    """Text as contacts are compared in it: lower case, without what people put between digits."""
    return _NOISE.sub("", text).lower()


def _clear_records(
    path: Path, place: tuple[str, ...], vault: Vault, traces: Traces, erasure_id: str
) -> tuple[int, list[int]]:
    """How many records were the person's, and every line of the file that is a mark now."""
    kept: list[bytes] = []
    marked: list[int] = []
    new = 0
    for text in _lines(path):
        record = orjson.loads(text)
        if ERASED_NOTE in record:
            marked.append(record["_line"])
        elif _is_theirs(record, place, vault, traces):
            new += 1
            marked.append(record["_line"])
            mark = {"_line": record["_line"], "_reasons": [], ERASED_NOTE: erasure_id}
            text = orjson.dumps(mark)
        kept.append(text)
    if new:
        packed = io.BytesIO()
        with zstandard.ZstdCompressor().stream_writer(packed, closefd=False) as stream:
            stream.write(b"\n".join(kept) + b"\n")
        with landing_errors(path):
            write_durably(path, packed.getvalue())
    return new, marked


def _is_theirs(
    record: Mapping[str, Any], place: tuple[str, ...], vault: Vault, traces: Traces
) -> bool:
    source, platform, shop, stream = place[:4]
    ids = traces.ids_of(platform, shop)
    links = raw_links(source, stream)
    if not traces.contacts.isdisjoint(_contacts(record)):
        return True
    for name, value in record.items():
        if not isinstance(value, str):
            continue
        if name in links and value in ids.get(links[name], ()):
            return True
        if name.endswith("_sealed"):
            plain = vault.unseal(value)
            if any(text in _searchable(plain) for text in traces.telling_contacts()):
                return True
            # A record that could not be told apart is JSON: an id is a text of its own in it.
            if any(json.dumps(one) in plain for one in traces.telling_ids(platform, shop)):
                return True
    return False


def _lines(path: Path) -> list[bytes]:
    try:
        with landing_errors(path), path.open("rb") as file:
            plain: bytes = zstandard.ZstdDecompressor().stream_reader(file).read()
    except zstandard.ZstdError:
        raise LandingError(
            "the quarantined records are damaged",
            where=str(path),
            next_step="restore the file from a backup",
        ) from None
    return plain.splitlines()


def _note_erased(
    settings: Settings, batch: BatchManifest, lines: Iterable[int], erasure_id: str
) -> None:
    """They wait for nobody any more."""
    notes = read_notes(settings, batch)
    for line in lines:
        notes.setdefault(str(line), {"batch_id": erasure_id})
    with landing_errors(settings.quarantine_dir):
        write_durably(notes_path(settings, batch), orjson.dumps(notes) + b"\n")
