"""Whose record a landed record is: finding a person in landing, and taking one out of quarantine.

Landing is immutable: nothing is taken out of it. What may be rewritten is quarantine, because no
night was ever built on it, and what it holds sealed could be opened with the vault's key.
"""

import codecs
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
    list_withdrawn,
    read_batch,
    write_durably,
)
from regulars.landing.quarantine import ERASED_NOTE, notes_path, read_notes
from regulars.progress import report
from regulars.records import BatchManifest
from regulars.settings import Settings
from regulars.sources import payload_model, raw_links
from regulars.sources.payloads import Refers, names_buyer
from regulars.vault import Vault
from regulars.vault.contacts import contacts_in
from regulars.vault.keys import REFERENCE_PREFIX

_TEXT_FILES = (".csv",)
_SEARCHABLE = ("utf-8", "gb18030")
"""Encodings in which ASCII stands as it is."""
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
        buyers, orders, messages: native ids of the record's own fields; masked ones are nobody's.
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
        return payload_model(self.batch.source, self.batch.stream).defines


def iter_mentions(
    settings: Settings, batches: Iterable[BatchManifest], *, root: Path | None = None
) -> Iterator[Mention]:
    """Every record of the batches, in their order.

    Args:
        settings: where landing stands.
        batches: manifests.
        root: the folder that they are below, if it is not landing.

    Raises:
        LandingError: a file is missing or damaged.
    """
    for batch in batches:
        if not batch.record_count:
            continue
        links = raw_links(batch.source, batch.stream)
        if not links and batch.key_id is None:
            continue
        for record in read_batch(settings, batch, root=root):
            yield _mention(batch, links, record)


def iter_withdrawn(settings: Settings) -> Iterator[Mention]:
    """Every record of the withdrawn batches, as far as they can be read.

    A batch may have been withdrawn because its data is damaged: that must keep nobody from being
    erased.
    """
    for batch in list_withdrawn(settings):
        try:
            yield from iter_mentions(settings, [batch], root=settings.withdrawn_dir)
        except LandingError as error:
            report(f"{batch.batch_id} was withdrawn and is searched only in part: {error.what}")


def iter_refused(
    settings: Settings, vault: Vault, batches: Iterable[BatchManifest]
) -> Iterator[Mention]:
    """Every record of the batches that was put aside and still has its content.

    Raises:
        LandingError: a file is damaged.
        VaultKeyError: something was sealed with another key.
    """
    for batch in batches:
        path = settings.quarantine_dir / batch.path
        if not batch.quarantined_count or not path.exists():
            continue
        links = raw_links(batch.source, batch.stream)
        for text in _lines(path):
            record = orjson.loads(text)
            if ERASED_NOTE not in record:
                yield _mention(batch, links, {**_opened(record, links, vault), **record})


def _opened(
    record: Mapping[str, Any], links: Mapping[str, Refers], vault: Vault
) -> Mapping[str, Any]:
    """What a refused record's sealed parts say of whose it is."""
    found = {
        name: vault.unseal(record[f"{name}_sealed"]) for name in links if f"{name}_sealed" in record
    }
    if "_sealed" in record:
        whole = json.loads(vault.unseal(record["_sealed"]), parse_int=str, parse_float=str)
        if isinstance(whole, dict):
            found |= {name: whole[name] for name in links if isinstance(whole.get(name), str)}
    return found


def _mention(
    batch: BatchManifest, links: Mapping[str, Refers], record: Mapping[str, Any]
) -> Mention:
    found: dict[Refers, list[str]] = {"buyer": [], "order": [], "message": []}
    for name, refers in links.items():
        value = record.get(name)
        if isinstance(value, str) and value and (refers != "buyer" or names_buyer(value)):
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
        elif (
            name.endswith("_ref") and isinstance(value, str) and value.startswith(REFERENCE_PREFIX)
        ):
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


def clear_refused(
    settings: Settings,
    vault: Vault,
    traces: Traces,
    erasure_id: str,
    batches: Iterable[BatchManifest],
) -> int:
    """Take a person's refused records of some batches out of quarantine; how many.

    For a night: what was refused of somebody erased before must not wait there.

    Raises:
        LandingError: a file is damaged or cannot be written.
        VaultKeyError: something was sealed with another key.
    """
    count = 0
    for batch in batches:
        path = settings.quarantine_dir / batch.path
        if not batch.quarantined_count or not path.exists():
            continue
        place = path.relative_to(settings.quarantine_dir).parts
        new, marked = _clear_records(path, place, vault, traces, erasure_id)
        if marked:
            _note_erased(settings, batch, marked, erasure_id)
        count += new
    return count


def clear_quarantine(settings: Settings, vault: Vault, traces: Traces, erasure_id: str) -> Cleared:
    """Take a person's refused records out of quarantine, withdrawn batches' included.

    A record is the person's when it names one of their ids or contacts, or when what is sealed in
    it does. Its line stays as a mark without content, so that counts stand. A file that was refused
    as a whole goes if it holds one of them. One that cannot be searched (it is compressed, or in an
    encoding that nobody knows) goes if they are known at its shop, or by a contact, which may stand
    in a file of any shop: a refused file is delivered again, complete.

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
    found: bool | None = None
    if name.lower().endswith(_TEXT_FILES):
        plain = traces.telling_contacts() | traces.telling_ids(platform, shop)
        found = _holds(vault.sealed_blocks(path), plain)
    if found is None:
        found = bool(traces.ids_of(platform, shop) or traces.contacts or traces.plain)
    if found:
        with landing_errors(path):
            path.unlink(missing_ok=True)
    return found


def _holds(blocks: Iterable[bytes], texts: Collection[str]) -> bool | None:
    """Whether one of the texts stands in the blocks; None if they cannot be searched for it.

    Blocks are searched across their borders. Ids and contacts are ASCII, and in UTF-8 and GB18030
    they stand as they are; in UTF-16 there is a NUL in each of their characters.
    """
    decoders = {name: codecs.getincrementaldecoder(name)("strict") for name in _SEARCHABLE}
    rest = b""
    for block in blocks:
        for name in list(decoders):
            try:
                decoders[name].decode(block)
            except UnicodeDecodeError:
                del decoders[name]
        if b"\0" in block or not decoders:
            return None
        whole = rest + block
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
    known = {**_opened(record, links, vault), **record}
    if any(known.get(name) in ids.get(refers, ()) for name, refers in links.items()):
        return True
    for name, value in record.items():
        if name.endswith("_sealed") and isinstance(value, str):
            plain = vault.unseal(value)
            if any(text in _searchable(plain) for text in traces.telling_contacts()):
                return True
            # The plain contact may be gone already: an interrupted erasure knows hashes alone.
            if any(vault.hash_of(*one) in traces.contacts for one in contacts_in(plain)):
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
