"""The run manifest: everything that a night's content is a function of. Kept for ever."""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterable
from datetime import date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from regulars import __version__
from regulars.errors import NightError
from regulars.landing import list_batches
from regulars.records import BatchManifest
from regulars.settings import PROJECT_ROOT, Settings
from regulars.shops import Shop
from regulars.state import run_id_of as run_id_of

_OF_COMPLETION = ("digest", "published_file", "published_fingerprint", "published_commit")
"""What is written into a frozen manifest when its night has been published."""

_ENGINES = ("duckdb", "dbt-core", "dbt-duckdb", "great-expectations")


class Nights(Protocol):
    """The part of ``regulars.state.StateStore.nights`` that a manifest needs."""

    def freeze_manifest(self, run_id: str, sha256: str) -> None:
        """Record the manifest that a night is built from."""
        ...


class BatchRef(BaseModel):
    """One batch of a run by its content, or a compacted one for all that it holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch_id: str
    sha256: str


class RunManifest(BaseModel):
    """``data/runs/<run_id>.json``.

    Attributes:
        batches: every batch the content is built from, in a fixed order; a compacted one stands
            for all that it holds (:func:`resolve`).
        state_heads: last sequence number of each stream of recorded state that the run may see.
        fingerprint: SHA-256 over config/, seeds, models, macros and expectations, as they stood
            when the night decided.
        published_fingerprint: the same when its marts were published; empty until then. It differs
            where a night was ended by newer code than it was begun with.
        published_commit: the commit of the code that published it; empty until then.
        key_id: id of the personal-data key whose hashes stand in the batches.
        visible_until: per shop, the instant (UTC, exclusive) at which its day ``as_of_date`` ends.
        digest: digest of the marts as published; empty until then.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_id: str
    as_of_date: date
    batches: tuple[BatchRef, ...]
    shops: tuple[Shop, ...]
    visible_until: dict[str, datetime]
    state_heads: dict[str, int]
    fingerprint: str
    code_version: str
    code_commit: str
    versions: dict[str, str]
    key_id: str
    digest: str = ""
    published_file: str = ""
    published_fingerprint: str = ""
    published_commit: str = ""


def date_of(run_id: str) -> date:
    """Business date of a night's run id.

    Raises:
        NightError: the text is no run id.
    """
    digits = run_id.removeprefix("night-")
    try:
        day = date.fromisoformat(f"{digits[:4]}-{digits[4:6]}-{digits[6:]}")
    except ValueError:
        day = None
    if day is None or run_id != run_id_of(day):
        raise NightError(
            f"{run_id!r} is not a run id",
            where="run id",
            next_step="run ids look like night-20171001; `regulars status` lists them",
        )
    return day


def ordered(batches: Iterable[BatchManifest]) -> list[BatchManifest]:
    """Batches in the manifest's order, which no directory listing or clock can change."""
    return sorted(batches, key=lambda batch: (batch.window_date, batch.source, batch.batch_id))


def refs_of(batches: Iterable[BatchManifest]) -> tuple[BatchRef, ...]:
    """How a manifest lists batches: a compacted one stands for its members where all are meant.

    Else the manifest of a shop that is asked every quarter of an hour would grow by 35,000 names
    a year, every night's by all of them.
    """
    refs: dict[BatchRef, None] = {}
    meant = ordered(batches)
    whole = _whole_compacted(meant)
    for one in meant:
        stored = one.stored_in
        if stored is not None and stored.batch_id in whole:
            refs[BatchRef(batch_id=stored.batch_id, sha256=stored.sha256)] = None
        else:
            refs[BatchRef(batch_id=one.batch_id, sha256=one.sha256)] = None
    return tuple(refs)


def resolve(settings: Settings, manifest: RunManifest) -> list[BatchManifest]:
    """The batches that a run is made of, as they stand in landing today, compacted or not.

    A manifest that was written before its batches were compacted names them, a later one names
    what they stand in; both give the same batches in the same order.

    Raises:
        NightError: some are missing, or another one stands under the name of one.
    """
    named: dict[str, tuple[str, list[BatchManifest]]] = {}
    for batch in list_batches(settings):
        named[batch.batch_id] = (batch.sha256, [batch])
        if (stored := batch.stored_in) is not None:
            named.setdefault(stored.batch_id, (stored.sha256, []))[1].append(batch)
    batches: list[BatchManifest] = []
    missing: list[str] = []
    for ref in manifest.batches:
        sha256, here = named.get(ref.batch_id, (None, []))
        if sha256 != ref.sha256:
            missing.append(f"{ref.batch_id} is {'another one' if here else 'missing'}")
        batches.extend(here)
    if missing:
        raise NightError(
            f"{len(missing)} batches of the manifest are not in landing: batch {missing[0]}",
            where=manifest.run_id,
            next_step="restore data/landing from a backup; landing is immutable",
        )
    return ordered(batches)


def batch_ids(settings: Settings, manifest: RunManifest) -> set[str]:
    """Ids of the batches that a run is made of, members of compacted ones for these.

    Batches that are not in landing any more stand under the name that the manifest gives them.
    """
    ids = {ref.batch_id for ref in manifest.batches}
    for batch in list_batches(settings):
        if batch.stored_in is not None and batch.stored_in.batch_id in ids:
            ids.add(batch.batch_id)
    return ids


def _whole_compacted(batches: Iterable[BatchManifest]) -> set[str]:
    """Ids of the compacted batches of which every member is there."""
    there: dict[str, int] = {}
    whole: set[str] = set()
    for stored in (one.stored_in for one in batches if one.stored_in):
        there[stored.batch_id] = there.get(stored.batch_id, 0) + 1
        if there[stored.batch_id] == stored.members:
            whole.add(stored.batch_id)
    return whole


def manifest_path(settings: Settings, run_id: str) -> Path:
    """Where the manifest of a run stands."""
    return settings.runs_dir / f"{run_id}.json"


def read_manifest(
    settings: Settings, run_id: str, *, frozen_sha256: str | None = None
) -> RunManifest | None:
    """The manifest of a run; None when there is none.

    Args:
        settings: where manifests stand.
        run_id: the run.
        frozen_sha256: what recorded state says of it, where its night has decided.

    Raises:
        NightError: the file is there and is no manifest, or not the one that was frozen.
    """
    path = manifest_path(settings, run_id)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        manifest = RunManifest.model_validate_json(text)
    except ValueError as error:
        raise _damaged(path, "is damaged") from error
    if frozen_sha256 is not None and _sha256_as_frozen(text) != frozen_sha256:
        raise _damaged(path, "is not the one that the night decided from")
    return manifest


def require_manifest(settings: Settings, run_id: str, frozen_sha256: str | None) -> RunManifest:
    """The manifest of a night that has decided or ended.

    Raises:
        NightError: the file is lost, damaged, or not the one that was frozen.
    """
    manifest = read_manifest(settings, run_id, frozen_sha256=frozen_sha256)
    if manifest is None:
        raise _damaged(manifest_path(settings, run_id), "is lost")
    return manifest


def _damaged(path: Path, how: str) -> NightError:
    return NightError(
        f"the run manifest {how}",
        where=str(path),
        next_step="restore it from the backup of data/runs; it is the only record of what the run "
        "was made of",
    )


def _sha256_as_frozen(text: str) -> str:
    """SHA-256 of a manifest without what its night's completion wrote into it.

    From the text, not from the model: a field that the model has gained since changes nothing.
    """
    document = json.loads(text)
    document.update({name: "" for name in _OF_COMPLETION if name in document})
    return hashlib.sha256(_text_of(document).encode()).hexdigest()


def _text_of(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def write_manifest(settings: Settings, manifest: RunManifest) -> Path:
    """Write a manifest atomically; an earlier, different one is kept beside it, numbered."""
    document = manifest.model_dump(mode="json")
    return _write(manifest_path(settings, manifest.run_id), _text_of(document))


def freeze_manifest(settings: Settings, manifest: RunManifest, nights: Nights) -> None:
    """Write the manifest and record its SHA-256, by which it is known from then on.

    Raises:
        NightError: the night has decided from another manifest.
    """
    path = write_manifest(settings, manifest)
    nights.freeze_manifest(manifest.run_id, hashlib.sha256(path.read_bytes()).hexdigest())


def note_publication(settings: Settings, run_id: str, *, digest: str, file: str) -> None:
    """Write into a frozen manifest what came of it, and with which code; the rest stays.

    Args:
        settings: where manifests stand.
        run_id: a run whose manifest exists.
        digest: of the marts as published.
        file: name of the published marts.
    """
    path = manifest_path(settings, run_id)
    document = json.loads(path.read_text(encoding="utf-8"))
    told = (digest, file, fingerprint(settings), code_commit())
    document.update(zip(_OF_COMPLETION, told, strict=True))
    _write(path, _text_of(document))


def _write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.read_text(encoding="utf-8") != content:
        number = 1
        while (kept := path.with_suffix(f".{number}.json")).exists():
            number += 1
        kept.write_bytes(path.read_bytes())
    part = path.with_suffix(".json.part")
    with part.open("w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return path


def fingerprint(settings: Settings) -> str:
    """SHA-256 over everything people edit that shapes a night's content."""
    digest = hashlib.sha256()
    roots = (
        (settings.config_dir, ("*.yml", "*.txt")),
        (settings.dbt_project_dir, ("*.sql", "*.yml", "*.csv")),
        (settings.expectations_dir, ("*.yml",)),
    )
    for root, patterns in roots:
        files = {path for pattern in patterns for path in root.rglob(pattern)}
        for path in sorted(files):
            if "target" in path.relative_to(root).parts:
                continue
            digest.update(f"{root.name}/{path.relative_to(root)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    if settings.shops_file:
        digest.update(hashlib.sha256(settings.shops_path.read_bytes()).digest())
    return digest.hexdigest()


def code_commit() -> str:
    """Commit of the running code: REGULARS_CODE_COMMIT, else git's answer, else ``unknown``."""
    given = os.environ.get("REGULARS_CODE_COMMIT")
    if given:
        return given
    try:
        answer = subprocess.run(  # noqa: S603 - fixed arguments
            ["git", "-C", str(PROJECT_ROOT), "rev-parse", "HEAD"],  # noqa: S607 - the PATH's git
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return answer.stdout.strip()


def freeze(
    settings: Settings,
    *,
    as_of_date: date,
    shops: Iterable[Shop],
    batches: Iterable[BatchManifest],
    state_heads: dict[str, int],
    key_id: str,
) -> RunManifest:
    """Put together the manifest of a night as of now. Nothing is written."""
    listed = tuple(shops)
    return RunManifest(
        run_id=run_id_of(as_of_date),
        as_of_date=as_of_date,
        batches=refs_of(batches),
        shops=listed,
        visible_until={shop.shop: shop.day_end(as_of_date) for shop in listed},
        state_heads=dict(sorted(state_heads.items())),
        fingerprint=fingerprint(settings),
        code_version=__version__,
        code_commit=code_commit(),
        versions={name: version(name) for name in _ENGINES},
        key_id=key_id,
    )
