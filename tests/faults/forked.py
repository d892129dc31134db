"""Nights in forked children that may be killed at any moment.

The parent has imported dbt and Great Expectations and parsed the project, so that a child starts
at once; it holds no connection and no thread that a fork could break.
"""

import json
import os
import shutil
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from regulars.credentials import Credentials
from regulars.night.steps import Night
from regulars.night.whole import iter_steps
from regulars.sandbox.book import OrderBook
from regulars.sandbox.export import HISTORY_UNTIL, export_events, export_history
from regulars.sandbox.server import TEST_ACCESS, SandboxProcess
from regulars.settings import PROJECT_ROOT, Settings
from regulars.transform.runner import Transformer
from regulars.warehouse.publish import read_publication
from tests.world import PII_KEY

BEFORE = date(2017, 10, 1)
NIGHT = date(2017, 10, 2)


@dataclass(frozen=True)
class Outcome:
    """What a finished night left behind."""

    digest: str
    as_of_date: date
    queued: tuple[str, ...]
    error: str = ""


class Arena:
    """A prepared installation that can be put back to the evening before the night."""

    def __init__(self, root: Path, households: int) -> None:
        self.root = root
        self.base = root / "base"
        self.live = root / "live"
        self.settings = Settings(
            data_dir=self.live,
            config_dir=PROJECT_ROOT / "config",
            sandbox_app_key=TEST_ACCESS.app_key,
            sandbox_app_secret=TEST_ACCESS.app_secret,
            sandbox_session=TEST_ACCESS.session,
            warehouse_lock_seconds=5,
        )
        self.book = OrderBook.sample(households=households)

    def prepare(self, sandbox: SandboxProcess) -> None:
        """Run the first night and keep what it left as the base of every trial."""
        self.sandbox = sandbox
        self.settings = self.settings.model_copy(update={"clock_url": sandbox.clock_url})
        export_history(self.settings.inbox_dir, "demo_grocer", self.book, HISTORY_UNTIL)
        outcome = self.run(BEFORE)
        assert not outcome.error, outcome.error
        export_events(self.settings.inbox_dir, "demo_grocer", self.book, HISTORY_UNTIL, NIGHT)
        shutil.copytree(self.live, self.base)

    def warm_up(self) -> None:
        """Import and parse what every child would otherwise import and parse for itself."""
        import great_expectations  # noqa: F401

        Transformer(self.settings, time.monotonic).fingerprints()

    def restore(self) -> None:
        """The evening before the night."""
        shutil.rmtree(self.live, ignore_errors=True)
        shutil.copytree(self.base, self.live)
        self.sandbox.set_clock(datetime(2017, 10, 1, 18, 0, tzinfo=UTC))

    def night(self) -> Night:
        """The night as this process runs it."""
        return Night(
            self.settings,
            self._credentials,
            holder=f"trial (pid {os.getpid()})",
            pid=os.getpid(),
        )

    def _credentials(self, connection_id: str) -> Credentials:
        if connection_id == "regulars_pii":
            return Credentials(connection_id, password=PII_KEY)
        return Credentials(
            connection_id,
            host=self.sandbox.router_url,
            login=TEST_ACCESS.app_key,
            password=TEST_ACCESS.app_secret,
            extra={"session": TEST_ACCESS.session},
        )

    def queued(self) -> tuple[str, ...]:
        """Message ids in the queue's files, in order, repetitions included."""
        ids = []
        for path in sorted(self.settings.queues_dir.rglob("*.ndjson")):
            for line in path.read_text(encoding="utf-8").splitlines():
                ids.append(json.loads(line)["message_id"])
        return tuple(sorted(ids))

    def run(self, day: date) -> Outcome:
        """Run a night in a child to its end."""
        reader = self._fork(day)
        error = ""
        for line in reader.lines():
            if line.startswith("error "):
                error = json.loads(line[6:])
        reader.wait()
        publication = read_publication(self.settings)
        if publication is None:
            return Outcome("", date.min, self.queued(), error or "nothing was published")
        return Outcome(publication.digest, publication.as_of_date, self.queued(), error)

    def run_and_kill(self, day: date, when: Callable[[str], float | None]) -> str:
        """Run a night in a child and kill it.

        Args:
            day: the night.
            when: for each line the child says (``step <name>``), seconds after which it is
                killed; None to let it go on.

        Returns:
            The step it was killed in; empty when it had ended before.
        """
        child = self._fork(day)
        current = ""
        for line in child.lines():
            if line.startswith("step "):
                current = line[5:].strip()
            delay = when(line.strip())
            if delay is not None:
                return current if child.kill_after(delay) else ""
        child.wait()
        return ""

    def _fork(self, day: date) -> "_Child":
        reading, writing = os.pipe()
        pid = os.fork()
        if pid:
            os.close(writing)
            return _Child(pid, reading)
        os.close(reading)
        status = 1
        try:
            with os.fdopen(writing, "w", buffering=1) as say:
                status = self._child(day, say)
        finally:
            os._exit(status)

    def _child(self, day: date, say: object) -> int:
        night = self.night()
        try:
            say.write("step open_night\n")
            run_id = night.open_night(day)
            for name, call in iter_steps(night, run_id):
                say.write(f"step {name}\n")
                call()
            say.write("step close_night\n")
            night.close_night(run_id)
        except BaseException:
            say.write(f"error {json.dumps(traceback.format_exc()[-3000:])}\n")
            return 1
        return 0


class _Child:
    def __init__(self, pid: int, reading: int) -> None:
        self.pid = pid
        self._file = os.fdopen(reading)
        self._done = False

    def lines(self):
        yield from self._file

    def kill_after(self, seconds: float) -> bool:
        """SIGKILL after so long; False when it had ended before."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            ended, _ = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self._done = True
                self._file.close()
                return False
            time.sleep(0.002)
        os.kill(self.pid, signal.SIGKILL)
        self.wait()
        return True

    def wait(self) -> None:
        if not self._done:
            os.waitpid(self.pid, 0)
            self._done = True
        self._file.close()
