"""What the benchmark counts, and when it says that a target is missed."""

import json
import os
from pathlib import Path

import pytest

from regulars.settings import Settings
from tests.house.scripts import load_script

bench = load_script("bench_demo")
page = load_script("bench_page")
OUTPUT = """\
  ✓ publish_marts (0.8 s)
The night of 2017-10-03 took 21.5 s end to end.
The night of 2017-10-04 took 9.0 s end to end.
The night of 2017-10-05 took 11.2 s end to end.
"""


def sample(seconds: float, peak_gb: float = 1.0) -> object:
    return bench.Sample(seconds, 3.0, 2.0, peak_gb)


def test_a_command_of_one_night_counts_as_a_whole() -> None:
    one = [("2017-10-01", 30.0)]
    assert bench.counting_night(bench.CASES[0], one, 41.0) == ("2017-10-01", 41.0)


def test_a_command_of_three_nights_counts_the_slowest_after_its_first() -> None:
    nights = bench.nights_of(OUTPUT)
    assert bench.counting_night(bench.CASES[2], nights, 60.0) == ("2017-10-05", 11.2)


def test_a_command_that_reports_too_few_nights_is_not_counted() -> None:
    with pytest.raises(SystemExit, match="expected 3 nights"):
        bench.counting_night(bench.CASES[2], bench.nights_of(OUTPUT)[:2], 60.0)


def test_dbt_overhead_is_what_stands_outside_the_models(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    journal = tmp_path / "reports" / "night-20171001" / "steps.ndjson"
    journal.parent.mkdir(parents=True)
    entries = [
        {"step": "open_night", "seconds": 0},
        {"step": "build_core", "seconds": 9.0, "dbt_seconds": 8.0, "model_seconds": 6.5},
        {"step": "publish_marts", "seconds": 1.0},
        {"step": "propose", "seconds": 2.0, "dbt_seconds": 2.0, "model_seconds": 0.5},
    ]
    journal.write_text("".join(json.dumps(e) + "\n" for e in entries), encoding="utf-8")
    assert bench.dbt_seconds(settings, "2017-10-01") == (7.0, 3.0)


def test_targets_are_held_against_medians_and_memory_against_the_worst() -> None:
    good = [sample(60.0), sample(45.0), sample(15.0)]
    slow = [sample(99.0), sample(45.1), sample(15.0)]
    assert bench.missed([good, good, slow]) == []
    assert [s.split(",")[0] for s in bench.missed([good, slow, slow])] == [
        "first load: nine months and the first night",
        "a further night",
    ]
    assert bench.missed([good, good, [*good[:2], sample(1.0, peak_gb=3.1)]]) == [
        "peak memory: 3.10 GB, at most 3 GB"
    ]


def test_the_section_shows_the_median_of_each_case() -> None:
    rounds = [[sample(s), sample(s / 2), sample(s / 8)] for s in (40.0, 50.0, 48.0)]
    section = bench.render(rounds, "2 cores")
    assert "| 60 s | **48.0 s** | 40.0 to 50.0 s | 3.0 s | 2.0 s | 1.00 GB |" in section
    assert "Every target is met." in section


def test_a_section_is_replaced_and_the_rest_of_the_page_stays() -> None:
    first = page.with_section("# Performance\n\ntext\n", "demo", "one\n")
    begin, end = "<!-- demo: written by `make bench-demo` -->", "<!-- demo: end -->"
    assert first == f"# Performance\n\ntext\n\n{begin}\none\n{end}\n"
    again = page.with_section(f"{first}\nafter\n", "demo", "two")
    assert again == f"# Performance\n\ntext\n\n{begin}\ntwo\n{end}\n\nafter\n"
    both = page.with_section(again, "extract", "three")
    assert page.with_section(both, "demo", "two") == both


def test_the_machine_of_the_day_is_told_by_a_fixed_piece_of_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(page, "ROUNDS", 1)
    assert "reference work: Python " in page.describe_machine()
    interpreter, engine = page.reference_seconds()
    assert min(interpreter, engine) > 0.01


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's /proc")
def test_memory_counts_this_process() -> None:
    assert os.getpid() in set(bench._descendants(os.getppid()))
    assert bench._memory_kb(os.getpid()) > 1000
