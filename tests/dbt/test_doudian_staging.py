"""A landed Douyin day through staging: the sums of the order book, to the fen."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from regulars.credentials import Credentials
from regulars.landing import land_stream
from regulars.records import Window
from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import ShopClock, wall_seconds
from regulars.sandbox.platforms.doudian import SHOP_ID, Gateway
from regulars.sandbox.protocol import PLATFORM_ZONE
from regulars.sandbox.server import TEST_ACCESS
from regulars.sandbox.timeline import RefundStatus
from regulars.sandbox.wire import refund_status
from regulars.settings import Settings
from regulars.sources.doudian_open import DoudianOpen
from regulars.sources.doudian_open.auth import DoudianCredentials
from regulars.sources.doudian_open.client import DoudianClient
from regulars.state import ErasedKeys
from regulars.vault import open_vault
from regulars.warehouse.load import load_batches
from tests.dbt.project import Project, open_pair
from tests.landing.conftest import KEY, FixedClock
from tests.sources.shops import demo_shop

NOW = datetime(2017, 10, 2, 2, 0, tzinfo=PLATFORM_ZONE)
MONTH = Window(datetime(2017, 9, 10, 16, 0, tzinfo=UTC), datetime(2017, 10, 1, 16, 0, tzinfo=UTC))


def _land(settings: Settings, book: OrderBook) -> list[Any]:
    gateway = Gateway(book, TEST_ACCESS, ShopClock(NOW), machine_seconds=None)

    def handle(request: httpx.Request) -> httpx.Response:
        status, content, headers = gateway.answer(
            request.url.path, dict(request.url.params), request.content.decode()
        )
        return httpx.Response(status, content=content, headers=headers)

    credentials = DoudianCredentials(
        "http://doudian.test", TEST_ACCESS.app_key, TEST_ACCESS.app_secret, str(SHOP_ID)
    )
    client = DoudianClient(credentials, transport=httpx.MockTransport(handle))
    clock = FixedClock(NOW.astimezone(UTC))
    shop = demo_shop(platform="doudian", source="doudian_open", overlap_minutes=0)
    batches: list[Any] = []
    with open_vault(settings.vault_path, KEY) as vault:
        for stream in ("orders", "refunds"):
            source = DoudianOpen(client, clock)
            result = land_stream(
                settings, shop, stream, Credentials, clock, MONTH, vault, "n", source=source
            )
            result.raise_if_failed()
            batches += result
    return batches


@pytest.mark.slow
def test_a_landed_month_adds_up_to_the_book(project: Project, tmp_path: Path) -> None:
    book = OrderBook.sample(households=60, until=date(2017, 10, 3))
    settings = Settings(data_dir=tmp_path / "data")
    batches = _land(settings, book)
    with open_pair(tmp_path) as connection:
        load_batches(connection, settings.landing_dir, batches, erased=ErasedKeys())
    project.run(tmp_path, "run", "--select", "staging.doudian_open")
    start, end, now = map(wall_seconds, (MONTH.start, MONTH.end, NOW))
    trades, _ = book.trade_events.modified_between(start, end, now)
    rows, _ = book.refund_events.modified_between(start, end, now)
    done = refund_status(book, rows, now) == RefundStatus.SUCCESS
    with open_pair(tmp_path) as connection:

        def one(sql: str) -> tuple[Any, ...]:
            return connection.execute(sql).fetchone() or ()

        orders = one(
            "select count(*), 100 * sum(paid_amount), 100 * sum(goods_amount),"
            " 100 * sum(goods_amount + shipping_amount - discount_amount - paid_amount),"
            " count(distinct customer_key) from warehouse.staging.stg_doudian_open__orders"
        )
        assert orders[:4] == (
            len(trades),
            int(book.trade_paid[trades].sum()),
            int(book.trade_goods[trades].sum()),
            0,
        )
        assert orders[4] == len(set(book.household[trades].tolist()))
        differing = one(
            "select count(*) from warehouse.staging.stg_doudian_open__orders as orders"
            " inner join (select order_key, sum(paid_amount) as paid_amount"
            " from warehouse.staging.stg_doudian_open__order_lines group by all) as lines"
            " on orders.order_key = lines.order_key"
            " where orders.paid_amount <> lines.paid_amount + orders.shipping_amount"
        )
        assert differing == (0,)
        refunds = one(
            "select count(*), 100 * sum(refund_amount) from"
            " warehouse.staging.stg_doudian_open__refunds where native_status = 'refund:3'"
        )
        assert refunds == (int(done.sum()), int(book.refund_fee[rows[done]].sum()))
        assert done.sum() > 0
