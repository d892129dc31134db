"""Maintenance: what keeps the folders small, between nights. No figure depends on any of it.

Each part holds the run lease for as long as it takes, so that no night runs beside it, may be
killed, and is simply repeated. Time is counted back from the last completed night, so a shop
that lives in another year is maintained in its own time.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

from regulars.errors import NightError
from regulars.landing.compaction import compact, finish_compaction, months_to_compact
from regulars.night import manifest as manifests
from regulars.night.manifest import RunManifest, run_id_of
from regulars.progress import report
from regulars.settings import Settings
from regulars.state import StateStore
from regulars.warehouse import publish
from regulars.warehouse.prune import prune_raw, shrink_files
from regulars.warehouse.session import open_warehouse

LEASE = "maintenance"
_REPLAY_SECONDS = 2 * 24 * 3600
"""A replay takes minutes: what is older was left by one that was killed."""


class Maintenance:
    """The maintenance of one installation.

    Args:
        settings: where things are.
        holder: who does it, for the lease; unique per attempt.
        pid: process that lives as long as it does, when there is one.
        present: seconds since 1970, to tell which replays were left behind.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        holder: str,
        pid: int | None = None,
        present: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self._state = StateStore(settings.resolved_state_url)
        self._holder = holder
        self._pid = pid
        self._present = present

    def compact_landing(self, before: str = "", *, dry_run: bool = False) -> list[str]:
        """Compact the finished months that are old enough; a line for each.

        Args:
            before: ``2017-09``: months before this one, however old; empty: as the settings say.
            dry_run: only say what would be done.

        Raises:
            NightError: ``before`` is no month.
            LeaseHeld: a night runs.
            LandingError: a batch is damaged; its month stands as it was.
        """
        with self._leased():
            last = self._last_manifest()
            if last is None:
                return []
            used = manifests.batch_ids(self.settings, last)
            until = self._first_month_kept(before, last.as_of_date)
            if not dry_run and (left := finish_compaction(self.settings)):
                report(f"removed what a killed compaction left: {left}")
            done = []
            for month in months_to_compact(self.settings, until, used):
                line = str(month)
                if not dry_run:
                    line += f" -> {compact(self.settings, month, self._heartbeat)}"
                report(line)
                done.append(line)
            return done

    def prune_raw(self) -> dict[str, int]:
        """Let raw keep the newest versions and those of the retention; rows gone per table.

        Raises:
            LeaseHeld: a night runs.
            WarehouseError: the disk is full.
        """
        with self._leased():
            last = self._last_manifest()
            if last is None or not self.settings.warehouse_path.exists():
                return {}
            end = max(
                last.visible_until.values(),
                default=datetime.combine(last.as_of_date, datetime.min.time(), UTC),
            )
            before = end - timedelta(days=self.settings.raw_retention_days)
            with open_warehouse(self.settings, holder=self._holder) as connection:
                pruned = prune_raw(connection, before)
            for table, count in pruned.items():
                report(f"{table}: {count:,} old versions left raw")
            return pruned

    def shrink_warehouse(self) -> list[str]:
        """Write the warehouse's files anew where they are largely free space; a line for each.

        Raises:
            LeaseHeld: a night runs.
            WarehouseError: the disk is full.
        """
        with self._leased():
            lines = [
                f"{one.path.name}: {one.before:,} -> {one.after:,} bytes"
                for one in shrink_files(self.settings, holder=self._holder)
            ]
        for line in lines:
            report(line)
        return lines

    def remove_leftovers(self) -> list[str]:
        """Remove published versions beyond those kept and folders of killed replays; names.

        Raises:
            LeaseHeld: a night runs.
        """
        with self._leased():
            gone = publish.prune(self.settings)
            replays = self.settings.data_dir / "replay"
            for folder in sorted(path for path in replays.glob("*") if path.is_dir()):
                if self._present() - folder.stat().st_mtime > _REPLAY_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)
                    gone.append(f"replay/{folder.name}")
        for name in gone:
            report(f"removed {name}")
        return gone

    # -- what the parts need -----------------------------------------------------------------

    def _last_manifest(self) -> RunManifest | None:
        last = self._state.nights.last_completed_date()
        if last is None:
            report("no night was completed yet: there is nothing to maintain")
            return None
        run_id = run_id_of(last)
        manifest = manifests.read_manifest(self.settings, run_id)
        if manifest is None:
            raise NightError(
                "the manifest of the last completed night is gone",
                where=str(manifests.manifest_path(self.settings, run_id)),
                next_step="restore data/runs from a backup: it says what may be compacted",
            )
        return manifest

    def _first_month_kept(self, before: str, today: date) -> date:
        """First day of the first month that is not compacted; the present one never is."""
        if not before:
            oldest = today - timedelta(days=self.settings.landing_compact_after_days)
            return oldest.replace(day=1)
        try:
            wanted = date.fromisoformat(f"{before}-01")
        except ValueError:
            raise NightError(
                f"{before!r} is not a month", where="--before", next_step="write it as 2017-09"
            ) from None
        return min(wanted, today.replace(day=1))

    @contextmanager
    def _leased(self) -> Iterator[None]:
        seconds = self.settings.lease_seconds
        self._state.lease.acquire(LEASE, self._holder, seconds, pid=self._pid)
        try:
            yield
        finally:
            self._state.lease.release(LEASE, self._holder)

    def _heartbeat(self) -> None:
        self._state.lease.heartbeat(LEASE, self._holder)


def maintenance_here(settings: Settings, command: str) -> Maintenance:
    """Maintenance by a command of a person."""
    return Maintenance(settings, holder=f"{command} (pid {os.getpid()})", pid=os.getpid())
