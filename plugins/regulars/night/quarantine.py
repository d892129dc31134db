"""Showing and releasing quarantined records, for people."""

import getpass
import os
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from regulars.credentials import CredentialsProvider
from regulars.errors import NightError
from regulars.landing import list_batches
from regulars.landing.quarantine import quarantined_records, release, waiting_count
from regulars.records import BatchManifest
from regulars.settings import Settings
from regulars.state import StateStore
from regulars.vault import open_vault


def print_quarantine(settings: Settings, console: Console) -> None:
    """Every batch of which records still wait, with the commonest reason."""
    table = Table(title="Quarantine", title_justify="left")
    for name in ("batch", "waiting", "released", "commonest reason"):
        table.add_column(name, justify="right" if name in ("waiting", "released") else "left")
    for batch in list_batches(settings):
        if not batch.quarantined_count:
            continue
        waiting = waiting_count(settings, batch)
        reasons = sorted(batch.quarantine_reasons.items(), key=lambda item: (-item[1], item[0]))
        table.add_row(
            batch.batch_id,
            f"{waiting:,}",
            f"{batch.quarantined_count - waiting:,}",
            f"{reasons[0][0]} ({reasons[0][1]:,})" if reasons else "",
        )
    console.print(table)


def print_records(settings: Settings, batch_id: str, limit: int, console: Console) -> None:
    """The waiting records of a batch, field by field.

    Raises:
        NightError: there is no such batch.
    """
    shown = 0
    for record in quarantined_records(settings, find_batch(settings, batch_id)):
        if record.released_as is not None:
            continue
        if shown == limit:
            console.print("… more wait (--limit)", highlight=False)
            return
        shown += 1
        console.rule(f"line {record.line}", align="left")
        for reason in record.reasons:
            console.print(f"✗ {reason}", markup=False, highlight=False, style="red")
        for name, value in record.payload.items():
            text = "(sealed)" if name.endswith("_sealed") else str(value)
            console.print(f"{name:<24} {text}", markup=False, highlight=False)
    if not shown:
        console.print("nothing waits")


def release_records(
    settings: Settings,
    credentials: CredentialsProvider,
    batch_id: str,
    lines: Sequence[int] | None,
    changes: Mapping[str, str],
) -> str:
    """Release records of a batch; a line that says what landed and what is still refused.

    Raises:
        NightError: there is no such batch.
        LandingError: a line does not wait there, or a change points to nothing.
        LeaseHeld: a night runs.
    """
    state = StateStore(settings.resolved_state_url)
    holder = f"regulars quarantine release (pid {os.getpid()})"
    lease = state.lease.acquire("release", holder, settings.lease_seconds, pid=os.getpid())
    try:
        batch = find_batch(settings, batch_id)
        with open_vault(settings.vault_path, credentials(settings.pii_connection)) as vault:
            done = release(
                settings,
                vault,
                batch,
                lines=lines,
                changes=changes,
                at=lease.acquired_at,
                by=getpass.getuser(),
            )
    finally:
        state.lease.release("release", holder)
    text = (
        f"{len(done.lines):,} released as {done.batch.batch_id}; the next night takes them in"
        if done.batch
        else "nothing released"
    )
    if done.refused:
        line, reasons = next(iter(done.refused.items()))
        text += f". Still refused: {len(done.refused):,}, first line {line}: {'; '.join(reasons)}"
    return text


def find_batch(settings: Settings, batch_id: str) -> BatchManifest:
    """The batch of this id.

    Raises:
        NightError: there is none.
    """
    for batch in list_batches(settings):
        if batch.batch_id == batch_id:
            return batch
    raise NightError(
        f"there is no batch {batch_id}",
        where=str(settings.landing_dir),
        next_step="`regulars landing list` shows them",
    )
