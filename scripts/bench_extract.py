"""Measure extraction and write its section of docs/performance.md.

* The list endpoints of every platform: a month of the sandbox's whole order book, landed over HTTP
  by a process of its own. Orders a second are counted by that process' CPU seconds, as the goal
  speaks of a core; seconds on the wall stand beside them. The same requests are then sent once more
  by a bare client that reads the answers and parses nothing: that is the sandbox alone.
* A push database's million rows (`bench_extract_rds.py`), where a MariaDB answers.
* Loading raw: a landed batch of 200,000 orders into a new warehouse.

CI does not run it: on a machine that does other things its figures say little. CPU seconds suffer
less from that than seconds on the wall, but caches and hyper-threads are shared all the same.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import bench_extract_rds
import bench_page
import duckdb
import httpx
import yaml
import zstandard

from regulars.credentials import Credentials
from regulars.landing import land_stream, list_batches
from regulars.landing.batches import BatchWriter, Origin, Place
from regulars.landing.writing import write_records
from regulars.records import RawRecord, Window
from regulars.sandbox.book import OrderBook
from regulars.sandbox.platforms.taobao_push import PushDatabase
from regulars.sandbox.protocol import PLATFORM_ZONE
from regulars.settings import PROJECT_ROOT, Settings
from regulars.shops import load_shops
from regulars.sources import payload_model
from regulars.sources.taobao_rds.client import PushedRow
from regulars.sources.taobao_rds.streams import STREAMS, raw_record
from regulars.state import ErasedKeys
from regulars.vault import open_vault
from regulars.warehouse.load import load_batches
from regulars.warehouse.tables import create_tables

ROUNDS = 3
SOURCES = ("taobao_top", "jd_jos", "pdd_open", "doudian_open", "shopify_admin")
FIRST, LAST = date(2017, 9, 1), date(2017, 10, 1)
NOW = datetime(2017, 10, 2, 2, tzinfo=PLATFORM_ZONE)
ORDERS_GOAL, SANDBOX_FACTOR, LOAD_GOAL = 5_000.0, 3.0, 6.0
LOADED_ORDERS, LOADED_LINES, LOADED_HOUSEHOLDS = 200_000, 4, 200
ACCESS = {"KEY": "bench", "SECRET": "bench-secret", "SESSION": "bench-session"}
PATHS = {"taobao_top": "/router/rest", "jd_jos": "/routerjson", "pdd_open": "/api/router"}


# --- the list endpoints --------------------------------------------------------------------------


def shops_file(source: str, folder: Path) -> Path:
    """A list of shops with one shop of a source, which therefore has the sandbox's whole book."""
    document = yaml.safe_load((PROJECT_ROOT / "config/profiles/all-platforms.yml").read_text())
    (entry,) = [one for one in document["shops"] if one["source"] == source]
    document["shops"] = [{**entry, "overlap_minutes": 0}]
    path = folder / "shops.yml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


@contextmanager
def sandbox(shops: Path, folder: Path) -> Iterator[tuple[str, int]]:
    """A sandbox in a process of its own: its address and the process' number."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(PROJECT_ROOT / "plugins"),
        "REGULARS_DATA_DIR": str(folder / "sandbox"),
        "REGULARS_SHOPS_FILE": str(shops),
        **{f"REGULARS_SANDBOX_{'APP_' * (n != 'SESSION')}{n}": v for n, v in ACCESS.items()},
    }
    command = [sys.executable, "-m", "regulars.sandbox", "serve", "--announce", "--port", "0"]
    process = subprocess.Popen(  # noqa: S603  # our own module
        [*command, "--now", NOW.isoformat()], stdout=subprocess.PIPE, env=environment, text=True
    )
    try:
        announced = process.stdout.readline() if process.stdout else ""
        if not announced.startswith("ready "):
            raise SystemExit("bench-extract: the sandbox did not start; read what it said above")
        yield f"http://127.0.0.1:{announced.split()[1]}", process.pid
    finally:
        process.terminate()
        process.wait()


def cpu_seconds(process: int) -> float:
    """CPU seconds that a process has used so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class _Clock:
    def now(self) -> datetime:
        return NOW

    def advance_to(self, instant: datetime) -> None:
        pass


def connection_of(source: str, url: str) -> Credentials:
    """What the sandbox accepts, as the source's Connection says it."""
    extra = {"session": ACCESS["SESSION"], "access_token": ACCESS["SESSION"]}
    if source == "pdd_open":
        extra["refunds_at_once"] = "true"
    if source == "shopify_admin":
        extra["shop_domain"] = "bench.myshopify.com"
    if source == "doudian_open":
        extra["refresh_token"] = ACCESS["SESSION"]  # nothing is renewed here
    return Credentials(
        "bench", f"{url}{PATHS.get(source, '')}", ACCESS["KEY"], ACCESS["SECRET"], extra
    )


def land_lists(source: str, url: str, folder: Path) -> dict[str, float]:
    """Land the orders of the month; and what the bare client needs for the same requests."""
    shop = load_shops(folder / "shops.yml").shops[0]
    settings = Settings(data_dir=folder / "data")
    requests: list[httpx.Request] = []
    send = httpx.Client.send

    def noted(self: httpx.Client, request: httpx.Request, **rest: Any) -> httpx.Response:
        requests.append(request)
        return send(self, request, **rest)

    with open_vault(settings.vault_path, Credentials("pii", password="0" * 64)) as vault:

        def land(first: date) -> Any:
            span = Window(shop.day_start(first), shop.day_end(LAST))
            result = land_stream(
                settings, shop, "orders", lambda _: connection_of(source, url), _Clock(),
                span, vault, "bench", lambda _: None,
            )  # fmt: skip
            result.raise_if_failed()
            return result

        land(LAST)  # warms both sides up
        with patch.object(httpx.Client, "send", noted):
            began, cpu = time.perf_counter(), time.process_time()
            result = land(FIRST)
            seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {
        "orders": sum(batch.record_count for batch in result),
        "quarantined": sum(batch.quarantined_count for batch in result),
        "seconds": seconds,
        "cpu": cpu,
        "calls": len(requests),
        **fetch_bare(requests),
    }


def fetch_bare(requests: list[httpx.Request]) -> dict[str, float]:
    """Send requests once more, as they were, and read the answers without parsing them."""
    size = 0
    with httpx.Client(timeout=60) as client:
        began, cpu = time.perf_counter(), time.process_time()
        for request in requests:
            size += len(client.send(request).content)
        return {
            "bare_seconds": time.perf_counter() - began,
            "bare_cpu": time.process_time() - cpu,
            "bytes": size,
        }


def measure_lists(source: str) -> dict[str, float]:
    """One round of one source."""
    with tempfile.TemporaryDirectory(prefix="regulars-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        url, process = stack.enter_context(sandbox(shops_file(source, folder), folder))
        before = cpu_seconds(process)
        found = _child("--lists", source, "--url", url, "--folder", name)
        # The warming day and both readings.
        found["sandbox_cpu"] = cpu_seconds(process) - before
    return found


def _child(*arguments: str) -> dict[str, float]:
    done = subprocess.run(  # noqa: S603  # this very script
        [sys.executable, __file__, *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT / "plugins")},
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


# --- raw -----------------------------------------------------------------------------------------


def write_batch(folder: Path, orders: int) -> int:
    """Land ``orders`` orders of about 2 KB into one batch; bytes of its JSON."""
    # Few trades, copied side by side under new ids: making them costs more than loading them.
    book = bench_extract_rds.cut_orders(
        OrderBook.sample(households=LOADED_HOUSEHOLDS), LOADED_LINES
    )
    model = payload_model("taobao_rds", "orders")
    settings = Settings(data_dir=folder)
    place = Place("taobao_rds", "demo", "taobao", "bench", "orders", LAST)
    span = Window(NOW, datetime(2017, 10, 3, tzinfo=PLATFORM_ZONE))

    pushed = "2017-10-02 00:00:00"

    def records() -> Iterator[RawRecord]:
        for number, row in enumerate(bench_extract_rds.rows_of(book, orders)):
            if number == orders:
                return
            yield raw_record(STREAMS["orders"], PushedRow(str(row[0]), pushed, row[8].encode()))

    with (
        open_vault(settings.vault_path, Credentials("pii", password="0" * 64)) as vault,
        BatchWriter(settings, place, "bench") as writer,
    ):
        write_records(writer, model, vault, records())
        manifest = writer.commit(Origin("api", NOW, window=span))
    with (settings.landing_dir / manifest.path).open("rb") as file:
        reader = zstandard.ZstdDecompressor().stream_reader(file)
        size = 0
        while block := reader.read(1 << 20):
            size += len(block)
    return size


def load_raw(folder: Path) -> dict[str, float]:
    """Load the batch into a new warehouse."""
    settings = Settings(data_dir=folder)
    (batch,) = list_batches(settings)
    with (
        tempfile.TemporaryDirectory(prefix="regulars-bench-") as name,
        duckdb.connect(config={"threads": settings.duckdb_threads}) as connection,
    ):
        connection.execute(f"attach '{name}/warehouse.duckdb' as warehouse")
        create_tables(connection)
        began, cpu = time.perf_counter(), time.process_time()
        load_batches(connection, settings.landing_dir, [batch], erased=ErasedKeys())
        return {
            "rows": batch.record_count,
            "seconds": time.perf_counter() - began,
            "cpu": time.process_time() - cpu,
        }


# --- telling -------------------------------------------------------------------------------------


def median(rounds: list[dict[str, float]], name: str) -> float:
    """The median of one figure over the rounds."""
    return float(statistics.median(one[name] for one in rounds))


def render(
    lists: dict[str, list[dict[str, float]]],
    pushed: list[dict[str, float]],
    loaded: list[dict[str, float]],
    megabytes: float,
    machine: str,
) -> str:
    """The section of docs/performance.md."""
    rounds = max(len(one) for one in (*lists.values(), loaded))
    lines = [
        "## Extraction",
        "",
        f"Medians of {rounds} rounds. {machine}. Orders a second are by the CPU seconds of",
        "the landing process (goal: 5,000 per core); the sandbox alone is a bare client that sends",
        "the same requests and parses nothing (goal: 3 times faster than landing, on the wall).",
        "",
        "| source | orders | calls | orders per CPU s | on the wall | sandbox alone | factor |",
        "|---|---|---|---|---|---|---|",
    ]
    for source, found in lists.items():
        orders, wall = median(found, "orders"), median(found, "seconds")
        bare = median(found, "bare_seconds")
        lines.append(
            f"| `{source}` | {orders:,.0f} | {median(found, 'calls'):,.0f} "
            f"| **{orders / median(found, 'cpu'):,.0f}** | {orders / wall:,.0f}/s "
            f"| {orders / bare:,.0f}/s | {wall / bare:.1f} |"
        )
    lines += ["", "| what | goal | on the wall | CPU | peak memory |", "|---|---|---|---|---|"]
    if pushed:
        lines.append(
            f"| {median(pushed, 'rows'):,.0f} rows of the push database landed | 60 s, 500 MB "
            f"| {median(pushed, 'seconds'):.1f} s | {median(pushed, 'cpu_seconds'):.1f} s "
            f"| {median(pushed, 'peak_mb'):.0f} MB |"
        )
    if loaded:
        lines.append(
            f"| raw load of {median(loaded, 'rows'):,.0f} orders, {megabytes:.0f} MB of JSON "
            f"| {LOAD_GOAL:g} s | {median(loaded, 'seconds'):.1f} s "
            f"| {median(loaded, 'cpu'):.1f} s | |"
        )
    return "\n".join(lines)


def missed(
    lists: dict[str, list[dict[str, float]]],
    pushed: list[dict[str, float]],
    loaded: list[dict[str, float]],
) -> list[str]:
    """Goals that the medians miss."""
    found = []
    for source, rounds in lists.items():
        rate = median(rounds, "orders") / median(rounds, "cpu")
        if rate < ORDERS_GOAL:
            found.append(f"{source}: {rate:,.0f} orders per CPU second of {ORDERS_GOAL:,.0f}")
        factor = median(rounds, "seconds") / median(rounds, "bare_seconds")
        if factor < SANDBOX_FACTOR:
            found.append(f"{source}: the sandbox alone is only {factor:.1f} times faster")
    if pushed and (median(pushed, "seconds") > 60 * median(pushed, "rows") / 1e6):
        found.append(f"push database: {median(pushed, 'seconds'):.1f} s of 60")
    if loaded and median(loaded, "seconds") > LOAD_GOAL:
        found.append(f"raw load: {median(loaded, 'seconds'):.1f} s of {LOAD_GOAL:g}")
    return found


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _rounded(found: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:,.2f}" for name, value in found.items())


def main() -> int:
    """Command line; 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often to measure (3)")
    parser.add_argument("--sources", nargs="*", default=list(SOURCES), choices=SOURCES)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the push database; 0: none")
    parser.add_argument("--orders", type=int, default=LOADED_ORDERS, help="to load; 0: none")
    parser.add_argument("--host", default="127.0.0.1", help="of MariaDB")
    parser.add_argument("--dry", action="store_true", help="tell, and leave the page as it is")
    for hidden in ("--lists", "--url", "--folder", "--load"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.lists:
        _tell(json.dumps(land_lists(options.lists, options.url, Path(options.folder))))
        return 0
    if options.load:
        _tell(json.dumps(load_raw(Path(options.load))))
        return 0
    machine = bench_page.describe_machine()
    lists: dict[str, list[dict[str, float]]] = {}
    for source in options.sources:
        for _ in range(options.rounds):
            lists.setdefault(source, []).append(measure_lists(source))
            _tell(f"{source}: {_rounded(lists[source][-1])}")
    pushed = _pushed(options) if options.rows else []
    loaded, size = _loaded(options) if options.orders else ([], 0)
    section = render(lists, pushed, loaded, size / 1e6, machine)
    _tell(section)
    if not options.dry:
        bench_page.write_section("extract", section)
    verdict = missed(lists, pushed, loaded)
    _tell("\n".join(verdict or ["Every goal is met."]))
    return 1 if verdict else 0


def _pushed(options: argparse.Namespace) -> list[dict[str, float]]:
    database = PushDatabase("regulars_bench_extract", options.host, 3306, "root", "")
    bench_extract_rds.fill(database, options.rows, 2)
    try:
        found = [bench_extract_rds.measure(database) for _ in range(options.rounds)]
    finally:
        database.drop()
    for one in found:
        _tell(f"push database: {_rounded(one)}")
    return found


def _loaded(options: argparse.Namespace) -> tuple[list[dict[str, float]], int]:
    with tempfile.TemporaryDirectory(prefix="regulars-bench-") as name:
        size = write_batch(Path(name), options.orders)
        found = [_child("--load", name) for _ in range(options.rounds)]
    for one in found:
        _tell(f"raw load of {size / 1e6:,.0f} MB: {_rounded(one)}")
    return found, size


if __name__ == "__main__":
    raise SystemExit(main())
