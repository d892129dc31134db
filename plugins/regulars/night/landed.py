"""Looking at one landed batch, and letting the next night take it in once more."""

import os
from datetime import UTC

from rich.console import Console

from regulars.errors import NightError
from regulars.landing import read_batch, verify
from regulars.landing.quarantine import waiting_count
from regulars.night.quarantine import find_batch
from regulars.settings import Settings
from regulars.state import StateStore
from regulars.warehouse.control import release_batches
from regulars.warehouse.load import reload_batches
from regulars.warehouse.session import open_warehouse
from regulars.warehouse.tables import create_tables


def print_batch(settings: Settings, batch_id: str, limit: int, console: Console) -> None:
    """What a batch is and its first records; contacts are tokens, never plain.

    Raises:
        NightError: there is no such batch.
        LandingError: its file is damaged.
    """
    batch = find_batch(settings, batch_id)
    facts = {
        "shop": f"{batch.shop} ({batch.source}, {batch.platform}, brand {batch.brand})",
        "stream": batch.stream,
        "window date": str(batch.window_date),
        "window": f"{batch.window_start} to {batch.window_end}" if batch.window_start else "none",
        "origin": batch.origin,
        "extracted at": batch.extracted_at.astimezone(UTC).isoformat(),
        "file": f"data/landing/{batch.data_path}",
        "compacted in": batch.stored_in.batch_id if batch.stored_in else "not compacted",
        "sha256": batch.sha256,
        "records": f"{batch.record_count:,}",
        "quarantined": f"{batch.quarantined_count:,}, "
        f"{waiting_count(settings, batch):,} of them wait",
        "unknown fields": ", ".join(batch.unknown_fields) or "none",
    }
    for name, value in facts.items():
        console.print(f"{name:<16} {value}", markup=False, highlight=False)
    for number, record in enumerate(read_batch(settings, batch)):
        if number == limit:
            console.print("… more records (--limit)", highlight=False)
            return
        console.rule(f"line {record['_line']}", align="left")
        for name, value in record.items():
            console.print(f"{name:<24} {value}", markup=False, highlight=False)


def replay_batch(settings: Settings, batch_id: str) -> str:
    """Load a landed batch into raw again and let the next night build on it; a line that says so.

    The batch is compared with its checksum first. The next night stages it anew and recomputes
    whatever it touches, as of its own date, as if the batch had landed late. Nothing is asked of
    the platform, and what is published stays until then.

    Raises:
        NightError: there is no such batch, or no night has loaded it yet.
        LandingError: it is damaged.
        LeaseHeld: a night runs.
    """
    state = StateStore(settings.resolved_state_url)
    holder = f"regulars landing replay (pid {os.getpid()})"
    state.lease.acquire("batch-replay", holder, settings.lease_seconds, pid=os.getpid())
    try:
        batch = find_batch(settings, batch_id)
        verify(settings, batch)
        if not settings.warehouse_path.exists():
            raise _never_loaded(batch_id)
        with open_warehouse(settings, holder=holder) as connection:
            create_tables(connection)
            loaded = connection.execute(
                "select 1 from warehouse.ops.loaded_batches where batch_id = ?", [batch_id]
            ).fetchone()
            if loaded is None:
                raise _never_loaded(batch_id)
            # Before its rows go: a kill from here on leaves a batch that the next night takes in.
            release_batches(connection, [batch_id])
            count = reload_batches(
                connection, settings.landing_dir, [batch], erased=state.erasures.keys()
            )
    finally:
        state.lease.release("batch-replay", holder)
    return f"{batch_id}: {count:,} records loaded again; the next night builds on them"


def _never_loaded(batch_id: str) -> NightError:
    return NightError(
        f"no night has loaded {batch_id} yet",
        where="regulars landing replay",
        next_step="run the night: it takes in whatever has landed",
    )
