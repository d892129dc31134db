"""The source reads Pinduoduo's gateway while the shop goes on: nothing is lost."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from regulars.records import RawRecord, Window
from regulars.sandbox.book import OrderBook
from regulars.sandbox.clockwork import wall_seconds
from regulars.sandbox.platforms.pdd import (
    PUBLISHED_LIMITS,
    PddFaults,
    PddGateway,
    PddLimits,
)
from regulars.sandbox.platforms.pdd.wire import case_id, order_sn
from regulars.sandbox.protocol import PLATFORM_ZONE
from regulars.sources.pdd_open import PddOpen
from regulars.sources.pdd_open.streams import STREAMS, read_window
from tests.sandbox.pdd_calls import NOW, client_of, gateway
from tests.sources.shops import demo_shop

FROM = datetime(2017, 10, 1, 14, 0, tzinfo=PLATFORM_ZONE)
UNTIL = datetime(2017, 10, 1, 15, 0, tzinfo=PLATFORM_ZONE)


@pytest.fixture(scope="module")
def book() -> OrderBook:
    # Enough buyers that half an hour fills more than one page.
    return OrderBook.sample(households=1500)


def busy(book: OrderBook) -> PddGateway:
    """A shop of whose older orders 350 were flagged during the hour: pages by the hundred."""
    shop = gateway(book, UNTIL)
    start, end = wall_seconds(FROM), wall_seconds(UNTIL)
    ages = start - book.created
    old = np.flatnonzero((ages > 86_400) & (ages < 60 * 86_400))
    chosen = old[:: max(1, len(old) // 350)][:350].tolist()
    shop.touched.update(
        {trade: start + place * (end - start) // 350 for place, trade in enumerate(chosen)}
    )
    return shop


class Present:
    """The gateway's clock, as the source sees it."""

    def __init__(self, shop: PddGateway) -> None:
        self.shop = shop

    def now(self) -> datetime:
        return self.shop.clock.now.astimezone(UTC)

    def advance_to(self, instant: datetime) -> None:
        raise AssertionError("nobody moves it")


def read_until_now(
    shop: PddGateway, stream: str, start: datetime, margin: int = 3
) -> tuple[list[RawRecord], datetime]:
    """Everything the source reads from ``start`` to the present, and where it stopped."""
    source = PddOpen(client_of(shop), Present(shop))
    pdd_shop = demo_shop(
        platform="pdd", source="pdd_open", overlap_minutes=0, margin_minutes=margin
    )
    records: list[RawRecord] = []
    end = start
    for piece in source.windows(pdd_shop, stream, Window(start, shop.clock.now)):
        records += source.iter_records(pdd_shop, stream, piece)
        end = piece.end
    return records, end


def newest_versions(shop: PddGateway, since: datetime) -> set[tuple[str, str]]:
    """Number and newest change, as the shop stands now, of every order that changed since and
    has been quiet for the platform's three minutes."""
    book, clock = shop.book, shop.clock.seconds
    trades, modified = shop._updated(wall_seconds(since), clock - 180, clock)
    return {
        (
            order_sn(int(book.basket[trade]), int(book.created[trade])),
            str(np.datetime64(moment, "s")).replace("T", " "),
        )
        for trade, moment in zip(trades.tolist(), modified.tolist(), strict=True)
    }


def versions(records: list[RawRecord]) -> set[tuple[str, str]]:
    assert all(record.defect is None for record in records)
    return {(one.payload["order_sn"], one.payload["updated_at"]) for one in records}


@pytest.mark.slow
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    touches=st.sampled_from([0, 1, 3, 40, 400]),
    ticks=st.sampled_from([0, 1, 30, 130]),
    lag=st.integers(0, 180),
    margin=st.sampled_from([0, 3, 7]),
)
@example(touches=400, ticks=130, lag=180, margin=0)
@example(touches=40, ticks=0, lag=179, margin=3)
def test_every_order_arrives_in_its_newest_version(
    book: OrderBook, touches: int, ticks: int, lag: int, margin: int
) -> None:
    shop = busy(book)
    shop.replace_faults(PddFaults(touch_after_page=touches, tick_seconds=ticks, lag_seconds=lag))
    records, end = read_until_now(shop, "orders", FROM, margin)
    # Nobody touches it any more; what was touched so far must come with the next windows.
    shop.replace_faults(PddFaults(lag_seconds=lag))
    shop.clock.tick(180)
    rest, _ = read_until_now(shop, "orders", end)
    expected = newest_versions(shop, FROM)
    assert len(expected) > 300
    read = versions(records) | versions(rest)
    assert expected - read == set()


def test_a_quiet_window_is_read_exactly_once(book: OrderBook) -> None:
    shop = busy(book)
    shop.clock.tick(180)
    window = Window(UNTIL - timedelta(minutes=30), UNTIL)
    records = list(read_window(client_of(shop), STREAMS["orders"], window))
    pairs = [(one.payload["order_sn"], one.payload["updated_at"]) for one in records]
    assert len(pairs) > 150
    assert len(set(pairs)) == len(pairs)
    last = UNTIL.strftime("%Y-%m-%d %H:%M:%S")
    assert set(pairs) == {one for one in newest_versions(shop, window.start) if one[1] <= last}


def test_a_row_that_comes_twice_is_given_once(book: OrderBook) -> None:
    shop = gateway(book, UNTIL + timedelta(minutes=3))
    window = Window(UNTIL - timedelta(minutes=30), UNTIL)
    quiet = list(read_window(client_of(shop), STREAMS["orders"], window))
    shop.replace_faults(PddFaults(repeat_row=100))
    assert len(list(read_window(client_of(shop), STREAMS["orders"], window))) == len(quiet)


@settings(max_examples=3, deadline=None)
@given(ticks=st.sampled_from([0, 1, 7, 61]))
@pytest.mark.parametrize("options", [{}, {"has_unix_times": True}])
def test_every_refund_arrives_in_its_newest_version(
    book: OrderBook, options: dict[str, Any], ticks: int
) -> None:
    shop = gateway(book, UNTIL, **options)
    shop.replace_faults(PddFaults(tick_seconds=ticks))
    start = FROM - timedelta(hours=8)
    records, end = read_until_now(shop, "refunds", start)
    shop.replace_faults(PddFaults())
    shop.clock.tick(180)
    rest, _ = read_until_now(shop, "refunds", end)
    clock = shop.clock.seconds
    rows, moments = book.refund_events.modified_between(wall_seconds(start), clock - 180, clock)
    expected = {
        (
            case_id(int(book.refund_oid[row])),
            str(np.datetime64(moment, "s")).replace("T", " "),
        )
        for row, moment in zip(rows.tolist(), moments.tolist(), strict=True)
    }
    read = {(one.payload["id"], one.payload["updated_time"]) for one in [*records, *rest]}
    assert expected
    assert expected - read == set()


def test_two_updates_within_a_second_are_both_read_by_whoever_asks_between(
    book: OrderBook,
) -> None:
    shop = gateway(book, NOW)
    trade = int(np.flatnonzero(book.created < shop.clock.seconds)[-1])
    sn = order_sn(int(book.basket[trade]), int(book.created[trade]))
    window = Window(NOW - timedelta(minutes=20), NOW + timedelta(minutes=10))
    found = []
    for tag in (1, 2):
        shop.replace_faults(
            PddFaults.model_validate(
                {"edits": [{"order_sn": sn, "touch": True, "set": {"remark_tag": tag}}]}
            )
        )
        records = read_window(client_of(shop), STREAMS["orders"], window)
        found += [one.payload for one in records if one.payload["order_sn"] == sn]
    assert [one["remark_tag"] for one in found] == [1, 2]
    assert found[0]["updated_at"] == found[1]["updated_at"]


def test_the_published_limits_are_kept_without_a_refusal(book: OrderBook) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        assert seconds <= 10.0
        now[0] += seconds

    shop = gateway(
        book,
        limits=PddLimits(spans=PUBLISHED_LIMITS, test_phase_calls=10_000),
        elapsed=lambda: now[0],
    )
    client = client_of(shop, sleep, elapsed=lambda: now[0])
    window = Window(NOW - timedelta(hours=3), NOW - timedelta(hours=2, minutes=30))
    for _ in range(8):
        assert all(one.defect is None for one in read_window(client, STREAMS["refunds"], window))
    assert shop.call_count >= 8 * 26
    # A hundred calls in ten seconds, and no refusal to wait out beside them.
    assert now[0] == 10.0 * ((shop.call_count - 1) // 100)
