"""The run lease: at most one night at a time, and a second one learns who holds it.

Lease time is the machine's time, whatever clock the shops live by.
"""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Row, select, update

from regulars.errors import LeaseHeld, StateError
from regulars.state.database import Database
from regulars.state.schema import leases

ERASING = "erasure"
"""What the lease is held for, instead of a night, while a person is erased."""
_NIGHT = "night"
_PROCESSES = Path("/proc")

_BEATS_PER_LEASE = 6
"""Heartbeats of a long step in the time after which silence costs the lease: several may fail."""


@dataclass(frozen=True)
class Lease:
    """A lease as it stands.

    Attributes:
        run_id: the night that holds it.
        holder: who runs that night; unique per attempt.
        acquired_at: when it was taken (machine time, UTC).
        heartbeat_at: when the holder was last heard of (machine time, UTC).
        seconds: silence after which anybody may take it over.
        taken_over_from: the dead holder it was taken from, if any.
    """

    run_id: str
    holder: str
    acquired_at: datetime
    heartbeat_at: datetime
    seconds: float
    taken_over_from: str | None = None


class RunLease:
    """The one lease of this installation."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._host = socket.gethostname()

    def acquire(self, run_id: str, holder: str, seconds: float, *, pid: int | None = None) -> Lease:
        """Take the lease for ``run_id``.

        The same holder of the same run gets it again. A dead holder loses it. Of a holder on this
        host with a ``pid``, that process alone decides: as long as it runs, no silence costs it the
        lease. Any other is dead when it was silent for longer than its own ``seconds``.

        Args:
            run_id: the night, for example ``night-20171001``.
            holder: who runs it; must differ between two attempts at the same night.
            seconds: silence (seconds) after which the lease may be taken over.
            pid: process that lives as long as the night does, on this host; None when the night
                is spread over several processes, so that only silence counts.

        Raises:
            LeaseHeld: a living night holds it; names holder, run and age.
        """
        now = self._clock()
        with self._database.writing() as connection:
            row = connection.execute(select(leases).where(leases.c.name == _NIGHT)).one()
            same = (row.run_id, row.holder) == (run_id, holder)
            if row.run_id is not None and not same and self._lives(row, now):
                raise self._held(row, now)
            acquired_at = row.acquired_at if same else now
            connection.execute(
                update(leases)
                .where(leases.c.name == _NIGHT)
                .values(
                    run_id=run_id,
                    holder=holder,
                    host=self._host,
                    pid=pid,
                    pid_started=_started(pid) if pid is not None else None,
                    lease_seconds=float(seconds),
                    acquired_at=acquired_at,
                    heartbeat_at=now,
                )
            )
        taken_from = row.holder if row.run_id is not None and not same else None
        return Lease(run_id, holder, acquired_at, now, float(seconds), taken_from)

    def heartbeat(self, run_id: str, holder: str) -> None:
        """Say that the holder lives; call it at every stage, before anything leaves.

        Raises:
            LeaseHeld: the lease was lost to somebody else, or was never held: stop.
        """
        now = self._clock()
        with self._database.writing() as connection:
            kept = connection.execute(
                update(leases)
                .where(
                    leases.c.name == _NIGHT, leases.c.run_id == run_id, leases.c.holder == holder
                )
                .values(heartbeat_at=now)
            ).rowcount
            if not kept:
                row = connection.execute(select(leases).where(leases.c.name == _NIGHT)).one()
                raise self._held(row, now) if row.run_id is not None else _not_held(run_id, holder)

    @contextmanager
    def beating(self, run_id: str, holder: str, seconds: float) -> Iterator[None]:
        """Heartbeats from a thread for the length of the ``with`` block, however long it takes.

        A lease that was lost is not fought for: the next :meth:`heartbeat` of the block says so.

        Args:
            run_id: the night.
            holder: who holds its lease.
            seconds: silence (seconds) after which the lease may be taken over.
        """
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(seconds / _BEATS_PER_LEASE):
                try:
                    self.heartbeat(run_id, holder)
                except LeaseHeld:
                    return
                except StateError:
                    continue  # away for a moment; the block itself says so if it stays away

        thread = threading.Thread(target=beat, name=f"lease of {run_id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def release(self, run_id: str, holder: str) -> bool:
        """Give the lease back; False when this holder no longer had it."""
        with self._database.writing() as connection:
            cleared = dict.fromkeys(
                (
                    "run_id",
                    "holder",
                    "host",
                    "pid",
                    "pid_started",
                    "lease_seconds",
                    "acquired_at",
                    "heartbeat_at",
                )
            )
            result = connection.execute(
                update(leases)
                .where(
                    leases.c.name == _NIGHT, leases.c.run_id == run_id, leases.c.holder == holder
                )
                .values(cleared)
            )
            return result.rowcount == 1

    def current(self) -> Lease | None:
        """Who holds it, dead or alive."""
        with self._database.reading() as connection:
            row = connection.execute(select(leases).where(leases.c.name == _NIGHT)).one()
        if row.run_id is None:
            return None
        return _as_lease(row)

    def living(self) -> Lease | None:
        """Who holds it and lives: nobody could take it over at this moment."""
        with self._database.reading() as connection:
            row = connection.execute(select(leases).where(leases.c.name == _NIGHT)).one()
        if row.run_id is None or not self._lives(row, self._clock()):
            return None
        return _as_lease(row)

    def _lives(self, row: Row[tuple[object, ...]], now: datetime) -> bool:
        if self._is_known_here(row):
            # The start time tells this process from a later one with the same number.
            started = _started(row.pid)
            return started is not None and started == str(row.pid_started)
        return bool(now - row.heartbeat_at <= timedelta(seconds=row.lease_seconds))

    def _is_known_here(self, row: Row[tuple[object, ...]]) -> bool:
        return bool(row.host == self._host and row.pid is not None)

    def _held(self, row: Row[tuple[object, ...]], now: datetime) -> LeaseHeld:
        age = (now - row.acquired_at).total_seconds()
        silence = (now - row.heartbeat_at).total_seconds()
        way_out = (
            f"if it hangs, stop process {row.pid}: its lease is free at once"
            if self._is_known_here(row)
            else "if it is dead, its lease can be taken over "
            f"{row.lease_seconds:.0f} s after its last heartbeat"
        )
        return LeaseHeld(
            f"{row.holder} holds the lease for {row.run_id} since {age:.0f} s "
            f"(last heartbeat {silence:.0f} s ago)",
            where=row.run_id,
            next_step=f"wait until that night ends; {way_out}",
        )


def _as_lease(row: Row[Any]) -> Lease:
    return Lease(row.run_id, row.holder, row.acquired_at, row.heartbeat_at, row.lease_seconds)


def _not_held(run_id: str, holder: str) -> LeaseHeld:
    return LeaseHeld(
        f"{holder} does not hold the lease and nobody else does",
        where=run_id,
        next_step="acquire the lease before going on",
    )


def _started(pid: int) -> str | None:
    """What tells this life of a process from another with the same number; None: it is dead."""
    try:
        # After the name in brackets, which may hold anything: state is field 3, start time 22.
        fields = (_PROCESSES / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None if _PROCESSES.joinpath("self").exists() else _signalled(pid)
    return None if fields[0] in ("Z", "X") else fields[19]


def _signalled(pid: int) -> str | None:
    """Where there is no /proc: whether a process with this number exists at all."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "alive"
