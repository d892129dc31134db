"""What ``make nightly`` and ``make ui`` do: the real DAGs on this machine, the sandbox beside them.

The sandbox shop is started only when the shops live by its clock (``REGULARS_CLOCK_URL`` points
to this machine's sandbox) and nobody serves it yet.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from rich.console import Console

from regulars import airflow_home
from regulars.clock import clock_for
from regulars.errors import NightError
from regulars.night import calendar
from regulars.night.manifest import run_id_of
from regulars.night.summary import print_summary
from regulars.progress import listening
from regulars.settings import PROJECT_ROOT, Settings, read_settings
from regulars.shops import load_shops
from regulars.state import StateStore
from regulars.transform.runner import Transformer

_SANDBOX_START_SECONDS = 60.0
_UI_START_SECONDS = 240.0


def run_nights(wanted: str, count: int, console: Console) -> bool:
    """Run ``count`` nights one after another; False as soon as one of them fails.

    Args:
        wanted: business date of the first night; empty for the next one.
        count: how many nights.
        console: the terminal.

    Raises:
        RegularsError: a night could not even be started.
    """
    _stop_on_signals()
    settings = read_settings()
    # Somebody waits in front of this run: sources are retried within a call, not five minutes on.
    os.environ["REGULARS_EXTRACT_RETRIES"] = "0"
    os.environ["REGULARS_LEASE_PID"] = str(os.getpid())
    home = airflow_home.apply_airflow_environment()
    # Both take seconds, and the first night has two cores to wait on.
    Transformer(settings, time.monotonic).prepare_ahead()
    with sandbox(settings, console):
        console.print("starting Airflow …", highlight=False)
        from regulars.orchestration import local

        log = settings.data_dir / "logs" / "nightly.log"
        with local.output_to(log) as terminal:
            screen = Console(file=os.fdopen(os.dup(terminal), "w"), width=console.width)
            if local.prepare_database(home):
                screen.print("created Airflow's metadata database", highlight=False)
            for number in range(count):
                if not _run_one(settings, wanted if number == 0 else "", screen):
                    screen.print(f"The whole log: {log}", highlight=False)
                    return False
    return True


def _run_one(settings: Settings, wanted: str, screen: Console) -> bool:
    from regulars.orchestration import local

    shops = load_shops(settings.shops_path)
    state = StateStore(settings.resolved_state_url)
    if wanted:
        day = calendar.parse_date(wanted)
    else:
        day = calendar.next_business_date(
            shops,
            state.nights.last_completed_date(),
            now=clock_for(settings.clock_url).now(),
            simulated=bool(settings.clock_url),
        )
    # Refused here, before Airflow replaces the running night's record of the same date.
    probe = f"regulars nightly (pid {os.getpid()})"
    state.lease.acquire(run_id_of(day), probe, settings.lease_seconds, pid=os.getpid())
    local.fail_abandoned_runs("run_night")
    state.lease.release(run_id_of(day), probe)
    failures: list[str] = []

    def show(line: str) -> None:
        if line.startswith("✗"):
            failures.append(line)
        screen.print(f"  {line}", markup=False, highlight=False)
        screen.file.flush()

    began = time.monotonic()
    with listening(show):
        outcome = local.run_dag(
            "run_night", calendar.logical_date_of(shops, day), {"date": day.isoformat()}
        )
    seconds = time.monotonic() - began
    if outcome != "success":
        screen.print(f"The night of {day} failed after {seconds:.0f} s.", style="bold red")
        if not failures:
            screen.print("No step said why: see the end of the log.", highlight=False)
        screen.file.flush()
        return False
    print_summary(settings, run_id_of(day), screen)
    screen.print(f"The night of {day} took {seconds:.1f} s end to end.", highlight=False)
    screen.file.flush()
    return True


@contextmanager
def sandbox(settings: Settings, console: Console) -> Iterator[None]:
    """The sandbox shop for the length of the block, if the shops live by its clock."""
    base = f"http://{settings.sandbox_host}:{settings.sandbox_port}"
    if not settings.clock_url.startswith(base) or _answers(f"{base}/sandbox/health"):
        yield
        return
    log = settings.data_dir / "logs" / "sandbox.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [
                sys.executable, "-m", "regulars.sandbox", "serve",
                "--port", str(settings.sandbox_port), "--inbox", str(settings.inbox_dir),
            ],
            stdout=file,
            stderr=file,
            start_new_session=True,
        )  # fmt: skip
        try:
            console.print(f"the sandbox shop starts on {base} (log: {log})", highlight=False)
            _wait_until(f"{base}/sandbox/health", process, _SANDBOX_START_SECONDS, log)
            yield
        finally:
            _stop_group(process)


def serve_ui(port: int, console: Console) -> None:
    """Serve the Airflow UI with a scheduler until Ctrl-C.

    Raises:
        NightError: Airflow did not become healthy.
    """
    _stop_on_signals()
    os.environ["AIRFLOW__API__PORT"] = str(port)
    os.environ["AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"] = "False"
    home = airflow_home.apply_airflow_environment()
    settings = read_settings()
    user, password = _write_login(home)
    from regulars.orchestration import local

    log = settings.data_dir / "logs" / "airflow.log"
    with local.output_to(log):
        local.prepare_database(home)
    with sandbox(settings, console), log.open("ab") as file:
        process = subprocess.Popen(  # noqa: S603 - our own environment
            [str(Path(sys.executable).with_name("airflow")), "standalone"],
            stdout=file,
            stderr=file,
            start_new_session=True,
            cwd=PROJECT_ROOT,
        )
        try:
            console.print(f"Airflow starts (log: {log}); about a minute …", highlight=False)
            url = f"http://127.0.0.1:{port}"
            _wait_until(f"{url}/api/v2/monitor/health", process, _UI_START_SECONDS, log)
            console.print(f"[bold]{url}[/]  user [bold]{user}[/], password [bold]{password}[/]")
            console.print("run_night runs by itself; Ctrl-C stops Airflow and the sandbox.")
            _wait_for_interrupt(process)
        finally:
            _stop_group(process)
    console.print("stopped.")


def _write_login(home: Path) -> tuple[str, str]:
    """Users and passwords of the simple auth manager; the admin's name and password."""
    user = "admin"
    path = home / "simple_auth_manager_passwords.json"
    password = os.environ.get("AIRFLOW_ADMIN_PASSWORD") or secrets.token_urlsafe(12)
    home.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps({user: password}) + "\n", encoding="utf-8")
    os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"] = f"{user}:admin"
    os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"] = str(path)
    return user, password


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2.0).is_success
    except httpx.HTTPError:
        return False


def _wait_until(url: str, process: "subprocess.Popen[bytes]", seconds: float, log: Path) -> None:
    deadline = time.monotonic() + seconds
    while not _answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            reason = "ended" if process.poll() is not None else f"was not ready in {seconds:.0f} s"
            raise NightError(
                f"the server {reason}",
                where=url,
                next_step=f"read {log}; is the port taken by another program?",
            )
        time.sleep(0.2)


def _stop_on_signals() -> None:
    """SIGTERM and Ctrl-C both end the ``with`` blocks, so that no child outlives this process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def _wait_for_interrupt(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait()
    except KeyboardInterrupt:
        return


def _stop_group(process: "subprocess.Popen[bytes]") -> None:
    """SIGTERM to the whole group: its parent alone would orphan its children."""
    for number, seconds in ((signal.SIGTERM, 20.0), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
        if number == signal.SIGKILL:
            return
