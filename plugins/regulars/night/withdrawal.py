"""Taking a bad batch out of landing, before any night was built on it."""

import getpass
import os

from regulars.errors import NightError
from regulars.landing import withdraw
from regulars.night import manifest as manifests
from regulars.night.manifest import date_of
from regulars.night.quarantine import find_batch
from regulars.records import BatchManifest
from regulars.settings import Settings
from regulars.state import StateStore


def withdraw_batch(settings: Settings, batch_id: str, reason: str) -> str:
    """Withdraw one batch; a line that says where it is and how its records come back.

    Args:
        settings: where landing stands.
        batch_id: as `regulars landing list` shows it.
        reason: why, for whoever finds it; no personal data.

    Raises:
        NightError: there is no such batch, or a night was built on it.
        LeaseHeld: a night runs.
    """
    state = StateStore(settings.resolved_state_url)
    holder = f"regulars landing withdraw (pid {os.getpid()})"
    lease = state.lease.acquire("withdrawal", holder, settings.lease_seconds, pid=os.getpid())
    try:
        batch = find_batch(settings, batch_id)
        _require_unused(settings, state, batch)
        if batch.stored_in is not None:
            # Only what a completed night was built on is compacted: its manifest is lost.
            raise NightError(
                f"{batch_id} is compacted, so a night was built on it",
                where=batch.stored_in.path,
                next_step="restore data/runs from a backup, then let corrected records land",
            )
        folder = withdraw(
            settings, batch, reason=reason, at=lease.acquired_at, by=getpass.getuser()
        )
    finally:
        state.lease.release("withdrawal", holder)
    return f"{batch_id} withdrawn to {folder}. {_way_back(batch)}"


def _require_unused(settings: Settings, state: StateStore, batch: BatchManifest) -> None:
    names = {batch.batch_id}
    if batch.stored_in is not None:
        names.add(batch.stored_in.batch_id)
    for path in sorted(settings.runs_dir.glob("night-????????.json")):
        manifest = manifests.read_manifest(settings, path.stem)
        if manifest is None or names.isdisjoint(ref.batch_id for ref in manifest.batches):
            continue
        night = state.nights.get(date_of(manifest.run_id))
        decided = bool(state.ledger.campaigns_of(manifest.run_id))
        if decided or (night is not None and night.is_completed):
            raise NightError(
                f"{manifest.run_id} was built on {batch.batch_id}, and must stay explainable",
                where=str(path),
                next_step=(
                    "let the corrected records land: the newest version of a record counts, and "
                    "the next night shows it"
                ),
            )


def _way_back(batch: BatchManifest) -> str:
    if batch.origin_sha256 is not None:  # of the file that was dropped
        return (
            f"Drop the corrected file into data/inbox/{batch.shop}/{batch.stream}/, then run the "
            "night again."
        )
    return "The next night asks for its window again."
