"""What the order book of the benchmark is like, and when it says that a goal is missed."""

from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from regulars.loyalty import load_loyalty
from regulars.shops import load_shops
from regulars.warehouse.tables import create_tables
from tests.house.scripts import load_script

book = load_script("bench_members_book")
load_script("bench_page")
bench = load_script("bench_members")
ORDERS = 5_000


def landed() -> duckdb.DuckDBPyConnection:
    """A warehouse in memory into which the three nights of a small book have been landed."""
    connection = duckdb.connect()
    connection.execute("attach ':memory:' as warehouse; attach ':memory:' as book")
    create_tables(connection)
    book.write_book(connection, ORDERS)
    for night in book.nights(ORDERS):
        list(book.land(connection, night, ORDERS))
    return connection


@pytest.fixture(scope="module")
def raw() -> duckdb.DuckDBPyConnection:
    return landed()


def one(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[object, ...]:
    found = connection.execute(query).fetchone()
    assert found is not None
    return found


def test_the_same_scale_gives_the_same_rows(raw: duckdb.DuckDBPyConnection) -> None:
    digests = "select " + ", ".join(
        f"(select sum(hash(rows)::hugeint) from warehouse.raw.file__{stream} as rows)"
        for stream in book.STREAMS
    )
    assert one(raw, digests) == one(landed(), digests)


def test_orders_are_skewed_as_promised(raw: duckdb.DuckDBPyConnection) -> None:
    mean, singles, most = one(
        raw,
        """
        select avg(orders), avg((orders = 1)::int), max(orders) from (
            select count(*) as orders from warehouse.raw.file__orders
            where _batch_id = 'full-orders' group by buyer_id
        )
        """,
    )
    assert 3 < float(str(mean)) < 8
    assert 0.48 < float(str(singles)) < 0.58
    assert 50 < int(str(most)) <= book.LARGEST_ORDER_COUNT


def test_orders_have_two_lines_that_add_up(raw: duckdb.DuckDBPyConnection) -> None:
    wrong = one(
        raw,
        """
        select count(*) from (
            select order_id, paid_amount::decimal(18, 2) as paid from warehouse.raw.file__orders
            where _batch_id = 'full-orders'
        ) as orders
        left join (
            select order_id, count(*) as lines, sum(paid_amount::decimal(18, 2)) as paid
            from warehouse.raw.file__order_lines where _batch_id = 'full-order_lines' group by all
        ) as lines on orders.order_id = lines.order_id
        where lines.lines <> 2 or lines.paid <> orders.paid or lines.lines is null
        """,
    )
    assert wrong == (0,)


def test_what_one_buyer_bought_lies_scattered(raw: duckdb.DuckDBPyConnection) -> None:
    (ordered,) = one(
        raw,
        """
        select count(*) from (
            select created_at < lag(created_at) over (order by _line) as is_older
            from warehouse.raw.file__orders where _batch_id = 'full-orders'
        ) where is_older
        """,
    )
    assert ordered == 0


@pytest.mark.parametrize("number", [1, 2])
def test_a_night_brings_what_it_says_and_all_of_its_day(
    raw: duckdb.DuckDBPyConnection, number: int
) -> None:
    night = book.nights(ORDERS)[number]
    new, changed, days = one(
        raw,
        f"""
        select
            count(*) filter (where created_at >= '{night.as_of_date}'),
            count(*) filter (where created_at < '{night.as_of_date}'),
            count(distinct left(modified_at, 10))
        from warehouse.raw.file__orders where _batch_id = '{night.name}-orders'
        """,
    )
    assert (new, changed, days) == (night.new_count, night.changed_count, 1)
    assert one(
        raw,
        f"""
        select count(*) from warehouse.raw.file__orders as changed
        where
            changed._batch_id = '{night.name}-orders' and created_at < '{night.as_of_date}'
            and not exists (
                select 1 from warehouse.raw.file__orders as older
                where
                    older._batch_id <> changed._batch_id and older.order_id = changed.order_id
                    and older.modified_at < changed.modified_at
            )
        """,
    ) == (0,)


def test_a_night_of_any_book_changes_thirty_thousand_orders() -> None:
    nights = [book.nights(book.SCALES[scale]) for scale in ("1m", "10m", "50m")]
    assert {fixed.changed_count for _, _, fixed in nights} == {book.FIXED_CHANGES}
    assert [night.new_count + night.changed_count for _, night, _ in nights] == [
        4_000, 40_000, 200_000
    ]  # fmt: skip


def test_its_shop_its_tiers_and_its_points_are_accepted(tmp_path: Path) -> None:
    bench.write_config(tmp_path)
    shops = load_shops(tmp_path / "config" / "shops.yml")
    tables = load_loyalty(tmp_path / "config", shops).warehouse_tables()
    assert shops.shops[0].shop == book.SHOP
    assert len(tables["tier_levels"]) == 3
    assert len(tables["point_rules"]) == 1


def sample(seconds: float, **changes: object) -> object:
    parts = {
        "core": bench.Part(99.0, 100.0, {"core_model": 99.0}),
        "members": bench.Part(seconds - 1, seconds, {"slow_model": seconds - 1}),
        "value": bench.Part(1.0, 2.0, {"fast_model": 1.0}),
    }
    whole = bench.Sample(parts, 30.0, 2.0, 1.5, 0.5, "digest")
    return replace(whole, **changes)


def rounds_of(*samples: object) -> list[dict[str, object]]:
    return [dict.fromkeys(bench.TITLES, one) for one in samples]


def test_the_goals_speak_of_members_and_value_alone() -> None:
    assert sample(10.0).counted_seconds == 10.0
    assert sample(10.0).overhead_seconds == 3.0
    assert sample(10.0).node_count == 3


def test_the_median_counts_against_the_goal() -> None:
    rounds = rounds_of(sample(15.0), sample(15.0), sample(61.0))
    assert bench.missed("10m", rounds) == []
    slow = rounds_of(sample(15.1), sample(15.1), sample(1.0))
    assert bench.missed("10m", slow) == [f"{bench.TITLES['night']}: 15.1 s, at most 15 s"]
    assert bench.missed("1m", slow) == []


def test_one_round_above_the_memory_goal_misses_it() -> None:
    rounds = rounds_of(sample(9.0), sample(9.0, peak_gb=12.1))
    assert bench.missed("10m", rounds) == ["peak memory: 12.1 GB, at most 12 GB"]


def test_rounds_whose_marts_differ_are_told() -> None:
    rounds = rounds_of(sample(9.0), sample(9.0, digest="another"))
    assert bench.missed("10m", rounds) == ["the rounds' marts differ"]


def test_what_dbt_costs_beside_its_models_has_a_goal() -> None:
    parts = {"core": bench.Part(1.0, 11.1), "members": bench.Part(0, 0), "value": bench.Part(0, 0)}
    (told, *_) = bench.missed("1m", rounds_of(sample(9.0, parts=parts)))
    assert told == f"{bench.TITLES['full']}: dbt besides 10.1 s, at most 10.0 s"


def test_the_section_names_the_slowest_and_what_was_missed() -> None:
    section = bench.render("10m", rounds_of(sample(80.0)), "a machine")
    assert "Missed: full build: 80.0 s, at most 60 s;" in section
    assert "core_model 99.0, slow_model 79.0, fast_model 1.0" in section
    assert "50m over 10m: 1.25, at most 2" in bench.render("50m", rounds_of(sample(9.0)), "", 1.25)


def test_the_fixed_night_is_compared_between_two_scales() -> None:
    assert bench.fixed_ratio({"10m": 4.0, "50m": 6.0}) == 1.5
    assert bench.fixed_ratio({"10m": 4.0}) is None
