"""What the extraction benchmark says of its figures, and where it writes them."""

from tests.house.scripts import load_script

bench = load_script("bench_extract")


def lists(cpu: float = 2.0, bare: float = 1.0) -> dict[str, list[dict[str, float]]]:
    one = {"orders": 15_000.0, "calls": 20.0, "seconds": 3.0, "cpu": cpu, "bare_seconds": bare}
    return {"jd_jos": [one, {**one, "cpu": cpu + 50}, {**one, "cpu": cpu - 1}]}


def test_medians_are_held_against_the_goals() -> None:
    assert bench.missed(lists(), [], []) == []
    assert bench.missed(lists(cpu=3.1), [], []) == ["jd_jos: 4,839 orders per CPU second of 5,000"]
    assert bench.missed(lists(bare=1.1), [], []) == [
        "jd_jos: the sandbox alone is only 2.7 times faster"
    ]
    rows = [{"rows": 500_000.0, "seconds": 31.0}]
    assert bench.missed({}, rows, [{"seconds": 6.1}]) == [
        "push database: 31.0 s of 60",
        "raw load: 6.1 s of 6",
    ]


def test_the_section_tells_the_medians() -> None:
    section = bench.render(lists(), [], [], 0, "a machine")
    assert "| `jd_jos` | 15,000 | 20 | **7,500** | 5,000/s | 15,000/s | 3.0 |" in section
