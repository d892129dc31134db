"""Measure the demo's nights and write their section of docs/performance.md.

Each round starts from an empty data folder with a warm environment (everything installed and
compiled, Airflow's database made): the nine-month first load, a further night, and three nights of
one command. The sandbox shop is part of what is measured, as it is part of `make nightly`.
"""

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bench_page

from regulars.airflow_home import load_environment
from regulars.night.journal import latest_entries
from regulars.settings import PROJECT_ROOT, Settings, read_settings

ROUNDS = 3
MEMORY_TARGET_GB = 3.0
SAMPLE_SECONDS = 0.25

PREPARE_AIRFLOW = (
    "from regulars import airflow_home; home = airflow_home.apply_airflow_environment(); "
    "from regulars.orchestration.local import prepare_database; prepare_database(home)"
)
NIGHT_LINE = re.compile(r"^The night of (\S+) took ([0-9.]+) s", re.MULTILINE)


@dataclass(frozen=True)
class Case:
    """One thing to measure. ``nights`` is what the command is asked for."""

    title: str
    nights: int
    target_seconds: float


CASES = (
    Case("first load: nine months and the first night, whole command", 1, 60),
    Case("a further night, whole command", 1, 45),
    Case("each further night of one `NIGHTS=3` command, the slowest", 3, 15),
)


@dataclass(frozen=True)
class Sample:
    """One measured command.

    Attributes:
        seconds: what the target speaks of: the command, or the slowest night after its first.
        model_seconds: seconds inside dbt models, tests and seeds, in the night that counts.
        dbt_overhead_seconds: seconds inside dbt's invocations but outside of those.
        peak_gb: highest memory of all its processes together (proportional set size).
    """

    seconds: float
    model_seconds: float
    dbt_overhead_seconds: float
    peak_gb: float


def nights_of(output: str) -> list[tuple[str, float]]:
    """Business date and seconds of every night that the command's output reports."""
    return [(date, float(seconds)) for date, seconds in NIGHT_LINE.findall(output)]


def counting_night(
    case: Case, nights: Sequence[tuple[str, float]], command_seconds: float
) -> tuple[str, float]:
    """The date whose journal counts, and the seconds that the case's target speaks of."""
    if len(nights) != case.nights:
        raise SystemExit(f"bench-demo: expected {case.nights} nights, the output reports {nights}")
    if case.nights == 1:
        return nights[0][0], command_seconds
    return max(nights[1:], key=lambda night: night[1])


def dbt_seconds(settings: Settings, date: str) -> tuple[float, float]:
    """Seconds in models and seconds of overhead of a night's dbt invocations."""
    run_id = f"night-{date.replace('-', '')}"
    built = [e for e in latest_entries(settings, run_id) if "model_seconds" in e]
    inside = sum(float(entry["model_seconds"]) for entry in built)
    return inside, sum(float(entry["dbt_seconds"]) for entry in built) - inside


def _descendants(root: int) -> Iterator[int]:
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The command's name stands in brackets and may hold blanks.
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
        parents.setdefault(parent, []).append(int(path.parent.name))
    waiting = [root]
    while waiting:
        process = waiting.pop()
        yield process
        waiting.extend(parents.get(process, []))


def _memory_kb(process: int) -> int:
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    match = re.search(r"^Pss:\s+(\d+) kB", text, flags=re.MULTILINE)
    return int(match[1]) if match else 0


@contextmanager
def memory_watch(process: int) -> Iterator[list[int]]:
    """While the block runs, the list's one item is the highest memory of the process tree (kB)."""
    peak = [0]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(SAMPLE_SECONDS):
            peak[0] = max(peak[0], sum(_memory_kb(child) for child in _descendants(process)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        over.set()
        watcher.join()


def measure(case: Case, settings: Settings, environment: dict[str, str]) -> Sample:
    """Run the case's command once."""
    command = [str(Path(sys.executable).with_name("regulars")), "nightly"]
    if case.nights > 1:
        command += ["--nights", str(case.nights)]
    started = time.monotonic()
    process = subprocess.Popen(  # noqa: S603 - our own command
        command,
        env=environment,
        cwd=PROJECT_ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with memory_watch(process.pid) as peak:
        output, _ = process.communicate()
    elapsed = time.monotonic() - started
    if process.returncode:
        sys.stderr.write(output)
        raise SystemExit(f"bench-demo: {' '.join(command)} failed; its output stands above")
    date, seconds = counting_night(case, nights_of(output), elapsed)
    inside, overhead = dbt_seconds(settings, date)
    return Sample(seconds, inside, overhead, peak[0] / 1024**2)


def run_round(work: Path) -> list[Sample]:
    """Every case once, in order, on data of their own."""
    environment = os.environ | {
        "REGULARS_DATA_DIR": str(work / "data"),
        "AIRFLOW_HOME": str(work / "airflow"),
        "COLUMNS": "160",
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", PREPARE_AIRFLOW],
        env=environment,
        cwd=PROJECT_ROOT,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    settings = Settings(data_dir=work / "data")
    samples = []
    for case in CASES:
        sample = measure(case, settings, environment)
        sys.stdout.write(f"  {case.title}: {sample.seconds:.1f} s, {sample.peak_gb:.2f} GB\n")
        sys.stdout.flush()
        samples.append(sample)
    return samples


def missed(rounds: Sequence[Sequence[Sample]]) -> list[str]:
    """The targets that the medians do not meet, as sentences."""
    sentences = []
    for case, samples in zip(CASES, zip(*rounds, strict=True), strict=True):
        seconds = statistics.median(sample.seconds for sample in samples)
        if seconds > case.target_seconds:
            sentences.append(f"{case.title}: {seconds:.1f} s, at most {case.target_seconds:g} s")
    peak = max(sample.peak_gb for samples in rounds for sample in samples)
    if peak > MEMORY_TARGET_GB:
        sentences.append(f"peak memory: {peak:.2f} GB, at most {MEMORY_TARGET_GB:g} GB")
    return sentences


def render(rounds: Sequence[Sequence[Sample]], machine: str) -> str:
    """The section of docs/performance.md."""
    rows = []
    for case, samples in zip(CASES, zip(*rounds, strict=True), strict=True):
        seconds = [sample.seconds for sample in samples]
        rows.append(
            f"| {case.title} | {case.target_seconds:g} s "
            f"| **{statistics.median(seconds):.1f} s** "
            f"| {min(seconds):.1f} to {max(seconds):.1f} s "
            f"| {statistics.median(s.model_seconds for s in samples):.1f} s "
            f"| {statistics.median(s.dbt_overhead_seconds for s in samples):.1f} s "
            f"| {max(s.peak_gb for s in samples):.2f} GB |"
        )
    verdict = missed(rounds)
    lines = [
        "## The demo's nights",
        "",
        f"The demo shop, medians of {len(rounds)} rounds, each from an empty data folder in a warm",
        "environment. The sandbox shop runs on the same machine and is included, in seconds and",
        "in memory. Memory is the highest sum over all processes (proportional set size); its",
        f"target is {MEMORY_TARGET_GB:g} GB.",
        "",
        f"Machine: {machine}.",
        "",
        "| what | target | median | from, to | in models | dbt besides | peak memory |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
        "Missed: " + "; ".join(verdict) + "." if verdict else "Every target is met.",
        "",
        "`in models` is the time inside dbt's models, tests and seeds; `dbt besides` is what dbt's",
        "invocations cost on top: importing, parsing, compiling, its own bookkeeping.",
    ]
    return "\n".join(lines) + "\n"


def require_free_sandbox_port() -> None:
    """A sandbox that is served already has a clock and an order book of its own."""
    settings = read_settings()
    with socket.socket() as probe:
        probe.settimeout(1.0)
        if probe.connect_ex((settings.sandbox_host, settings.sandbox_port)) == 0:
            raise SystemExit(
                f"bench-demo: something serves port {settings.sandbox_port} already.\n"
                "  Next: stop it (make ui, regulars sandbox serve), then repeat the command."
            )


def main() -> int:
    """Command line; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often to measure (3)")
    parser.add_argument("--samples", type=Path, help="also write every sample to this JSON file")
    options = parser.parse_args()
    load_environment()
    require_free_sandbox_port()
    # Before the first round: load and reference work are to speak of the machine, not of us.
    machine = bench_page.describe_machine()
    rounds = []
    for number in range(options.rounds):
        sys.stdout.write(f"round {number + 1} of {options.rounds}\n")
        work = Path(tempfile.mkdtemp(prefix="regulars-bench-"))
        try:
            rounds.append(run_round(work))
        finally:
            shutil.rmtree(work, ignore_errors=True)
    if options.samples:
        samples = [[sample.__dict__ for sample in samples] for samples in rounds]
        options.samples.write_text(json.dumps(samples, indent=2) + "\n", encoding="utf-8")
    bench_page.write_section("demo", render(rounds, machine))
    verdict = missed(rounds)
    sys.stdout.write("\n".join(verdict or ["Every target is met."]) + f"\n{bench_page.PAGE}\n")
    return 1 if verdict else 0


if __name__ == "__main__":
    raise SystemExit(main())
