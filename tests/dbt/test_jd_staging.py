"""A day of JD from the sandbox, landed, loaded and staged, equals the order book to the fen."""

import secrets
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from urllib.parse import parse_qsl

import duckdb
import httpx
import pytest

from regulars.credentials import Credentials
from regulars.landing import land_stream
from regulars.records import Window
from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import ShopClock, wall_seconds
from regulars.sandbox.platforms.jd import Gateway
from regulars.sandbox.platforms.jd.orders import order_events, order_ids
from regulars.sandbox.protocol import PLATFORM_ZONE, Access
from regulars.settings import Settings
from regulars.sources.jd_jos import JdJos
from regulars.sources.jd_jos.auth import JdCredentials, Token
from regulars.sources.jd_jos.client import JdClient
from regulars.state import ErasedKeys
from regulars.vault import open_vault
from regulars.warehouse.load import load_batches
from tests.dbt.project import Project, open_pair
from tests.landing.conftest import FixedClock
from tests.sources.shops import demo_shop

ACCESS = Access("sandbox", "sandbox-secret", "sandbox-token")
NOW = datetime(2017, 10, 2, 2, 0, tzinfo=PLATFORM_ZONE)
MODELS = ("stg_jd_jos__orders", "stg_jd_jos__order_lines", "stg_jd_jos__refunds")


@pytest.fixture(scope="module")
def book() -> OrderBook:
    return OrderBook.sample(households=1000, until=date(2017, 10, 3))


@pytest.fixture(scope="module")
def staged(
    project: Project, book: OrderBook, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse after the day's orders and refunds have been staged."""
    folder = tmp_path_factory.mktemp("jd")
    settings = Settings(data_dir=folder / "data")
    batches = _landed(settings, book)
    with open_pair(folder) as connection:
        load_batches(connection, settings.landing_dir, batches, erased=ErasedKeys())
        for batch in batches:
            key = (batch.source, batch.stream, batch.brand, batch.platform, batch.shop)
            connection.execute(
                "insert into ops.pending_batches values (?, ?, ?, ?, ?, ?)", [batch.batch_id, *key]
            )
    project.run(folder, "run", "--select", *MODELS)
    with open_pair(folder) as connection:
        yield connection


def _landed(settings: Settings, book: OrderBook) -> list[object]:
    gateway = Gateway(book, ACCESS, ShopClock(NOW), machine_seconds=None)

    def handle(request: httpx.Request) -> httpx.Response:
        answer = gateway.answer(dict(parse_qsl(request.content.decode())))
        return httpx.Response(answer.status, content=answer.body)

    token = Token(ACCESS.session)
    credentials = JdCredentials(
        "http://x/routerjson", "http://x", ACCESS.app_key, ACCESS.app_secret, token
    )
    clock = FixedClock(NOW.astimezone(UTC))
    source = JdJos(JdClient(credentials, transport=httpx.MockTransport(handle)), clock)
    shop = demo_shop(platform="jd", source="jd_jos", overlap_minutes=0)
    day = date(2017, 10, 1)
    window = Window(shop.day_start(day), shop.day_end(day))
    key = Credentials("regulars_pii", password=secrets.token_hex(32))
    batches: list[object] = []
    with open_vault(settings.vault_path, key) as vault:
        for stream in source.streams():
            result = land_stream(
                settings, shop, stream, lambda _: key, clock, window, vault, "n",
                lambda _: None, source=source,
            )  # fmt: skip
            assert result.failures == ()
            batches += result
    return batches


def _shown(book: OrderBook) -> list[int]:
    start = wall_seconds(datetime(2017, 10, 1, tzinfo=PLATFORM_ZONE))
    orders, _ = order_events(book).modified_between(start, start + 86_400, wall_seconds(NOW))
    listed: list[int] = orders.tolist()
    return listed


def test_orders_equal_the_book(staged: duckdb.DuckDBPyConnection, book: OrderBook) -> None:
    rows = staged.execute(
        "select order_id, goods_amount, paid_amount, paid_at is not null, shipping_amount "
        "from staging.stg_jd_jos__orders"
    ).fetchall()
    clock = wall_seconds(NOW)
    expected = {
        (
            str(number),
            Decimal(int(book.trade_goods[order])) / 100,
            Decimal(int(book.trade_paid[order])) / 100,
            bool(book.paid[order] <= clock),
            Decimal(0),
        )
        for order, number in zip(_shown(book), order_ids(book.basket[_shown(book)]), strict=True)
    }
    assert len(rows) > 200
    assert set(rows) == expected


def test_lines_add_up_to_their_orders_to_the_fen(
    staged: duckdb.DuckDBPyConnection, book: OrderBook
) -> None:
    wrong = staged.execute(
        "select count(*) from staging.stg_jd_jos__orders as o left join ("
        "select order_key, sum(paid_amount) as paid, sum(goods_amount) as goods, "
        "min(paid_amount) as least, count(*) as lines, max(line_no) as last "
        "from staging.stg_jd_jos__order_lines group by order_key) as l using (order_key) "
        "where l.paid + o.shipping_amount is distinct from o.paid_amount "
        "or l.goods is distinct from o.goods_amount or l.lines <> l.last or l.least < 0"
    ).fetchone()
    assert wrong == (0,)
    lines = staged.execute("select count(*) from staging.stg_jd_jos__order_lines").fetchone()
    shown = _shown(book)
    assert lines == (sum(int(book.line_start[o + 1] - book.line_start[o]) for o in shown),)


def test_refunds_carry_their_status_instant_line_and_amount(
    staged: duckdb.DuckDBPyConnection, book: OrderBook
) -> None:
    rows = staged.execute(
        "select native_status, count(*), count(refunded_at), "
        "count(refund_amount) filter (refund_amount > 0), count(line_id) "
        "from staging.stg_jd_jos__refunds group by native_status"
    ).fetchall()
    counts = {status: more for status, *more in rows}
    assert set(counts) == {"13", "14", "others"}
    for status, (count, refunded, amounts, lines) in counts.items():
        assert refunded == (count if status == "13" else 0)
        assert amounts == {"13": count, "14": 0}.get(status, amounts)
        assert lines == count


def test_columns_stand_as_the_grammar_says(staged: duckdb.DuckDBPyConnection) -> None:
    grammar = {
        "orders": "brand platform shop order_key order_id customer_key buyer_id native_status "
        "status_set created_at paid_at shipped_at signed_at ended_at finished_at closed_at "
        "modified_at currency goods_amount discount_amount shipping_amount paid_amount store_id "
        "channel has_store_fields is_gift is_test payer_phone_ref payer_phone_hash "
        "payer_phone_masked receiver_phone_ref receiver_phone_hash receiver_phone_masked "
        "addressee_ref record_source _batch_id _line _extracted_at",
        "order_lines": "order_key line_no line_id product_key product_id sku_id title quantity "
        "list_price goods_amount discount_amount paid_amount coupon_id campaign_id modified_at "
        "record_source _batch_id _line _extracted_at",
        "refunds": "brand platform shop refund_key refund_id order_key order_id line_id buyer_id "
        "native_status status_set created_at refunded_at modified_at refund_amount reason "
        "is_return_goods record_source _batch_id _line _extracted_at",
    }
    for entity, names in grammar.items():
        described = staged.execute(f"describe staging.stg_jd_jos__{entity}").fetchall()
        assert [row[0] for row in described] == names.split()
        kinds = {row[0]: row[1] for row in described}
        for name, kind in kinds.items():
            if name.endswith("_amount"):
                assert kind == "DECIMAL(18,2)", name
            if name.endswith("_at"):
                assert kind == "TIMESTAMP", name
