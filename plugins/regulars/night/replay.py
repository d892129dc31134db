"""Replays and restatements: a past night built anew beside the warehouse.

A *replay* uses the night's frozen manifest and must come out with the published digest. A
*restatement* looks at the same date with everything that has landed since; it gets a run id of its
own, is kept under ``published/restated/`` and never moves the pointer. Neither ever sends.
"""

import shutil
import time
from dataclasses import dataclass

from regulars.credentials import CredentialsProvider
from regulars.errors import NightError
from regulars.landing import list_batches
from regulars.night import calendar
from regulars.night import manifest as manifests
from regulars.night.manifest import RunManifest, read_manifest, run_id_of
from regulars.night.steps import SUBJECTS
from regulars.queues import load_campaigns
from regulars.records import BatchManifest
from regulars.settings import Settings
from regulars.shops import load_shops
from regulars.state import StateStore
from regulars.transform.runner import Transformer
from regulars.vault import open_vault
from regulars.warehouse import control, publish
from regulars.warehouse.load import load_batches
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

    @property
    def is_equal(self) -> bool:
        """True when the replay gives what was published."""
        return self.digest == self.published_digest

    @property
    def line(self) -> str:
        """One line for a person."""
        if self.is_equal:
            return f"{self.run_id}: replayed, equal digest {self.digest}"
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
        NightError: the date was never published, or a batch of it is missing.
    """
    manifest = read_manifest(settings, run_id_of(calendar.parse_date(wanted)))
    if manifest is None or not manifest.digest:
        raise NightError(
            f"no night of {wanted} was ever published",
            where=str(settings.runs_dir),
            next_step="`regulars status` lists the nights",
        )
    with open_vault(settings.vault_path, credentials(settings.pii_connection)) as vault:
        key_id = vault.key_id
    changed = _changed_since(settings, manifest, key_id)
    digest = _rebuild(settings, manifest, _batches_of(settings, manifest), keep=False)
    return ReplayOutcome(manifest.run_id, digest, manifest.digest, changed)


def restate_night(settings: Settings, credentials: CredentialsProvider, wanted: str) -> str:
    """Build a past date with everything that is known today; the path of the restated marts.

    Raises:
        NightError: the date lies after the last completed night.
    """
    day = calendar.parse_date(wanted)
    state = StateStore(settings.resolved_state_url)
    last = state.nights.last_completed_date()
    published = read_manifest(settings, run_id_of(day))
    if last is None or day > last or published is None:
        raise NightError(
            f"only a completed night can be restated, {day} is none",
            where="regulars replay --restate",
            next_step="`regulars status` lists the nights",
        )
    with open_vault(settings.vault_path, credentials(settings.pii_connection)) as vault:
        key_id = vault.key_id
    batches = manifests.ordered(list_batches(settings))
    manifest = manifests.freeze(
        settings,
        as_of_date=day,
        shops=published.shops,
        batches=batches,
        state_heads=state.stream_heads(),
        key_id=key_id,
    )
    number = 1
    while (settings.runs_dir / f"restated-{day:%Y%m%d}-{number}.json").exists():
        number += 1
    manifest = manifest.model_copy(update={"run_id": f"restated-{day:%Y%m%d}-{number}"})
    digest = _rebuild(settings, manifest, batches, keep=True)
    path = publish.restated_path(settings, manifest.run_id)
    manifests.write_manifest(
        settings,
        manifest.model_copy(update={"digest": digest, "published_file": path.name}),
    )
    return str(path)


def _batches_of(settings: Settings, manifest: RunManifest) -> list[BatchManifest]:
    found = {batch.batch_id: batch for batch in list_batches(settings)}
    batches = []
    for ref in manifest.batches:
        batch = found.get(ref.batch_id)
        if batch is None or batch.sha256 != ref.sha256:
            raise NightError(
                f"batch {ref.batch_id} is {'missing' if batch is None else 'another one'}",
                where=str(settings.landing_dir),
                next_step="restore data/landing from a backup; landing is immutable",
            )
        batches.append(batch)
    return batches


def _rebuild(
    settings: Settings, manifest: RunManifest, batches: list[BatchManifest], *, keep: bool
) -> str:
    folder = settings.data_dir / "replay" / manifest.run_id
    shutil.rmtree(folder, ignore_errors=True)
    scratch = settings.model_copy(update={"data_dir": folder})
    scratch.warehouse_path.parent.mkdir(parents=True)
    state = StateStore(settings.resolved_state_url)
    transformer = Transformer(scratch, time.monotonic)
    try:
        with open_warehouse(scratch, holder="replay") as connection:
            create_tables(connection)
            load_batches(connection, settings.landing_dir, batches)
            control.begin_run(
                connection,
                run_id=manifest.run_id,
                as_of_date=manifest.as_of_date,
                shops=manifest.shops,
                batches=batches,
            )
            control.sync_state(connection, state, manifest.state_heads)
            brands = [brand.brand for brand in load_shops(settings.config_dir).brands]
            campaigns = load_campaigns(settings.config_dir, brands)
            control.write_campaigns(
                connection, [campaign.warehouse_row() for campaign in campaigns]
            )
        transformer.seed()
        for subject, select in SUBJECTS.items():
            transformer.build(subject, select, set())
        with open_warehouse(scratch, holder="replay") as connection:
            digest, _ = publish.digest_marts(connection, "marts")
        if keep:
            target = publish.restated_path(settings, manifest.run_id)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(scratch.marts_path, target)
        return digest
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
    if manifest.fingerprint != today.fingerprint:
        changed.append("config/, dbt_project/ or expectations/")
    if manifest.code_commit != today.code_commit:
        changed.append(f"code {manifest.code_commit[:12]} -> {today.code_commit[:12]}")
    if manifest.key_id != key_id:
        changed.append("the personal-data key")
    return tuple(changed)
