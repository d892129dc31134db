"""Exports of the order book through landing, raw and staging: the book's money comes out."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regulars.landing import list_batches
from regulars.night.inbox import land_inbox
from regulars.sandbox.book import OrderBook, day_start
from regulars.sandbox.money import yuan
from regulars.sandbox.platforms.exports import USUAL, export_orders
from regulars.settings import Settings
from regulars.sources.exports import PAYLOADS
from regulars.state import ErasedKeys
from regulars.vault import open_vault
from regulars.warehouse.load import load_batches
from tests.dbt.project import Project, open_pair
from tests.landing.conftest import KEY
from tests.sources.shops import demo_shop

START, UNTIL = date(2017, 9, 1), date(2017, 10, 1)


class Clock:
    def now(self) -> datetime:
        return datetime(2017, 10, 1, tzinfo=UTC)

    def advance_to(self, instant: datetime) -> None:
        raise NotImplementedError


@pytest.fixture(scope="module")
def book() -> OrderBook:
    return OrderBook.sample(households=60)


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory, project: Project, book: OrderBook) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    settings = Settings(data_dir=folder / "data")
    with open_vault(settings.vault_path, KEY) as vault:
        for platform, dress in USUAL.items():
            shop = demo_shop(shop=f"{platform}_shop", platform=platform)
            export_orders(settings.inbox_dir, shop.shop, book, platform, START, UNTIL, dress)
            land_inbox(settings, shop, vault, "n", UNTIL, lambda _: None, clock=Clock())
    with open_pair(folder) as connection:
        load_batches(connection, settings.landing_dir, list_batches(settings), erased=ErasedKeys())
    project.run(folder, "run", "--select", "staging.exports")
    return folder


def ask(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    with open_pair(folder) as connection:
        return connection.execute(sql).fetchall()


def inside(book: OrderBook) -> Any:
    return (book.created >= day_start(START)) & (book.created < day_start(UNTIL))


def test_orders_count_and_sum_up_to_the_book(staged: Path, book: OrderBook) -> None:
    trades = inside(book)
    paid = yuan(int(book.trade_paid[trades].sum()))
    was_paid = int((trades & (book.paid < day_start(UNTIL))).sum())
    lines = int(np.diff(book.line_start)[trades].sum())
    found = ask(
        staged,
        """
        select platform, count(*), cast(sum(paid_amount) as varchar), count(paid_at)
        from warehouse.staging.stg_exports__orders group by platform order by platform
        """,
    )
    whole = int(trades.sum())
    # Pinduoduo: each line is an order, and some have no time of payment.
    assert [row[:3] for row in found] == [
        ("douyin", whole, paid),
        ("jd", whole, paid),
        ("pdd", lines, paid),
        ("taobao", whole, paid),
    ]
    assert {row[0]: row[3] for row in found if row[0] in ("jd", "taobao")} == {
        "jd": was_paid,
        "taobao": was_paid,
    }


def test_lines_add_up_to_their_orders_to_the_fen(staged: Path) -> None:
    wrong = ask(
        staged,
        """
        select orders.platform, orders.order_id
        from warehouse.staging.stg_exports__orders as orders
        left join (
            select order_key, sum(paid_amount) as paid_amount, count(*) as line_count,
                max(line_no) as last_line, min(paid_amount) as smallest,
                max(modified_at) as modified_at
            from warehouse.staging.stg_exports__order_lines group by order_key
        ) as lines on orders.order_key = lines.order_key
        where lines.line_count is distinct from lines.last_line
            or (
                orders.platform <> 'taobao'
                and (
                    lines.paid_amount is distinct from orders.paid_amount - orders.shipping_amount
                    or lines.smallest < 0
                    or lines.modified_at is distinct from orders.modified_at
                )
            )
        """,
    )
    assert wrong == []


def test_every_order_is_created_and_none_loses_its_discount(staged: Path) -> None:
    (counts,) = ask(
        staged,
        """
        select
            count(*) filter (created_at is null or modified_at is null),
            count(*) filter (goods_amount + shipping_amount - discount_amount <> paid_amount),
            count(*) filter (created_at >= timestamp '2017-09-30 16:00:00'),
            count(*) filter (platform = 'pdd' and paid_at is null and shipped_at is not null) > 0
        from warehouse.staging.stg_exports__orders
        """,
    )
    assert counts == (0, 0, 0, True)
    (dated,) = ask(
        staged,
        """
        select count(*) > 0, count(*) filter (orders.created_at <> dates.created_at)
        from warehouse.staging.stg_exports__dates_from_numbers as dates
        inner join warehouse.staging.stg_exports__orders as orders using (order_key)
        """,
    )
    assert dated == (True, 0)


def test_refunds_sum_up_to_the_book(staged: Path, book: OrderBook) -> None:
    asked = (book.refund_requested < day_start(UNTIL)) & inside(book)[book.refund_trade]
    (found,) = ask(
        staged,
        """
        select count(*), cast(sum(refund_amount) as varchar),
            count(*) filter (refunded_at is null and native_status = '退款成功')
        from warehouse.staging.stg_exports__refunds
        """,
    )
    assert found == (int(asked.sum()), yuan(int(book.refund_fee[asked].sum())), 0)


def test_statuses_are_those_that_landing_lets_through(staged: Path) -> None:
    found = ask(
        staged,
        "select distinct status_set, native_status from warehouse.staging.stg_exports__orders",
    )
    known = {
        (f"{stream.removesuffix('_orders')}_export", status)
        for stream, model in PAYLOADS.items()
        for item in model.fields
        if item.name == "status"
        for status in item.values
    }
    made = {("douyin_export", "已关闭,退款成功")}
    assert set(found) <= known | made
    assert made < set(found)
