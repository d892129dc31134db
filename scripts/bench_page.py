"""What the benchmarks share: sections of docs/performance.md, and what machine it was that day."""

import hashlib
import os
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path

import duckdb

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
ROUNDS = 5


def write_section(name: str, section: str, path: Path = PAGE, command: str = "") -> None:
    """Replace the section of that name in the page, or add it at its end."""
    page = path.read_text(encoding="utf-8")
    path.write_text(with_section(page, name, section, command), encoding="utf-8")


def with_section(page: str, name: str, section: str, command: str = "") -> str:
    """``page`` with the section between its two marks replaced, or added at its end.

    Args:
        page: the whole page; what stands outside the marks was written by hand and stays.
        name: of the section, as its marks carry it.
        section: its new text, without marks.
        command: what writes it; ``make bench-<name>`` when not given.
    """
    written_by = command or f"make bench-{name}"
    begin, end = f"<!-- {name}: written by `{written_by}` -->", f"<!-- {name}: end -->"
    before, found, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    whole = f"{begin}\n{section.strip()}\n{end}"
    return f"{before.rstrip()}\n\n{whole}" + (after if found else "\n")


def describe_machine() -> str:
    """Cores, memory, versions, the load that was there before, and the reference work's time."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    load = os.getloadavg()[0]
    engines = ", ".join(
        f"{name} {version(name)}" for name in ("apache-airflow", "dbt-core", "duckdb")
    )
    interpreter, engine = reference_seconds()
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {engines}; load before: {load:.1f}; reference work: "
        f"Python {interpreter:.2f} s, DuckDB {engine:.2f} s"
    )


def reference_seconds() -> tuple[float, float]:
    """Seconds of a fixed piece of work in Python and in DuckDB, medians of five.

    The same machine is not as fast every day: what another day measured is compared by these.
    """
    return (
        statistics.median(_interpreter_seconds() for _ in range(ROUNDS)),
        statistics.median(_engine_seconds() for _ in range(ROUNDS)),
    )


def _interpreter_seconds() -> float:
    began = time.perf_counter()
    words: dict[str, int] = {}
    for number in range(400_000):
        word = hashlib.sha256(str(number % 5_000).encode()).hexdigest()
        words[word] = words.get(word, 0) + number
    return time.perf_counter() - began


def _engine_seconds() -> float:
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.execute("set enable_progress_bar = false")
        began = time.perf_counter()
        connection.execute(
            "select count(*), sum(total) from ("
            "  select number % 200000 as key, sum(hash(number) % 1000) as total"
            "  from range(8000000) as numbers(number) group by key)"
        ).fetchall()
        return time.perf_counter() - began
