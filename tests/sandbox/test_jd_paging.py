"""The source reads a gateway whose shop lives on: nothing that stays in the window is lost."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from urllib.parse import parse_qsl

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from regulars.records import RawRecord, Window
from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import ShopClock, wall_seconds
from regulars.sandbox.platforms.jd import Faults, Gateway
from regulars.sandbox.platforms.jd.orders import order_events, order_ids
from regulars.sandbox.protocol import PLATFORM_ZONE, Access
from regulars.sources.jd_jos import JdJos
from regulars.sources.jd_jos.auth import JdCredentials, Token
from regulars.sources.jd_jos.client import JdClient
from tests.landing.conftest import FixedClock
from tests.sources.shops import demo_shop

ACCESS = Access("sandbox", "sandbox-secret", "sandbox-token")
NOW = datetime(2017, 10, 1, 18, 0, tzinfo=PLATFORM_ZONE)
DAY = Window(datetime(2017, 9, 30, 16, tzinfo=UTC), datetime(2017, 10, 1, 16, tzinfo=UTC))
SHOP = demo_shop(platform="jd", source="jd_jos")


@pytest.fixture(scope="module")
def book() -> OrderBook:
    return OrderBook.sample(households=400, until=date(2017, 10, 3))


def source_of(gateway: Gateway) -> JdJos:
    def handle(request: httpx.Request) -> httpx.Response:
        answer = gateway.answer(dict(parse_qsl(request.content.decode())))
        return httpx.Response(answer.status, content=answer.body, headers=answer.headers)

    token = Token(ACCESS.session)
    credentials = JdCredentials(
        "http://x/routerjson", "http://x", ACCESS.app_key, ACCESS.app_secret, token
    )
    client = JdClient(credentials, transport=httpx.MockTransport(handle), sleep=_never)
    return JdJos(client, FixedClock(NOW.astimezone(UTC)))


def _never(seconds: float) -> None:
    raise AssertionError("nothing is to be waited for")


def gateway_of(book: OrderBook) -> Gateway:
    return Gateway(book, ACCESS, ShopClock(NOW), machine_seconds=None)


def read(gateway: Gateway, stream: str = "orders") -> list[RawRecord]:
    return list(source_of(gateway).iter_records(SHOP, stream, DAY))


def shown(book: OrderBook, clock: int) -> dict[str, int]:
    """Orders that the quiet shop lists in the window at an instant, and when each changed."""
    start, end = wall_seconds(DAY.start), wall_seconds(DAY.end)
    orders, times = order_events(book).modified_between(start, end, clock)
    numbers = map(str, order_ids(book.basket[orders]).tolist())
    return dict(zip(numbers, times.tolist(), strict=True))


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    touched=st.integers(0, 60),
    tick=st.integers(0, 4000),
    beyond=st.sampled_from(["nothing", "failure", "total"]),
)
@example(touched=0, tick=3600, beyond="failure")
@example(touched=60, tick=0, beyond="nothing")
def test_no_order_that_stays_is_lost(book: OrderBook, touched: int, tick: int, beyond: str) -> None:
    """Orders are touched and the clock runs between pages: they move, enter and leave."""
    gateway = gateway_of(book)
    begin = gateway.clock.seconds
    gateway.replace_faults(
        Faults.model_validate(
            {"touch_after_page": touched, "tick_seconds": tick, "beyond_end": beyond}
        )
    )
    records = read(gateway)
    moved = {str(number) for number in order_ids(book.basket[list(gateway._touched)]).tolist()}
    both = shown(book, begin).items() & shown(book, gateway.clock.seconds).items()
    stayed = {number for number, _ in both} - moved
    assert stayed
    assert stayed <= {record.payload["orderId"] for record in records}
    versions = [(one.payload["orderId"], one.payload["modified"]) for one in records]
    assert len(versions) == len(set(versions))


@settings(max_examples=10, deadline=None)
@given(tick=st.integers(0, 20_000))
def test_no_refund_that_ended_is_lost_while_the_clock_runs(book: OrderBook, tick: int) -> None:
    gateway = gateway_of(book)
    begin, start = gateway.clock.seconds, wall_seconds(DAY.start)
    gateway.replace_faults(Faults(tick_seconds=tick))
    services = gateway._services
    ended = {
        str(services.ids[place])
        for place, row in enumerate(services.rows.tolist())
        if start <= book.refund_ended[row] <= begin and services.status(place, begin) == 13
    }
    assert ended
    got = {str(record.payload["serviceId"]) for record in read(gateway, "refunds")}
    assert ended <= got


@pytest.mark.parametrize("change", [{"repeat_row": 100}, {"beyond_end": "failure"}])
def test_odd_lists_are_read_once(book: OrderBook, change: dict[str, object]) -> None:
    gateway = gateway_of(book)
    gateway.replace_faults(Faults.model_validate(change))
    numbers = [record.payload["orderId"] for record in read(gateway)]
    assert len(numbers) == len(set(numbers))
    assert set(numbers) == set(shown(book, gateway.clock.seconds))


def test_refunds_come_however_their_times_are_written(book: OrderBook) -> None:
    def services(change: Callable[[Gateway], None]) -> list[RawRecord]:
        gateway = gateway_of(book)
        change(gateway)
        return read(gateway, "refunds")

    texts = services(lambda _: None)
    epochs = services(lambda gateway: gateway.replace_faults(Faults(has_epoch_dates=True)))
    assert [one.payload for one in texts] == [one.payload for one in epochs]
    assert texts
