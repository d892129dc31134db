"""Measure how fast a shop's push database lands: rows a second, and the most memory.

A database of its own is filled with trades of the sandbox's order book, in as many copies with
changed ids as it takes, and read through `regulars.landing` by a process of its own. It needs a
MariaDB or MySQL server that lets the user make databases; `make test` does not run it.

An ordinary order of the platform has one or two lines and about 2 KB of JSON; the sandbox's grocery
baskets have nine and 7 KB. They are therefore cut into orders of at most `--most-lines`, 2 unless
said otherwise; 0 leaves the baskets whole.
"""

import argparse
import dataclasses
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from regulars.credentials import Credentials
from regulars.landing import land_stream
from regulars.records import Window
from regulars.sandbox.book import OrderBook
from regulars.sandbox.platforms.taobao_push import PushDatabase
from regulars.sandbox.platforms.taobao_push.database import TRADE_COLUMNS, upsert
from regulars.sandbox.platforms.taobao_push.rows import hashcode, trade_rows
from regulars.settings import PROJECT_ROOT, Settings
from regulars.shops import Shop
from regulars.vault import open_vault

TARGET_SECONDS = 60.0
TARGET_MEGABYTES = 500
SELLER = "demo_grocer"
DAYS = 10
_FIRST = datetime(2017, 11, 1)  # noqa: DTZ001  # the platform's wall clock has no zone
_PART = 2_000
_FIRST_ID = 10**15


def cut_orders(book: OrderBook, most_lines: int) -> OrderBook:
    """The book with its baskets cut into orders of at most ``most_lines`` lines, no refunds."""
    counts = np.diff(book.line_start)
    parts = -(-counts // most_lines) if most_lines else np.ones_like(counts)
    trade = np.repeat(np.arange(len(counts)), parts)
    part = np.arange(len(trade)) - np.repeat(np.cumsum(parts) - parts, parts)
    columns: dict[str, Any] = {
        field.name: getattr(book, field.name)
        for field in dataclasses.fields(book)
        if field.name.startswith(("article", "line_"))
    }
    per_trade = ("basket", "household", "store", "tid", "created", "paid", "shipped")
    for name in (*per_trade, "signed", "ended", "outcome", "clamped"):
        columns[name] = getattr(book, name)[trade]
    for field in dataclasses.fields(book):
        if field.name.startswith("refund_"):
            columns[field.name] = getattr(book, field.name)[:0]
    starts = book.line_start[trade] + part * (most_lines or 1)
    columns["line_start"] = np.append(starts, book.line_start[-1]).astype(np.int64)
    return OrderBook(**columns)


def rows_of(book: OrderBook, count: int) -> Iterator[tuple[Any, ...]]:
    """``count`` rows of ``jdp_tb_trade``; copies stand side by side, as orders of one hour do.

    Ids are new and grow with the time of creation, as the platform's do.
    """
    copies = -(-count // book.trade_count)
    numbers = itertools.count()
    for start in range(0, book.trade_count, _PART):
        trades = np.arange(start, min(start + _PART, book.trade_count), dtype=np.int64)
        clock = np.full(len(trades), 2**40, dtype=np.int64)
        modified = book.trade_events.modified_at(trades, 2**40)
        for row in trade_rows(book, trades, modified, book.created[trades], clock):
            for _ in range(copies):
                yield _with_new_ids(row, next(numbers))


def _with_new_ids(row: tuple[Any, ...], number: int) -> tuple[Any, ...]:
    # Sub-orders' ids differ from their trade's in the last three digits only.
    old, new = str(row[0])[:-3], str(_FIRST_ID + number)
    body = row[8].replace(old, new)
    return (int(new + str(row[0])[-3:]), *row[1:7], hashcode(body.encode()), body, *row[9:])


def fill(database: PushDatabase, count: int, most_lines: int, days: int = DAYS) -> None:
    """Fill a new database with ``count`` trades, pushed evenly over ``days`` days."""
    book = cut_orders(OrderBook.load(), most_lines)
    database.drop()
    database.create()
    seconds = days * 86_400

    def pushed() -> Iterator[tuple[Any, ...]]:
        for number, row in enumerate(itertools.islice(rows_of(book, count), count)):
            at = str(_FIRST + timedelta(seconds=number * seconds // count))
            yield (*row[:9], at, at)

    with closing(database.connect()) as connection:
        upsert(connection, "jdp_tb_trade", TRADE_COLUMNS, pushed())


class _Clock:
    def now(self) -> datetime:
        return datetime(2018, 1, 1, tzinfo=UTC)

    def advance_to(self, instant: datetime) -> None:
        pass


def land(database: PushDatabase, data_dir: Path, days: int = DAYS) -> dict[str, float]:
    """Land all that was pushed; seconds, CPU seconds, rows, and this process' peak in MB."""
    shop = Shop(
        shop="bench", name="Bench", brand="demo", platform="taobao", source="taobao_rds",
        zone="Asia/Shanghai", currency="CNY", first_date=date(2017, 1, 1), connection="bench",
        overlap_minutes=0,
    )  # fmt: skip
    credentials = Credentials(
        "bench", host=f"{database.host}:{database.port}", login=database.user,
        password=database.password, extra={"database": database.name, "seller_nick": SELLER},
    )  # fmt: skip
    settings = Settings(data_dir=data_dir)
    first = shop.day_start(_FIRST.date())
    with open_vault(settings.vault_path, Credentials("pii", password="0" * 64)) as vault:
        began, cpu = time.perf_counter(), time.process_time()
        result = land_stream(
            settings, shop, "orders", lambda _: credentials, _Clock(),
            Window(first, first + timedelta(days=days)), vault, "bench", lambda _: None,
        )  # fmt: skip
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    result.raise_if_failed()
    return {
        "rows": sum(batch.record_count for batch in result),
        "quarantined": sum(batch.quarantined_count for batch in result),
        "unknown": sum(sum(batch.unknown_fields.values()) for batch in result),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "peak_mb": peak_megabytes(),
    }


def peak_megabytes() -> int:
    """The most memory that this process has held, in MB.

    Not ``ru_maxrss``, which begins with what the process that started this one held.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) // 1024


def measure(database: PushDatabase, days: int = DAYS) -> dict[str, float]:
    """:func:`land` in a process of its own, which has loaded nothing else."""
    with tempfile.TemporaryDirectory(prefix="regulars-bench-") as folder:
        command = [sys.executable, __file__, "--land", folder, "--days", str(days)]
        for name in ("name", "host", "port", "user"):
            command += [f"--{name}", str(getattr(database, name))]
        done = subprocess.run(  # noqa: S603  # this very script
            command,
            check=True,
            capture_output=True,
            text=True,
            input=database.password,
            cwd=PROJECT_ROOT,
        )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Fill, measure, tell; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--most-lines", type=int, default=2)
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--name", default="regulars_bench_rds")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3306)
    parser.add_argument("--user", default="root")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="leave the database for another round")
    parser.add_argument("--filled", action="store_true", help="the database is filled already")
    parser.add_argument("--land", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    password = sys.stdin.read() if options.land else ""
    database = PushDatabase(options.name, options.host, options.port, options.user, password)
    if options.land:
        _tell(json.dumps(land(database, options.land, options.days)))
        return 0
    if not options.filled:
        began = time.perf_counter()
        fill(database, options.rows, options.most_lines, options.days)
        _tell(f"filled {options.rows:,} rows in {time.perf_counter() - began:.0f} s")
    is_good = True
    for _ in range(options.rounds):
        found = measure(database, options.days)
        _tell(
            f"{found['rows']:,} rows in {found['seconds']} s"
            f" ({found['rows'] / found['seconds']:,.0f} rows/s, CPU {found['cpu_seconds']} s),"
            f" peak {found['peak_mb']} MB, {found['quarantined']} quarantined,"
            f" {found['unknown']} unknown fields"
        )
        allowed = TARGET_SECONDS * found["rows"] / 1_000_000
        is_good &= found["seconds"] <= allowed and found["peak_mb"] <= TARGET_MEGABYTES
    if not options.keep:
        database.drop()
    return 0 if is_good else 1


if __name__ == "__main__":
    raise SystemExit(main())
