"""Replays and restatements: a past night built anew beside the warehouse.

A *replay* uses the night's frozen manifest and must come out with the published digest, apart from
persons erased since: they are not built again, and every row of everybody else must be the same. A
*restatement* looks at the same date with everything that has landed since; it gets a run id of its
own, is kept under ``published/restated/`` and never moves the pointer. Neither ever sends.
"""

import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from regulars.credentials import CredentialsProvider
from regulars.errors import NightError, WarehouseLocked
from regulars.landing import list_batches
from regulars.loyalty import load_loyalty
from regulars.night import calendar
from regulars.night import manifest as manifests
from regulars.night.manifest import RunManifest
from regulars.night.steps import SUBJECTS
from regulars.queues import load_campaigns, load_sending_hours, queue_models
from regulars.records import BatchManifest
from regulars.segments import load_segments
from regulars.settings import Settings
from regulars.shops import Shop, load_shops
from regulars.state import TOMBSTONES, ErasedDigest, StateStore
from regulars.state.lease import ERASING
from regulars.transform.runner import Transformer
from regulars.vault import open_vault
from regulars.warehouse import control, publish
from regulars.warehouse.erase import Content, altered_tables, content_of
from regulars.warehouse.load import load_batches
from regulars.warehouse.lock import holder_of, warehouse_lock
from regulars.warehouse.session import open_warehouse
from regulars.warehouse.tables import create_tables


@dataclass(frozen=True)
class ReplayOutcome:
    """What a replay found."""

    run_id: str
    digest: str
    published_digest: str
    changed_since: tuple[str, ...]
    """Inputs outside the manifest that differ today: code, configuration, engine versions."""
    tombstones: int = 0
    """Tombstones recorded since: what they stand for is not in the replay."""
    counted_without: tuple[str, ...] = ()
    """Marts that differ because sums or means over many persons counted who was erased."""
    is_equal_apart: bool = False
    """True when the replay gives what was published, apart from the tombstones."""

    @property
    def is_equal(self) -> bool:
        """True when the replay gives what was published, apart from who was erased since."""
        return self.digest == self.published_digest or self.is_equal_apart

    @property
    def line(self) -> str:
        """One line for a person."""
        if self.digest == self.published_digest:
            return f"{self.run_id}: replayed, equal digest {self.digest}"
        if self.is_equal_apart:
            counted = ", ".join(self.counted_without)
            return (
                f"{self.run_id}: replayed, equal apart from {self.tombstones} tombstones recorded "
                f"since, digest {self.digest} (published was {self.published_digest})"
                + (f"; counted without them: {counted}" if counted else "")
            )
        why = ", ".join(self.changed_since) or "nothing that the manifest records"
        return (
            f"{self.run_id}: the replay has digest {self.digest}, published was "
            f"{self.published_digest}; changed since: {why}"
        )


def replay_night(
    settings: Settings, credentials: CredentialsProvider, wanted: str
) -> ReplayOutcome:
    """Rebuild the night of a date from its frozen manifest and compare.

    Raises:
        NightError: no night of the date was completed, its manifest or a batch of it is missing or
            another one, or somebody else replays it.
    """
    day = calendar.parse_date(wanted)
    state = StateStore(settings.resolved_state_url)
    night = state.nights.get(day)
    if night is None or not night.is_completed:
        raise NightError(
            f"no night of {wanted} was ever completed",
            where=str(settings.runs_dir),
            next_step="`regulars status` lists the nights; a date that no night was completed for "
            f"is shown by `regulars replay {wanted} --restate`",
        )
    manifest = manifests.require_manifest(settings, night.run_id, night.manifest_sha256)
    with open_vault(settings.vault_path, credentials(settings.pii_connection)) as vault:
        key_id = vault.key_id
    changed = _changed_since(settings, manifest, key_id)
    with _alone(settings, manifest.run_id):
        built = _rebuild(settings, manifest, manifests.resolve(settings, manifest), keep=False)
    outcome = ReplayOutcome(manifest.run_id, built.content.digest, manifest.digest, changed)
    known_then = manifest.state_heads.get(TOMBSTONES, 0)
    if outcome.is_equal or built.tombstone_head == known_then:
        return outcome
    since = built.tombstone_head - known_then
    return _apart_from_tombstones(state, replace(outcome, tombstones=since), built)


def _apart_from_tombstones(
    state: StateStore, outcome: ReplayOutcome, built: "_Built"
) -> ReplayOutcome:
    """Compare with what was recorded of the night when somebody was erased from it.

    Where nothing was recorded, because its published file was gone by then, it is equal by
    construction if nothing else that the manifest lists has changed; else nobody can tell.
    """
    known = next(iter(state.erasures.digests_of(outcome.run_id)), None)
    altered: set[str] = set()
    is_equal = not outcome.changed_since
    if known is not None:
        altered = altered_tables(known.tables, built.content.tables)
        is_same = not altered if known.basis == "rebuilt" else not altered & built.content.persons
        is_older = known.tombstone_head < built.tombstone_head
        is_equal = is_same or (is_older and is_equal)
    if is_equal:
        state.erasures.record_digest(
            ErasedDigest(
                outcome.run_id,
                built.tombstone_head,
                "rebuilt",
                built.content.digest,
                built.content.tables,
            )
        )
    return replace(
        outcome,
        is_equal_apart=is_equal,
        counted_without=tuple(sorted(altered)) if is_equal else (),
    )


def restate_night(settings: Settings, credentials: CredentialsProvider, wanted: str) -> str:
    """Build a past date with everything that is known today; the path of the restated marts.

    A date whose night was completed is restated for the shops of its manifest; one that was skipped
    for the shops of today.

    Raises:
        NightError: the date lies after the last completed night, or somebody else restates it.
    """
    day = calendar.parse_date(wanted)
    state = StateStore(settings.resolved_state_url)
    last = state.nights.last_completed_date()
    if last is None or day > last:
        raise NightError(
            f"{day} is not over in this warehouse: "
            + (f"the last completed night is {last}" if last else "no night was completed yet"),
            where="regulars replay --restate",
            next_step=f"run the night of {day}, or name a date before it",
        )
    with _alone(settings, f"restated-{day:%Y%m%d}"):
        return _restate(settings, credentials, state, day)


def _restate(
    settings: Settings, credentials: CredentialsProvider, state: StateStore, day: date
) -> str:
    night = state.nights.get(day)
    shops: Iterable[Shop] = load_shops(settings.shops_path).shops
    if night is not None and night.is_completed:
        shops = manifests.require_manifest(settings, night.run_id, night.manifest_sha256).shops
    with open_vault(settings.vault_path, credentials(settings.pii_connection)) as vault:
        key_id = vault.key_id
    batches = manifests.ordered(list_batches(settings))
    manifest = manifests.freeze(
        settings,
        as_of_date=day,
        shops=shops,
        batches=batches,
        state_heads=state.stream_heads(),
        key_id=key_id,
    )
    number = 1
    while (settings.runs_dir / f"restated-{day:%Y%m%d}-{number}.json").exists():
        number += 1
    manifest = manifest.model_copy(update={"run_id": f"restated-{day:%Y%m%d}-{number}"})
    digest = _rebuild(settings, manifest, batches, keep=True).content.digest
    path = publish.restated_path(settings, manifest.run_id)
    manifests.write_manifest(
        settings,
        manifest.model_copy(update={"digest": digest, "published_file": path.name}),
    )
    return str(path)


@dataclass(frozen=True)
class _Built:
    """What a rebuild came to, and the last tombstone it was held against."""

    content: Content
    tombstone_head: int


@contextmanager
def _alone(settings: Settings, name: str) -> Iterator[None]:
    """Hold the folder that a replay of this name is built in, from the outside.

    First the folder is held, then the lease is looked at. An erasure does both the other way round
    (:func:`running_replays`), so the one or the other sees that it is not alone.

    Raises:
        NightError: somebody else is at it, or erases a person; names the process.
    """
    with ExitStack() as stack:
        try:
            lock = warehouse_lock(
                _folder(settings, name), holder=f"replay of {name}", wait_seconds=0.0
            )
            stack.enter_context(lock)
        except WarehouseLocked as error:
            holder = error.what.partition(" has held ")[0]
            raise NightError(
                f"{holder} is at it already",
                where=error.where,
                next_step="wait until it has ended, then replay again",
            ) from error
        busy = StateStore(settings.resolved_state_url).lease.living()
        if busy is not None and busy.run_id == ERASING:
            raise NightError(
                f"{busy.holder} erases a person",
                where=name,
                next_step="wait until it has ended, then replay again: it is built without them",
            )
        yield


def running_replays(settings: Settings) -> list[str]:
    """Who replays or restates a night at this moment, and which."""
    locks = sorted((settings.data_dir / "replay").glob("*.lock"))
    return [who for path in locks if (who := holder_of(path))]


def _folder(settings: Settings, name: str) -> Path:
    return settings.data_dir / "replay" / name


def _rebuild(
    settings: Settings, manifest: RunManifest, batches: list[BatchManifest], *, keep: bool
) -> _Built:
    folder = _folder(settings, manifest.run_id)
    shutil.rmtree(folder, ignore_errors=True)
    scratch = settings.model_copy(update={"data_dir": folder})
    scratch.warehouse_path.parent.mkdir(parents=True)
    state = StateStore(settings.resolved_state_url)
    erased = state.erasures.keys()
    transformer = Transformer(scratch, time.monotonic)
    try:
        with open_warehouse(scratch, holder="replay") as connection:
            create_tables(connection)
            load_batches(connection, settings.landing_dir, batches, erased=erased)
            control.begin_run(
                connection,
                run_id=manifest.run_id,
                as_of_date=manifest.as_of_date,
                shops=manifest.shops,
                batches=batches,
            )
            control.sync_state(connection, state, manifest.state_heads)
            shops = load_shops(settings.shops_path)
            brands = [brand.brand for brand in shops.brands]
            models = queue_models(settings.dbt_project_dir)
            campaigns = load_campaigns(settings.config_dir, brands, models)
            control.write_campaigns(
                connection, [campaign.warehouse_row() for campaign in campaigns]
            )
            hours = load_sending_hours(settings.config_dir)
            control.write_sending_hours(connection, hours.warehouse_row())
            loyalty = load_loyalty(settings.config_dir, shops)
            control.write_loyalty(connection, loyalty.warehouse_tables())
            segments = load_segments(settings.config_dir, settings.dbt_project_dir / "seeds", shops)
            control.write_segments(connection, segments.warehouse_tables())
        transformer.seed()
        for subject, select in SUBJECTS.items():
            transformer.build(subject, select, set())
        with open_warehouse(scratch, holder="replay") as connection:
            content = content_of(connection, "marts", state.erasures.reach())
            built = _Built(content, erased.head)
        if keep:
            target = publish.restated_path(settings, manifest.run_id)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(scratch.marts_path, target)
        return built
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _changed_since(settings: Settings, manifest: RunManifest, key_id: str) -> tuple[str, ...]:
    today = manifests.freeze(
        settings,
        as_of_date=manifest.as_of_date,
        shops=manifest.shops,
        batches=[],
        state_heads={},
        key_id=key_id,
    )
    changed = [
        f"{name} {manifest.versions.get(name)} -> {found}"
        for name, found in today.versions.items()
        if manifest.versions.get(name) != found
    ]
    if (manifest.published_fingerprint or manifest.fingerprint) != today.fingerprint:
        changed.append("config/, dbt_project/ or expectations/")
    built_by = manifest.published_commit or manifest.code_commit
    if built_by != today.code_commit:
        changed.append(f"code {built_by[:12]} -> {today.code_commit[:12]}")
    if manifest.key_id != key_id:
        changed.append("the personal-data key")
    return tuple(changed)
