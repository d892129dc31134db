"""The sandbox's pushes: rows as the clock passes, late ones, and the history."""

import asyncio
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import orjson
import pytest

from regulars.errors import ConfigError
from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import ShopClock, wall_seconds
from regulars.sandbox.platforms.taobao_push import PushDatabase, Pusher, push_database_at
from regulars.sandbox.platforms.taobao_push.pusher import LATE_PUSH_AFTER, PUSH_AFTER
from regulars.sandbox.protocol import PLATFORM_ZONE
from regulars.sandbox.server import TEST_ACCESS, pusher_of, sandbox_app
from regulars.sandbox.shop import SandboxShop
from regulars.settings import Settings
from tests.sandbox.calls import FULL, REFUND, ask
from tests.servers import push_database  # noqa: F401
from tests.sources.push import run_sql
from tests.sources.shops import demo_shop

SINCE = datetime(2017, 9, 25, tzinfo=PLATFORM_ZONE)
NOW = datetime(2017, 10, 2, 2, 0, tzinfo=PLATFORM_ZONE)


@pytest.fixture(scope="module")
def book() -> OrderBook:
    return OrderBook.sample(households=80, until=date(2017, 10, 6))


@pytest.fixture
def clock() -> ShopClock:
    return ShopClock(SINCE)


@pytest.fixture
def database(push_database: PushDatabase) -> Iterator[PushDatabase]:  # noqa: F811
    return push_database  # type: ignore[return-value]


def trades(database: PushDatabase) -> dict[int, tuple[Any, ...]]:
    """status, modified, jdp_hashcode, jdp_response, jdp_created, jdp_modified by tid."""
    rows = run_sql(
        database,
        "select tid, status, modified, jdp_hashcode, jdp_response, jdp_created, jdp_modified"
        " from jdp_tb_trade",
    )
    return {row[0]: row[1:] for row in rows}


def response(row: tuple[Any, ...]) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(row[3])["trade_fullinfo_get_response"]["trade"]
    return found


@pytest.mark.slow
def test_it_does_not_matter_how_often_one_pushes(
    book: OrderBook, clock: ShopClock, database: PushDatabase
) -> None:
    often = Pusher(book, clock, database, switched_on=SINCE)
    for hours in (5, 31, 80, 140, 170):
        clock.now = SINCE + timedelta(hours=hours)
        often.push()
    step_by_step = trades(database)
    run_sql(database, "truncate jdp_tb_trade")
    once = Pusher(book, clock, database, switched_on=SINCE).push()
    assert trades(database) == step_by_step
    assert once.trades == len(step_by_step) > 100


def test_a_row_is_what_the_open_platform_answers_at_that_moment(
    book: OrderBook, clock: ShopClock, database: PushDatabase
) -> None:
    clock.now = NOW
    Pusher(book, clock, database, switched_on=SINCE).push()
    found = trades(database)
    for tid in sorted(found)[::9]:
        row = found[tid]
        shop = SandboxShop(
            book, TEST_ACCESS, now=row[5].replace(tzinfo=PLATFORM_ZONE), machine_seconds=None
        )
        fields = "tid,status,modified,payment,pay_time,end_time,sign_time,orders"
        asked = ask(shop, FULL, tid=tid, fields=fields)["trade"]
        pushed = response(row)
        assert {name: pushed.get(name) for name in fields.split(",")[:-1]} == {
            name: asked.get(name) for name in fields.split(",")[:-1]
        }
        lines = pushed["orders"]["order"]
        for line, expected in zip(lines, asked["orders"]["order"], strict=True):
            assert expected.items() <= line.items()
        assert (row[0], str(row[1])) == (pushed["status"], pushed["modified"])


def test_refunds_are_pushed_beside_their_trades(
    book: OrderBook, clock: ShopClock, database: PushDatabase
) -> None:
    clock.now = NOW
    pushed = Pusher(book, clock, database, switched_on=SINCE).push()
    rows = run_sql(
        database, "select refund_id, status, jdp_response, jdp_modified from jdp_tb_refund"
    )
    assert len(rows) == pushed.refunds > 0
    for refund_id, status, text, at in rows:
        shop = SandboxShop(
            book, TEST_ACCESS, now=at.replace(tzinfo=PLATFORM_ZONE), machine_seconds=None
        )
        fields = "refund_id,tid,oid,status,refund_fee,modified"
        asked = ask(shop, REFUND, refund_id=refund_id, fields=fields)["refund"]
        record = orjson.loads(text)["refund_get_response"]["refund"]
        assert asked.items() <= record.items()
        assert record["status"] == status


def test_a_changed_trade_overwrites_its_row_and_keeps_its_first_push(
    book: OrderBook, clock: ShopClock, database: PushDatabase
) -> None:
    pusher = Pusher(book, clock, database, switched_on=SINCE)
    clock.now = NOW
    pusher.push()
    before = trades(database)
    clock.tick(86_400)
    pusher.push()
    after = trades(database)
    changed = [tid for tid in before if before[tid] != after[tid]]
    assert changed
    assert before.keys() <= after.keys()
    for tid in changed:
        assert after[tid][4] == before[tid][4]
        assert after[tid][5] > before[tid][5]
        assert after[tid][2] != before[tid][2]
        assert after[tid][2].lstrip("-").isdigit()


def test_pushes_come_seconds_later_and_a_few_hours_later(book: OrderBook, clock: ShopClock) -> None:
    clock.now = NOW
    pusher = Pusher(book, clock, PushDatabase("unused"), switched_on=SINCE, late_share=0.1)
    subjects, pushed = pusher.pushed_between(0, 2**40)
    waits = pushed - book.trade_events.modified_at(subjects, clock.seconds)
    is_late = waits >= LATE_PUSH_AFTER[0]
    assert 0.02 < is_late.mean() < 0.25
    assert waits.max() < LATE_PUSH_AFTER[1]
    # A modification right before a late push of an older one waits for neither.
    assert np.median(waits) < PUSH_AFTER[1]


def test_the_history_comes_with_its_old_modification(
    book: OrderBook, clock: ShopClock, database: PushDatabase
) -> None:
    clock.now = SINCE + timedelta(minutes=15)
    pushed = Pusher(book, clock, database, switched_on=SINCE, history_days=30).push()
    start, end = wall_seconds(SINCE) - 30 * 86_400, wall_seconds(SINCE)
    created = book.created[(book.created >= start) & (book.created < end)]
    found = trades(database)
    assert len(found) == pushed.trades >= len(created) > 300
    oldest = min(found.values(), key=lambda row: row[1])
    assert oldest[1] < datetime(2017, 9, 10)  # noqa: DTZ001
    assert oldest[5] >= datetime(2017, 9, 25)  # noqa: DTZ001


def test_without_history_the_older_trades_come_when_they_change(
    book: OrderBook, clock: ShopClock, database: PushDatabase
) -> None:
    clock.now = SINCE + timedelta(days=1)
    Pusher(book, clock, database, switched_on=SINCE).push()
    found = trades(database)
    assert all(row[1] >= datetime(2017, 9, 25) for row in found.values())  # noqa: DTZ001
    created = [response(row)["created"] for row in found.values()]
    assert min(created) < "2017-09-25" < max(created)


@pytest.mark.slow
def test_a_history_loaded_anew_moves_nothing_but_the_push(
    book: OrderBook, clock: ShopClock, database: PushDatabase
) -> None:
    clock.now = NOW
    pusher = Pusher(book, clock, database, switched_on=SINCE)
    pusher.push()
    before = trades(database)
    clock.tick(3600 * 4)
    pusher.push()
    settled = trades(database)
    count = pusher.reload_history(days=3)
    after = trades(database)
    moved = [tid for tid in after if after[tid][5] == clock.now.replace(tzinfo=None)]
    assert len(moved) == count > 30
    for tid in set(moved) & set(settled):
        assert after[tid][0] == settled[tid][0]
        assert after[tid][4] == settled[tid][4]
    assert before.keys() <= after.keys()


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="2003"):
        PushDatabase("x", port=1, password="the-password").create()
    assert "the-password" not in repr(PushDatabase("x", password="the-password"))


@pytest.mark.slow
def test_moving_the_clock_of_the_running_sandbox_pushes(
    book: OrderBook,
    clock: ShopClock,
    push_database: PushDatabase,  # noqa: F811
) -> None:
    place = f"{push_database.host}:{push_database.port}/{push_database.name}"
    who = f"{quote(push_database.user)}:{quote(push_database.password)}"
    settings = Settings(sandbox_push_url=f"mysql://{who}@{place}")
    pushed_shop = demo_shop(source="taobao_rds")
    pusher = pusher_of(settings, pushed_shop, book, clock)
    app = sandbox_app(SandboxShop(book, TEST_ACCESS, clock=clock), pushers=[pusher])

    async def move_clock() -> None:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
            moved = await client.put("/sandbox/clock", json={"now": NOW.isoformat()})
            moved.raise_for_status()

    assert trades(push_database) == {}
    asyncio.run(move_clock())
    pushed = trades(push_database)
    assert len(pushed) > 5
    asyncio.run(move_clock())
    assert trades(push_database) == pushed


@pytest.mark.parametrize(
    "url", ["", "postgresql://h/x", "mysql://h", "mysql://h/a`b", "mysql:///x"]
)
def test_without_a_database_to_push_into_the_sandbox_says_what_to_set(url: str) -> None:
    with pytest.raises(ConfigError, match="REGULARS_SANDBOX_PUSH_URL") as refused:
        push_database_at(url)
    assert not url or url not in str(refused.value)
