"""Cutting windows: at most a day, overlapping backwards, never into the source's present."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.records import Window
from regulars.shops import Shop
from regulars.sources.taobao_top.streams import LONGEST_WINDOW as LONGEST
from regulars.sources.windows import cut
from tests.sources.shops import demo_shop

LATER = datetime(2018, 1, 1, tzinfo=UTC)


@pytest.fixture
def shop() -> Shop:
    return demo_shop()


def day(shop: Shop, number: int) -> Window:
    return Window(shop.day_start(date(2017, 10, number)), shop.day_end(date(2017, 10, number)))


def test_a_local_day_is_one_piece_and_the_overlap_another(shop: Shop) -> None:
    window = day(shop, 2)
    overlap = Window(window.start - timedelta(minutes=60), window.start)
    assert cut(shop, window, LATER, LONGEST) == [overlap, window]


def test_without_overlap_a_day_is_asked_once() -> None:
    shop = demo_shop(overlap_minutes=0)
    assert cut(shop, day(shop, 2), LATER, LONGEST) == [day(shop, 2)]


def test_the_end_keeps_its_margin_to_the_present(shop: Shop) -> None:
    window = day(shop, 2)
    now = window.end - timedelta(hours=2, microseconds=-250_000)
    pieces = cut(shop, window, now, LONGEST)
    assert pieces[-1].end == window.end - timedelta(hours=2, minutes=3)
    assert pieces[-1].end.microsecond == 0


def test_nothing_is_asked_about_the_future(shop: Shop) -> None:
    window = day(shop, 2)
    assert cut(shop, window, window.start, LONGEST) == []
    assert cut(shop, window, window.start + timedelta(minutes=3), LONGEST) == []
    assert cut(shop, window, window.start + timedelta(minutes=4), LONGEST) != []


@settings(max_examples=60, deadline=None)
@given(
    hours=st.integers(1, 24 * 40),
    overlap=st.integers(0, 24 * 60),
    margin=st.integers(0, 600),
    present=st.integers(-24 * 10, 24 * 60),
)
def test_pieces_join_without_gap(hours: int, overlap: int, margin: int, present: int) -> None:
    shop = demo_shop().model_copy(update={"overlap_minutes": overlap, "margin_minutes": margin})
    start = datetime(2017, 10, 1, 3, 30, tzinfo=UTC)
    window = Window(start, start + timedelta(hours=hours))
    now = start + timedelta(hours=present)
    pieces = cut(shop, window, now, LONGEST)
    latest = min(window.end, now - timedelta(minutes=margin))
    if latest <= start:
        assert pieces == []
        return
    assert pieces[0].start == start - timedelta(minutes=overlap)
    assert pieces[-1].end == latest
    assert all(one.end == other.start for one, other in pairwise(pieces))
    assert all(piece.end - piece.start <= LONGEST for piece in pieces)
