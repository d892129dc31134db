"""Measure the models of members on a large order book, into a section of docs/performance.md.

A book of 1, 10 or 50 million orders (``bench_members_book.py``) stands in the raw tables as if the
shop's files had been landed and loaded. Then the real runner builds the real models in a warehouse
file: everything, a night in which 0.4 % of the orders are new or changed, and one in which 30,000
older orders change. Each is a process of its own, so its memory and its bytes are its own.

    .venv/bin/python scripts/bench_members.py --scale 1m [--rounds 3] [--memory 6GB] [--work DIR]

The goals speak of the members' and the values' models; what they are built from (orders, lines,
customers, persons) is measured beside them.
"""

import argparse
import json
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any

import bench_members_book as book
import bench_page
import duckdb

from regulars.loyalty import load_loyalty
from regulars.night.value_models import record_due_models
from regulars.queues import load_sending_hours
from regulars.records import BatchManifest
from regulars.settings import PROJECT_ROOT, Settings
from regulars.shops import Shop, load_shops
from regulars.state import StateStore, ThresholdVersion
from regulars.transform.runner import BuildReport, Transformer
from regulars.warehouse import control
from regulars.warehouse.erase import content_of
from regulars.warehouse.session import open_warehouse
from regulars.warehouse.tables import create_tables

ROUNDS = 3
MEMORY = "8GB"
MEMORY_TARGET_GB = 12.0
OVERHEAD_SECONDS, OVERHEAD_SECONDS_A_NODE = 10.0, 0.06
"""Goal for what dbt costs beside its models, for all invocations of a night together."""
FIXED_RATIO = 2.0
"""Goal: the night of 30,000 changes at 50 million orders over the same at 10 million."""
GOAL_SECONDS = {
    ("10m", "full"): 60.0,
    ("10m", "night"): 15.0,
    ("50m", "full"): 300.0,
    ("50m", "night"): 45.0,
}
TITLES = {
    "full": "full build",
    "night": "a night: 0.4 % of the orders new or changed",
    "fixed": "a night: 30,000 older orders changed",
}
SUBJECTS = {"core": "tag:core", "members": "tag:members", "value": "tag:value"}
COUNTED = ("members", "value")
"""The subjects whose model seconds the goals speak of."""
SLOWEST = 12

SHOPS_FILE = f"""\
brands:
  - {{brand: {book.BRAND}, name: Bench, base_currency: CNY}}
shops:
  - shop: {book.SHOP}
    name: Bench
    brand: {book.BRAND}
    platform: {book.PLATFORM}
    source: file
    zone: {book.ZONE}
    currency: CNY
    first_date: {book.FIRST_DATE}
"""
TIERS_FILE = f"""\
program: bench_club
brand: {book.BRAND}
name: 会员等级
valid_from: 2016-01-01
members: buyers
measure: amount
currency: CNY
counts_from: finished
window_days: 365
validity_days: 365
margin_rate: 0.30
discounted_share: 0.60
tiers:
  - {{level: 1, tier: ordinary, name: 普通会员, threshold: 0.01, discount_permille: 1000}}
  - {{level: 2, tier: senior, name: 高级会员, threshold: 800, discount_permille: 950}}
  - {{level: 3, tier: vip, name: VIP会员, threshold: 2000, discount_permille: 900}}
"""
POINTS_FILE = f"""\
rule: bench_points
brand: {book.BRAND}
valid_from: 2016-01-01
currency: CNY
earns: by_orders
expiry: computed
points_per_unit: 1
valid_days: 365
point_value: 0.01
redemption_rate: 0.80
expiring_days: 30
text: 每消费1元积1分
gift_max_orders: 2
gifts: []
"""


@dataclass
class Part:
    """One subject of a step: seconds in models, seconds of dbt beside them, and the nodes."""

    model_seconds: float
    dbt_seconds: float
    nodes: dict[str, float] = field(default_factory=dict)


@dataclass
class Sample:
    """One measured step.

    Attributes:
        parts: by subject.
        cpu_seconds: of the whole step's dbt invocations, user and system.
        peak_gb: highest resident memory of the step's process.
        read_gb, written_gb: bytes through the system calls of the process, page cache or not.
        digest: of the marts; the same in every round.
    """

    parts: dict[str, Part]
    cpu_seconds: float
    peak_gb: float
    read_gb: float
    written_gb: float
    digest: str

    @property
    def counted_seconds(self) -> float:
        """Model seconds that the goals speak of."""
        return sum(self.parts[name].model_seconds for name in COUNTED)

    @property
    def overhead_seconds(self) -> float:
        """Seconds of dbt beside its models."""
        return sum(part.dbt_seconds - part.model_seconds for part in self.parts.values())

    @property
    def node_count(self) -> int:
        """Models and tests that were run."""
        return sum(len(part.nodes) for part in self.parts.values())


def settings_of(work: Path, memory: str) -> Settings:
    """An installation below ``work``, with the project's models."""
    return Settings(data_dir=work / "data", config_dir=work / "config", duckdb_memory_limit=memory)


def write_config(work: Path) -> None:
    """One shop with tiers and points of its own; sending hours are the project's."""
    for name, text in {
        "shops.yml": SHOPS_FILE,
        "tiers/bench_club.yml": TIERS_FILE,
        "points/bench_points.yml": POINTS_FILE,
    }.items():
        path = work / "config" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    shutil.copyfile(PROJECT_ROOT / "config" / "sending.yml", work / "config" / "sending.yml")


@contextmanager
def warehouse_and_book(settings: Settings) -> Any:
    """The warehouse with the order book attached; both stand in the data folder."""
    with open_warehouse(settings, holder="bench-members") as connection:
        connection.execute(f"attach '{settings.data_dir / 'book.duckdb'}' as book")
        connection.execute(f"set temp_directory = '{settings.data_dir / 'spilled'}'")
        yield connection


def generate(work: Path, order_count: int, memory: str) -> None:
    """An installation whose raw tables hold the history, of which nothing is built yet."""
    write_config(work)
    settings = settings_of(work, memory)
    settings.warehouse_path.parent.mkdir(parents=True)
    with warehouse_and_book(settings) as connection:
        create_tables(connection)
        drawn = book.write_book(connection, order_count)
        sys.stdout.write(f"  {drawn:,} orders drawn\n")
        for stream, rows in book.land(connection, book.nights(order_count)[0], order_count):
            sys.stdout.write(f"  raw.file__{stream}: {rows:,} rows\n")
            sys.stdout.flush()


def _batches(nights: Sequence[book.Night]) -> list[BatchManifest]:
    """Manifests of what the nights landed, as far as the models are told of them."""
    return [
        BatchManifest(
            batch_id=batch,
            source="file",
            brand=book.BRAND,
            platform=book.PLATFORM,
            shop=book.SHOP,
            stream=stream,
            window_date=night.as_of_date,
            path=f"{batch}.ndjson.zst",
            sha256="",
            origin="bench",
            record_count=0,
            quarantined_count=0,
            extracted_at=book.extracted_at(night).replace(tzinfo=UTC),
            code_version="bench",
        )
        for night in nights
        for batch, stream in book.batch_streams(night).items()
    ]


def _record_thresholds(
    settings: Settings, state: StateStore, transformer: Transformer, night: book.Night
) -> None:
    """Record the first cut points, as the night does before it scores anybody."""
    transformer.run("thresholds", ["+int_rfm__threshold_candidates,tag:members"], set())
    with open_warehouse(settings, holder="bench-members") as connection:
        rows = control.iter_rows(
            connection,
            "select brand, dimension, q20, q40, q60, q80, customer_count "
            "from warehouse.intermediate.int_rfm__threshold_candidates where q20 is not null",
        )
        state.thresholds.record(
            ThresholdVersion(**row, version=1, valid_from=night.as_of_date) for row in rows
        )
        control.sync_state(connection, state, state.stream_heads())


def run_step(work: Path, name: str, order_count: int, memory: str) -> Sample:
    """Land what the night brings, build it, take it in; only the building is measured."""
    settings = settings_of(work, memory)
    nights = book.nights(order_count)
    number = [night.name for night in nights].index(name)
    night = nights[number]
    shops = load_shops(settings.shops_path).shops
    state = StateStore(settings.resolved_state_url)
    transformer = Transformer(settings, time.monotonic)
    transformer.prepare()
    with warehouse_and_book(settings) as connection:
        if number:
            for _ in book.land(connection, night, order_count):
                pass
        _tell(connection, settings, shops, night, nights[: number + 1])
        good = control.read_fingerprints(connection)
        skip = transformer.unfed_staging(control.pending_tables(connection), good)
    if not number:
        transformer.seed()
    cpu, counters = _cpu_seconds(), _bytes()
    parts: dict[str, Part] = {}
    for subject, tag in SUBJECTS.items():
        if subject == "members" and not number:
            _record_thresholds(settings, state, transformer, night)
        if subject == "value" and not number:
            with open_warehouse(settings, holder="bench-members") as connection:
                record_due_models(connection, state, night.as_of_date, None, lambda _: None)
                control.sync_state(connection, state, state.stream_heads())
        parts[subject] = _part(transformer.build(subject, [tag], set(), skip=skip))
    cpu, read, written = _cpu_seconds() - cpu, *_since(counters)
    with open_warehouse(settings, holder="bench-members") as connection:
        digest = content_of(connection, "marts").digest
        control.consume(
            connection,
            run_id=f"bench-{name}",
            as_of_date=night.as_of_date,
            fingerprints=transformer.fingerprints(),
        )
    return Sample(parts, cpu, _peak_gb(), read, written, digest)


def _tell(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    shops: Sequence[Shop],
    night: book.Night,
    landed: Sequence[book.Night],
) -> None:
    """Tell the models which night it is and what is pending."""
    control.begin_run(
        connection,
        run_id=f"bench-{night.name}",
        as_of_date=night.as_of_date,
        shops=shops,
        batches=_batches(landed),
    )
    loyalty = load_loyalty(settings.config_dir, load_shops(settings.shops_path))
    control.write_loyalty(connection, loyalty.warehouse_tables())
    hours = load_sending_hours(settings.config_dir)
    control.write_sending_hours(connection, hours.warehouse_row())


def _part(report: BuildReport) -> Part:
    nodes = {node.name: round(node.seconds, 3) for node in report.nodes}
    return Part(report.model_seconds, report.seconds, nodes)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _bytes() -> dict[str, int]:
    """Bytes that this process has read and written through system calls."""
    text = Path("/proc/self/io").read_text(encoding="ascii")
    return {name: int(value) for name, value in re.findall(r"^(\w+): (\d+)$", text, re.MULTILINE)}


def _since(counters: Mapping[str, int]) -> tuple[float, float]:
    now = _bytes()
    read, written = (now[name] - counters[name] for name in ("rchar", "wchar"))
    return read / 1024**3, written / 1024**3


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def run_round(loaded: Path, work: Path, scale: str, memory: str) -> dict[str, Sample]:
    """Every step once, in order, on a copy of the loaded installation."""
    shutil.copytree(loaded, work)
    samples = {}
    for name in TITLES:
        command = [sys.executable, __file__, "--scale", scale, "--memory", memory]
        answer = work / f"{name}.json"
        subprocess.run(  # noqa: S603 - our own script
            [*command, "--work", str(work), "--step", name, "--answer", str(answer)],
            cwd=PROJECT_ROOT,
            check=True,
        )
        samples[name] = read_sample(json.loads(answer.read_text(encoding="utf-8")))
        sys.stdout.write(f"  {TITLES[name]}: {sentence(samples[name])}\n")
        sys.stdout.flush()
    return samples


def read_sample(told: Mapping[str, Any]) -> Sample:
    """A sample as a step has written it down."""
    parts = {name: Part(**part) for name, part in told["parts"].items()}
    return Sample(**{**told, "parts": parts})


def sentence(sample: Sample) -> str:
    """One sample in a line."""
    parts = ", ".join(f"{name} {part.model_seconds:.1f} s" for name, part in sample.parts.items())
    return (
        f"{sample.counted_seconds:.1f} s ({parts}), dbt besides {sample.overhead_seconds:.1f} s, "
        f"{sample.cpu_seconds:.0f} s of CPU, {sample.peak_gb:.1f} GB, "
        f"read {sample.read_gb:.1f} GB, written {sample.written_gb:.1f} GB"
    )


def missed(scale: str, rounds: Sequence[Mapping[str, Sample]]) -> list[str]:
    """The goals that the medians do not meet, as sentences."""
    sentences = []
    for name, title in TITLES.items():
        samples = [one[name] for one in rounds]
        goal = GOAL_SECONDS.get((scale, name))
        seconds = statistics.median(sample.counted_seconds for sample in samples)
        if goal is not None and seconds > goal:
            sentences.append(f"{title}: {seconds:.1f} s, at most {goal:g} s")
        overhead = statistics.median(sample.overhead_seconds for sample in samples)
        allowed = OVERHEAD_SECONDS + OVERHEAD_SECONDS_A_NODE * samples[0].node_count
        if overhead > allowed:
            sentences.append(f"{title}: dbt besides {overhead:.1f} s, at most {allowed:.1f} s")
    peak = max(sample.peak_gb for one in rounds for sample in one.values())
    if peak > MEMORY_TARGET_GB:
        sentences.append(f"peak memory: {peak:.1f} GB, at most {MEMORY_TARGET_GB:g} GB")
    digests = {tuple(sample.digest for sample in one.values()) for one in rounds}
    if len(digests) > 1:
        sentences.append("the rounds' marts differ")
    return sentences


def fixed_ratio(seconds: Mapping[str, float]) -> float | None:
    """Seconds of the night of 30,000 changes by scale: 50 million orders over 10 million."""
    if not {"50m", "10m"} <= seconds.keys():
        return None
    return seconds["50m"] / seconds["10m"]


def measured_before(work: Path | None) -> dict[str, float]:
    """Median seconds of the night of 30,000 changes by scale, of what ``work`` keeps samples of."""
    found = {}
    for scale in book.SCALES if work else ():
        path = work / f"samples-{scale}.json"
        if path.exists():
            rounds = json.loads(path.read_text(encoding="utf-8"))
            taken = [read_sample(one["fixed"]).counted_seconds for one in rounds]
            found[scale] = statistics.median(taken)
    return found


def slowest(samples: Sequence[Sample]) -> list[tuple[str, float]]:
    """Names and median seconds of the nodes that take longest."""
    seconds: dict[str, list[float]] = {}
    for sample in samples:
        for part in sample.parts.values():
            for name, taken in part.nodes.items():
                seconds.setdefault(name, []).append(taken)
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    return sorted(medians.items(), key=lambda one: -one[1])[:SLOWEST]


def render(
    scale: str,
    rounds: Sequence[Mapping[str, Sample]],
    machine: str,
    ratio: float | None = None,
) -> str:
    """The section of docs/performance.md for one scale.

    Args:
        scale: key of the book's scales.
        rounds: every step's sample of each round.
        machine: what it ran on.
        ratio: :func:`fixed_ratio`, where both scales were measured.
    """
    rows = []
    for name, title in TITLES.items():
        samples = [one[name] for one in rounds]
        goal = GOAL_SECONDS.get((scale, name))
        parts = [
            statistics.median(sample.parts[subject].model_seconds for sample in samples)
            for subject in SUBJECTS
        ]
        rows.append(
            f"| {title} | {f'{goal:g} s' if goal else ''} "
            f"| **{statistics.median(s.counted_seconds for s in samples):.1f} s** "
            f"| {' | '.join(f'{seconds:.1f}' for seconds in parts)} "
            f"| {statistics.median(s.overhead_seconds for s in samples):.1f} s "
            f"| {samples[0].node_count} "
            f"| {statistics.median(s.cpu_seconds for s in samples):.0f} s "
            f"| {max(s.peak_gb for s in samples):.1f} GB "
            f"| {samples[0].read_gb:.1f}, {samples[0].written_gb:.1f} GB |"
        )
    verdict = missed(scale, rounds)
    slow = [
        f"- {title}: "
        + ", ".join(f"{node} {taken:.1f}" for node, taken in slowest([r[name] for r in rounds]))
        for name, title in TITLES.items()
    ]
    lines = [
        f"## Members on {scale} orders",
        "",
        f"A book of about {book.SCALES[scale]:,} orders of two lines, 5.2 a buyer, about 53 % with",
        f"one; medians of {len(rounds)} rounds. The goals speak of members and value; core is what",
        "they are built from. Seconds in models; CPU, memory and bytes are of all three.",
        "",
        f"Machine: {machine}.",
        "",
        "| what | goal | members and value | core | members | value | dbt besides | nodes | CPU "
        "| peak memory | read, written |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *rows,
        "",
        "Missed: " + "; ".join(verdict) + "." if verdict else "Every goal of this scale is met.",
        *(
            []
            if ratio is None
            else ["", f"30,000 changes, 50m over 10m: {ratio:.2f}, at most {FIXED_RATIO:g}."]
        ),
        "",
        "Slowest nodes, seconds:",
        "",
        *slow,
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Command line; 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", choices=tuple(book.SCALES), default="1m")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often to measure (3)")
    parser.add_argument("--memory", default=MEMORY, help=f"DuckDB's memory limit ({MEMORY})")
    parser.add_argument("--work", type=Path, help="folder to keep order books and samples in")
    parser.add_argument("--step", choices=tuple(TITLES), help=argparse.SUPPRESS)
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    order_count = book.SCALES[options.scale]
    if options.step:
        sample = run_step(options.work, options.step, order_count, options.memory)
        options.answer.write_text(json.dumps(asdict(sample)) + "\n", encoding="utf-8")
        return 0
    # Before the first round: load and reference work are to speak of the machine, not of us.
    machine = bench_page.describe_machine()
    work = options.work or Path(tempfile.mkdtemp(prefix="regulars-bench-"))
    rounds = []
    try:
        loaded = work / f"loaded-{options.scale}"
        if not loaded.exists():
            sys.stdout.write(f"drawing about {order_count:,} orders into {loaded}\n")
            part = work / f"loaded-{options.scale}.part"
            shutil.rmtree(part, ignore_errors=True)
            generate(part, order_count, options.memory)
            part.rename(loaded)
        for number in range(options.rounds):
            sys.stdout.write(f"round {number + 1} of {options.rounds}\n")
            round_work = work / f"round-{options.scale}"
            shutil.rmtree(round_work, ignore_errors=True)
            rounds.append(run_round(loaded, round_work, options.scale, options.memory))
    finally:
        if options.work is None:
            shutil.rmtree(work, ignore_errors=True)
    if options.work:
        told = [{name: asdict(sample) for name, sample in one.items()} for one in rounds]
        samples = json.dumps(told, indent=2) + "\n"
        (work / f"samples-{options.scale}.json").write_text(samples, encoding="utf-8")
    ratio = fixed_ratio(measured_before(options.work))
    bench_page.write_section(
        f"members-{options.scale}",
        render(options.scale, rounds, machine, ratio),
        command=f"make bench-members SCALE={options.scale}",
    )
    verdict = missed(options.scale, rounds)
    sys.stdout.write("\n".join(verdict or ["Every goal is met."]) + f"\n{bench_page.PAGE}\n")
    return 1 if verdict else 0


if __name__ == "__main__":
    raise SystemExit(main())
