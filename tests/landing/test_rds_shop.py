"""Landing from the push database: real purchases, pushed by the sandbox into a real MariaDB."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from regulars.credentials import Credentials
from regulars.errors import AuthenticationFailed, SchemaChanged
from regulars.landing import LandingResult, land_stream, read_batch
from regulars.records import Window
from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import ShopClock, wall_seconds
from regulars.sandbox.platforms.taobao_push import PushDatabase, Pusher
from regulars.sandbox.protocol import PLATFORM_ZONE
from regulars.settings import Settings
from regulars.shops import Shop
from regulars.sources.taobao_rds import TaobaoRds
from regulars.vault import Vault
from tests.landing.conftest import FixedClock
from tests.landing.files import quarantined, readable_bytes
from tests.servers import shared_push_database  # noqa: F401
from tests.sources.gateway import Sleeper
from tests.sources.push import SELLER, client_of, push_trades, run_sql, trade_row, wrapped
from tests.sources.shops import demo_shop
from tests.sources.test_rds_client import kill_readers

SINCE = datetime(2017, 9, 28, tzinfo=PLATFORM_ZONE)
NOW = datetime(2017, 10, 2, 2, 0, tzinfo=PLATFORM_ZONE)
BAD_DAY = Window(
    datetime(2017, 12, 1, tzinfo=PLATFORM_ZONE), datetime(2017, 12, 2, tzinfo=PLATFORM_ZONE)
)


@pytest.fixture(scope="module")
def book() -> OrderBook:
    return OrderBook.sample(households=250, until=date(2017, 10, 3))


@pytest.fixture(scope="module")
def pusher(
    book: OrderBook,
    shared_push_database: PushDatabase,  # noqa: F811
) -> Iterator[Pusher]:
    made = Pusher(book, ShopClock(NOW), shared_push_database, switched_on=SINCE, history_days=3)
    made.push()
    yield made


@pytest.fixture
def shop() -> Shop:
    return demo_shop(source="taobao_rds", overlap_minutes=0)


@pytest.fixture
def window(shop: Shop) -> Window:
    return Window(shop.day_start(date(2017, 10, 1)), shop.day_end(date(2017, 10, 1)))


class Landing:
    """Lands from the database the sandbox pushed to."""

    def __init__(self, settings: Settings, shop: Shop, vault: Vault, pusher: Pusher) -> None:
        self.settings, self.shop, self.vault, self.pusher = settings, shop, vault, pusher
        self.clock = FixedClock(NOW.astimezone(UTC))

    def __call__(
        self, window: Window, stream: str = "orders", source: TaobaoRds | None = None, **extra: str
    ) -> LandingResult:
        database = self.pusher.database
        credentials = Credentials(
            "regulars_demo_grocer",
            host=f"{database.host}:{database.port}",
            login=database.user,
            password=extra.pop("password", database.password),
            extra={"database": database.name, "seller_nick": SELLER, **extra},
        )
        return land_stream(
            self.settings,
            self.shop,
            stream,
            lambda _: credentials,
            FixedClock(max(self.clock.now(), window.end + timedelta(hours=2))),
            window,
            self.vault,
            "night-1",
            lambda _: None,
            source=source,
        )

    def records(self, result: LandingResult) -> list[dict[str, Any]]:
        return [record for batch in result for record in read_batch(self.settings, batch)]


@pytest.fixture
def land(settings: Settings, shop: Shop, vault: Vault, pusher: Pusher) -> Landing:
    return Landing(settings, shop, vault, pusher)


def pushed(pusher: Pusher, window: Window) -> list[int]:
    """Trades that were pushed in a window and not again since."""
    start, end = wall_seconds(window.start), wall_seconds(window.end)
    trades, _ = pusher.pushed_between(start, end - 1)
    found: list[int] = trades.tolist()
    return found


def test_a_day_of_orders_lands_whole_and_to_the_fen(land: Landing, window: Window) -> None:
    book = land.pusher.book
    trades = pushed(land.pusher, window)
    result = land(window)
    (batch,) = result
    records = land.records(result)
    assert len(trades) > 120
    assert Counter(one["tid"] for one in records) == Counter(
        str(book.tid[trade]) for trade in trades
    )
    assert (batch.quarantined_count, batch.unknown_fields, result.failures) == (0, {}, ())
    assert batch.record_count == len(trades)
    lines = [line for one in records for line in one["orders"]]
    assert len(lines) == sum(int(book.line_start[t + 1] - book.line_start[t]) for t in trades)
    paid = sum(Decimal(one["payment"]) for one in records)
    assert paid == Decimal(int(book.trade_paid[trades].sum())) / 100
    assert sum(Decimal(line["divide_order_fee"]) for line in lines) == paid


def test_a_day_of_refunds_lands(land: Landing, window: Window) -> None:
    result = land(window, "refunds")
    (batch,) = result
    assert batch.record_count > 0
    assert (batch.quarantined_count, batch.unknown_fields) == (0, {})
    assert all(int(one["oid"]) > 2**53 for one in land.records(result))


def test_every_push_of_days_lands_once(land: Landing) -> None:
    whole = Window(SINCE, NOW)
    result = land(whole)
    records = land.records(result)
    assert len(result) == 5
    assert sorted(one["tid"] for one in records) == sorted(
        str(land.pusher.book.tid[trade]) for trade in pushed(land.pusher, whole)
    )
    # The history of the days before came with its old modification, by the time of its push.
    assert (
        min(one["modified"] for one in records)
        < "2017-09-28"
        <= min(one["jdp_modified"] for one in records)
    )


def test_landing_again_adds_nothing(land: Landing, window: Window) -> None:
    first, again = land(window), land(window)
    assert {batch.batch_id for batch in first} == set(again.known_ids)


def test_a_connection_killed_in_the_middle_loses_and_repeats_nothing(
    land: Landing, window: Window
) -> None:
    sleeper = Sleeper()
    client = client_of(land.pusher.database, page_rows=50, sleep=sleeper)
    rows = client.rows

    def interrupted(*arguments: Any) -> Iterator[Any]:
        for number, row in enumerate(rows(*arguments)):
            if number in (30, 90):
                kill_readers(land.pusher.database)
            yield row

    client.rows = interrupted  # type: ignore[method-assign]
    result = land(window, source=TaobaoRds(client, FixedClock(NOW.astimezone(UTC))))
    client.close()
    assert sleeper.waits
    assert result.failures == ()
    assert [one["tid"] for one in land.records(result)] == [
        one["tid"] for one in land.records(land(window))
    ]


def test_no_contact_lands_in_plain_text(land: Landing) -> None:
    phone, name, street = "13900001234", "欧阳小明", "张杨路88号"
    record = {
        **_trade(11),
        "receiver_mobile": phone,
        "receiver_name": name,
        "receiver_address": street,
        "buyer_nick": name,
        "buyer_email": "somebody@example.com",
        "brand_new_phone": phone,
        "seller_memo": f"call {phone}",
    }
    broken = wrapped(record)[:-1]
    push_trades(
        land.pusher.database,
        [
            trade_row(11, wrapped(record), "2017-12-01 08:00:00"),
            trade_row(12, broken, "2017-12-01 08:00:00"),
            trade_row(13, wrapped({**record, "status": "ON_THE_MOON"}), "2017-12-01 08:00:00"),
        ],
    )
    (batch,) = land(BAD_DAY)
    _clean(land)
    assert (batch.record_count, batch.quarantined_count) == (1, 2)
    assert batch.unknown_fields == {"brand_new_phone": 1}
    plain = readable_bytes(land.settings.landing_dir) + readable_bytes(land.settings.quarantine_dir)
    for contact in (phone, name, street, "somebody@example.com"):
        assert contact.encode() not in plain


def test_broken_rows_are_put_aside_by_name_and_do_not_hold_the_window(land: Landing) -> None:
    good, at = _trade(21), "2017-12-01 08:00:00"
    push_trades(
        land.pusher.database,
        [
            trade_row(21, wrapped(good), at),
            trade_row(22, wrapped(good)[:100], at),
            trade_row(23, None, at),
            trade_row(24, wrapped({**good, "status": "TRADE_ON_THE_MOON"}), at),
            trade_row(25, wrapped({name: good[name] for name in good if name != "payment"}), at),
            trade_row(26, wrapped({**good, "payment": 12.345}), at),
            trade_row(27, wrapped({**good, "shiny": True}), at),
        ],
    )
    result = land(BAD_DAY)
    _clean(land)
    (batch,) = result
    assert result.failures == ()
    assert result.completed == (BAD_DAY,)
    assert batch.record_count == 2
    assert batch.unknown_fields == {"shiny": 1}
    assert [one["_reasons"] for one in quarantined(land.settings, batch)] == [
        ["jdp_response is not complete JSON"],
        ["jdp_response is empty"],
        ["status: 'TRADE_ON_THE_MOON' is not a documented status"],
        ["payment: required, but missing"],
        ["payment: more than two decimals"],
    ]


def test_two_pushes_within_a_second_leave_the_later(land: Landing) -> None:
    at = "2017-12-01 08:00:00"
    for status in ("WAIT_BUYER_PAY", "WAIT_SELLER_SEND_GOODS"):
        row = trade_row(31, wrapped({**_trade(31), "status": status}), at)
        push_trades(land.pusher.database, [row])
    (record,) = land.records(land(BAD_DAY))
    _clean(land)
    assert record["status"] == "WAIT_SELLER_SEND_GOODS"


def test_a_wrong_password_fails_the_stream_without_showing_it(
    land: Landing, window: Window
) -> None:
    result = land(window, password="wrong-password")
    with pytest.raises(AuthenticationFailed) as caught:
        result.raise_if_failed()
    assert "wrong-password" not in str(caught.value)
    assert "demo_grocer/orders" in caught.value.where


def test_an_unknown_database_fails_the_stream(land: Landing, window: Window) -> None:
    with pytest.raises(SchemaChanged, match="the database"):
        land(window, database="regulars_nowhere").raise_if_failed()


def _trade(tid: int) -> dict[str, Any]:
    text = json.dumps(
        {
            "tid": tid,
            "status": "TRADE_FINISHED",
            "created": "2017-11-20 10:00:00",
            "modified": "2017-12-01 07:59:58",
            "payment": "12.30",
            "orders": {"order": [{"oid": tid, "num": 1, "payment": "12.30"}]},
        }
    )
    record: dict[str, Any] = json.loads(text)
    return record


def _clean(land: Landing) -> None:
    run_sql(land.pusher.database, "delete from jdp_tb_trade where jdp_modified >= '2017-12-01'")
