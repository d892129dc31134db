"""Landing twenty thousand pushed trades holds no more than landing a few."""

from collections.abc import Iterator

import pytest

from regulars.sandbox.platforms.taobao_push import PushDatabase
from tests.house.scripts import load_script
from tests.servers import push_database  # noqa: F401

bench = load_script("bench_extract_rds")

pytestmark = pytest.mark.slow


@pytest.fixture
def database(push_database: PushDatabase) -> Iterator[PushDatabase]:  # noqa: F811
    return push_database  # type: ignore[return-value]


def test_memory_does_not_grow_with_the_rows(database: PushDatabase) -> None:
    peaks = {}
    for count in (2_000, 20_000):
        bench.fill(database, count, most_lines=2, days=1)
        found = bench.measure(database, days=1)
        assert (found["rows"], found["quarantined"], found["unknown"]) == (count, 0, 0)
        peaks[count] = found["peak_mb"]
    # Ten times the rows are 55 MB of JSON more.
    assert peaks[20_000] < peaks[2_000] + 25
    assert peaks[20_000] < 250
