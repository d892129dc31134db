"""A day of Pinduoduo from its gateway to staging: amounts add up and nothing is lost."""

from collections.abc import Iterator
from datetime import UTC, date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from regulars.credentials import Credentials
from regulars.landing import land_stream
from regulars.records import BatchManifest, Window
from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import wall_seconds
from regulars.sandbox.platforms.pdd import Edit, PddFaults
from regulars.sandbox.platforms.pdd.wire import order_sn
from regulars.settings import Settings
from regulars.sources.pdd_open import PddOpen
from regulars.state import ErasedKeys
from regulars.vault import open_vault
from regulars.warehouse.load import load_batches
from tests.dbt.project import Project, open_pair
from tests.landing.conftest import KEY, FixedClock
from tests.sandbox.pdd_calls import NOW, client_of, gateway
from tests.sources.shops import demo_shop

pytestmark = pytest.mark.slow

LONG_ORDER_ITEMS = 10_000


@pytest.fixture(scope="module")
def book() -> OrderBook:
    return OrderBook.sample(households=250, until=date(2017, 10, 3))


@pytest.fixture(scope="module")
def staged(
    project: Project, book: OrderBook, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A warehouse whose staging holds the day, one order of it with ten thousand items."""
    folder = tmp_path_factory.mktemp("pdd")
    batches = _landed_day(folder, book)
    with open_pair(folder) as connection:
        load_batches(
            connection, Settings(data_dir=folder / "data").landing_dir, batches, erased=ErasedKeys()
        )
    project.run(folder, "run", "--select", "staging.pdd_open")
    with open_pair(folder) as connection:
        yield connection


def _landed_day(folder: Path, book: OrderBook) -> list[BatchManifest]:
    settings = Settings(data_dir=folder / "data")
    shop = demo_shop(
        shop="north_pdd", platform="pdd", source="pdd_open", connection="c", overlap_minutes=0
    )
    day = Window(shop.day_start(date(2017, 10, 1)), shop.day_end(date(2017, 10, 1)))
    gate = gateway(book)
    trades = _shown(book, day)
    items = [
        {"goods_id": n, "sku_id": n, "goods_price": f"{n % 7}.{n % 97:02d}", "goods_count": n % 3}
        for n in range(LONG_ORDER_ITEMS)
    ]
    edit = Edit(order_sn=_sn(book, trades[0]), set={"item_list": items, "pay_amount": "31234.57"})
    gate.replace_faults(PddFaults(edits=[edit]))
    clock = FixedClock(NOW.astimezone(UTC))
    batches: list[BatchManifest] = []
    with open_vault(settings.vault_path, KEY) as vault:
        for stream in ("orders", "refunds"):
            result = land_stream(
                settings,
                shop,
                stream,
                lambda connection_id: Credentials(connection_id),
                clock,
                day,
                vault,
                "night-1",
                lambda _: None,
                source=PddOpen(client_of(gate), clock),
            )
            assert result.failures == ()
            batches += result
    return batches


def _shown(book: OrderBook, span: Window) -> list[int]:
    start, end = wall_seconds(span.start), wall_seconds(span.end)
    trades, _ = book.trade_events.modified_between(start, end, wall_seconds(NOW))
    return [int(trade) for trade in trades]


def _sn(book: OrderBook, trade: int) -> str:
    return order_sn(int(book.basket[trade]), int(book.created[trade]))


def rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()


def test_every_line_of_every_version_adds_up_to_its_order(
    staged: duckdb.DuckDBPyConnection,
) -> None:
    counted = rows(
        staged,
        """
        with line_sums as (
            select
                order_key, _batch_id, _line, sum(paid_amount) as paid_amount,
                sum(goods_amount - discount_amount) as net_amount, count(*) as line_count,
                count(distinct line_id) as line_ids, min(paid_amount) as least,
                max(line_no) as last_line
            from staging.stg_pdd_open__order_lines
            group by order_key, _batch_id, _line
        )

        select
            count(*) as order_count,
            count(*) filter (
                where
                    orders.paid_amount = line_sums.paid_amount + orders.shipping_amount
                    and line_sums.net_amount = line_sums.paid_amount
                    and orders.goods_amount - orders.discount_amount + orders.shipping_amount
                    = orders.paid_amount
                    and line_sums.line_count = line_sums.last_line
                    and line_sums.line_count = line_sums.line_ids
                    and line_sums.least >= 0
            ) as sound_count,
            max(line_sums.line_count) as longest
        from staging.stg_pdd_open__orders as orders
        left join line_sums using (order_key, _batch_id, _line)
        """,
    )
    ((order_count, sound_count, longest),) = counted
    assert order_count == sound_count > 120
    assert longest == LONG_ORDER_ITEMS


def test_orders_stand_once_each_with_the_books_sum(
    staged: duckdb.DuckDBPyConnection, book: OrderBook
) -> None:
    shop = demo_shop()
    day = Window(shop.day_start(date(2017, 10, 1)), shop.day_end(date(2017, 10, 1)))
    trades = _shown(book, day)
    ((count, paid, buyers),) = rows(
        staged,
        """
        select count(*), cast(sum(paid_amount) * 100 as bigint), count(buyer_id)
        from (
            select distinct order_key, order_id, paid_amount, buyer_id
            from staging.stg_pdd_open__orders
        )
        """,
    )
    expected = sum(int(book.trade_paid[trade]) for trade in trades[1:]) + 3_123_457
    assert (count, paid, buyers) == (len(trades), expected, 0)


def test_instants_are_in_order_and_in_utc(staged: duckdb.DuckDBPyConnection) -> None:
    ((least, most, disordered),) = rows(
        staged,
        """
        select
            min(modified_at), max(modified_at),
            count(*) filter (
                where
                    paid_at < created_at or shipped_at < paid_at or signed_at < shipped_at
                    or modified_at < greatest(created_at, paid_at, shipped_at, signed_at)
            )
        from staging.stg_pdd_open__orders
        """,
    )
    start = demo_shop().day_start(date(2017, 10, 1)).replace(tzinfo=None)
    assert start <= least
    assert most <= start + timedelta(days=1)
    assert disordered == 0


def test_refunds_name_a_line_of_their_order(staged: duckdb.DuckDBPyConnection) -> None:
    ((count, amounts, unnamed),) = rows(
        staged,
        """
        select
            count(*), count(refunds.refund_amount),
            count(*) filter (where orders.order_key is not null and lines.line_id is null)
        from staging.stg_pdd_open__refunds as refunds
        left join (select distinct order_key from staging.stg_pdd_open__orders) as orders
            on refunds.order_key = orders.order_key
        left join (
            select distinct order_key, line_id from staging.stg_pdd_open__order_lines
        ) as lines
            on refunds.order_key = lines.order_key and refunds.line_id = lines.line_id
        """,
    )
    assert count == amounts > 2
    assert unnamed == 0


@pytest.mark.parametrize("model", ["orders", "order_lines", "refunds"])
def test_columns_follow_the_grammar(staged: duckdb.DuckDBPyConnection, model: str) -> None:
    found = rows(staged, f"describe staging.stg_pdd_open__{model}")
    kinds = {name: kind for name, kind, *_ in found}
    assert all(
        kind == "DECIMAL(18,2)"
        for name, kind in kinds.items()
        if name.endswith("_amount") or name == "list_price"
    )
    assert all(kind == "TIMESTAMP" for name, kind in kinds.items() if name.endswith("_at"))
    assert all(kind == "UUID" for name, kind in kinds.items() if name.endswith("_key"))
    assert GRAMMAR[model].split() == list(kinds)


GRAMMAR = {
    "orders": """
        brand platform shop order_key order_id customer_key buyer_id native_status status_set
        created_at paid_at shipped_at signed_at ended_at finished_at closed_at modified_at currency
        goods_amount discount_amount shipping_amount paid_amount store_id channel has_store_fields
        is_gift is_test payer_phone_ref payer_phone_hash payer_phone_masked receiver_phone_ref
        receiver_phone_hash receiver_phone_masked addressee_ref record_source _batch_id _line
        _extracted_at
    """,
    "order_lines": """
        order_key line_no line_id product_key product_id sku_id title quantity list_price
        goods_amount discount_amount paid_amount coupon_id campaign_id modified_at record_source
        _batch_id _line _extracted_at
    """,
    "refunds": """
        brand platform shop refund_key refund_id order_key order_id line_id buyer_id native_status
        status_set created_at refunded_at modified_at refund_amount reason is_return_goods
        record_source _batch_id _line _extracted_at
    """,
}
