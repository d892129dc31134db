"""Reviews: windows that the platform does not show whole are halved."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.records import RawRecord, Window
from regulars.sources.taobao_top import TaobaoTop
from regulars.sources.taobao_top.payload import REVIEWS
from regulars.sources.taobao_top.reviews import MOST_ROWS, read_reviews
from tests.landing.conftest import FixedClock
from tests.sources.gateway import Answer, client_for, envelope
from tests.sources.shops import demo_shop

START = datetime(2017, 9, 30, 16, 0, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(days=1))
ZERO = datetime(2017, 10, 1)  # noqa: DTZ001  # the platform's wall clock has no zone


def review(number: int, second: int) -> dict[str, Any]:
    return {
        "tid": 10**17 + number,
        "oid": 10**17 + number,
        "nick": "s**9",
        "result": "good",
        "created": str(ZERO + timedelta(seconds=second)),
        "role": "buyer",
        "content": "很好",
    }


class ReviewGateway:
    """Shows at most 1,500 reviews of a window, newest first."""

    def __init__(self, seconds: list[int], ends_inside: bool = True) -> None:
        self.records = [review(number, second) for number, second in enumerate(seconds)]
        self.ends_inside = ends_inside
        self.calls: list[dict[str, str]] = []

    def __call__(self, parameters: dict[str, str]) -> Answer:
        self.calls.append(parameters)
        start, end = parameters["start_date"], parameters["end_date"]
        found = [
            one
            for one in self.records
            if start <= one["created"] and (one["created"] < end + "~" * self.ends_inside)
        ]
        found = sorted(found, key=lambda one: one["created"], reverse=True)[:MOST_ROWS]
        size, number = int(parameters["page_size"]), int(parameters["page_no"])
        assert 1 <= size <= 150
        assert 1 <= number <= 200
        page = found[(number - 1) * size : number * size]
        body: dict[str, Any] = {"total_results": len(found)}
        if page:
            body["trade_rates"] = {"trade_rate": page}
        return envelope(parameters["method"], body)


def read(gateway: Any) -> list[RawRecord]:
    return list(read_reviews(client_for(gateway), WINDOW))


def oids(records: list[RawRecord]) -> list[int]:
    return sorted(record.payload["oid"] - 10**17 for record in records if not record.defect)


def test_what_the_shop_received_is_asked_for_by_time() -> None:
    gateway = ReviewGateway([5, 10, 15])
    records = read(gateway)
    assert oids(records) == [0, 1, 2]
    call = gateway.calls[-1]
    assert (call["method"], call["rate_type"], call["role"]) == (
        "taobao.traderates.get",
        "get",
        "buyer",
    )
    assert (call["start_date"], call["end_date"]) == ("2017-10-01 00:00:00", "2017-10-02 00:00:00")
    assert {"oid", "result", "content", "nick"} <= set(call["fields"].split(","))
    assert all(REVIEWS.check(record.payload).reasons == [] for record in records)


def test_a_page_holds_a_hundred_and_fifty() -> None:
    gateway = ReviewGateway(list(range(400)))
    assert len(read(gateway)) == 400
    assert max(int(call["page_size"]) for call in gateway.calls) == 150


@pytest.mark.parametrize("ends_inside", [True, False])
@pytest.mark.parametrize("count", [1_499, 1_500, 1_501, 4_000])
def test_a_window_that_is_not_shown_whole_is_halved(count: int, ends_inside: bool) -> None:
    gateway = ReviewGateway([20 * number for number in range(count)], ends_inside)
    assert oids(read(gateway)) == list(range(count))
    windows = {(call["start_date"], call["end_date"]) for call in gateway.calls}
    assert (len(windows) > 1) == (count >= MOST_ROWS)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.integers(0, 86_399), min_size=1, max_size=6),
    st.integers(1_400, 3_500),
    st.booleans(),
)
def test_no_review_is_lost_or_given_twice_however_they_crowd(
    crowded: list[int], count: int, ends_inside: bool
) -> None:
    # Up to six seconds that many share, none of them more than are shown.
    seconds = [
        crowded[n % len(crowded)] if n < 1_400 else (n * 7919) % 86_400 for n in range(count)
    ]
    records = read(ReviewGateway(seconds, ends_inside))
    assert [record.defect for record in records if record.defect] == []
    assert oids(records) == list(range(count))


def test_more_in_one_second_than_are_shown_is_said() -> None:
    records = read(ReviewGateway([7] * 1_600))
    (bad,) = [record for record in records if record.defect]
    assert "bear one second" in str(bad.defect)
    assert bad.is_final
    assert len(oids(records)) == MOST_ROWS


def test_a_changed_review_is_another_version() -> None:
    gateway = ReviewGateway([5])
    gateway.records.append(
        {**gateway.records[0], "result": "bad", "created": "2017-10-01 01:00:00"}
    )
    assert sorted(record.payload["result"] for record in read(gateway)) == ["bad", "good"]


def test_a_day_is_asked_at_a_time() -> None:
    source = TaobaoTop(client_for(ReviewGateway([])), FixedClock(WINDOW.end + timedelta(hours=2)))
    pieces = source.windows(
        demo_shop(overlap_minutes=0), "reviews", Window(START - timedelta(days=2), WINDOW.end)
    )
    assert [piece.end - piece.start for piece in pieces] == [timedelta(days=1)] * 3
