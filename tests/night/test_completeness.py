"""What a night asks for: the new span, the gaps behind the watermark, the weekly resweep."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from tests.sources.shops import demo_shop

from regulars.landing.batches import BatchWriter, Origin, Place
from regulars.night.completeness import plan_windows
from regulars.records import Window
from regulars.settings import Settings
from regulars.shops import Shop
from regulars.sources.taobao_top import DEPTH_DAYS
from regulars.sources.windows import cut

FIRST = date(2017, 10, 1)
SUNDAY = date(2017, 12, 31)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


def days(shop: Shop, first: int, last: int) -> Window:
    return Window(
        shop.day_start(FIRST + timedelta(days=first)), shop.day_start(FIRST + timedelta(days=last))
    )


def land(settings: Settings, shop: Shop, window: Window) -> None:
    place = Place("taobao_top", shop.brand, shop.platform, shop.shop, "orders", FIRST)
    with BatchWriter(settings, place, "night-1") as writer:
        writer.commit(Origin("api", datetime(2018, 1, 1, tzinfo=UTC), window))


def plan(settings: Settings, shop: Shop, *, read: int | None, until: int):
    day = FIRST + timedelta(days=until - 1)
    mark = None if read is None else days(shop, 0, read).end
    end = days(shop, 0, until).end
    return plan_windows(settings, shop, "orders", mark=mark, end=end, day=day, now=end)


def test_the_first_night_asks_from_the_shops_first_day_on(settings: Settings) -> None:
    shop = demo_shop(api_from=FIRST)
    asked = plan(settings, shop, read=None, until=1)
    assert asked.windows == (days(shop, 0, 1),)
    assert (asked.refilled, asked.lost, asked.swept_from) == ((), (), None)


def test_a_night_without_gaps_asks_for_its_own_day_only(settings: Settings) -> None:
    shop = demo_shop(api_from=FIRST)
    land(settings, shop, days(shop, 0, 3))
    assert plan(settings, shop, read=3, until=4).windows == (days(shop, 3, 4),)


def test_a_span_that_never_landed_is_asked_again_before_the_new_one(settings: Settings) -> None:
    shop = demo_shop(api_from=FIRST)
    land(settings, shop, days(shop, 0, 1))
    land(settings, shop, days(shop, 2, 5))
    asked = plan(settings, shop, read=5, until=6)
    assert asked.windows == (days(shop, 1, 2), days(shop, 5, 6))
    assert asked.refilled == (days(shop, 1, 2),)


def test_what_the_platform_gives_no_more_is_named_and_not_asked(settings: Settings) -> None:
    shop = demo_shop(api_from=FIRST)
    land(settings, shop, days(shop, 20, 100))
    asked = plan(settings, shop, read=100, until=101)
    # A window is asked from the shop's overlap before its start on.
    overlap = timedelta(minutes=shop.overlap_minutes)
    reachable = days(shop, 0, 101 - DEPTH_DAYS).end + overlap
    assert asked.refilled == (Window(reachable, days(shop, 0, 20).end),)
    assert asked.lost == (Window(days(shop, 0, 1).start, reachable),)
    assert asked.windows == (*asked.refilled, days(shop, 100, 101))


@pytest.mark.parametrize("minutes", [0, 60, 7 * 24 * 60])
def test_what_is_asked_again_lies_within_the_depth_with_the_shops_overlap(
    settings: Settings, minutes: int
) -> None:
    shop = demo_shop(api_from=FIRST, overlap_minutes=minutes)
    land(settings, shop, days(shop, 25, 100))
    now = days(shop, 0, 101).end
    (refilled,) = plan(settings, shop, read=100, until=101).refilled
    first, *_ = cut(shop, refilled, now, timedelta(days=1))
    assert first.start == now - timedelta(days=DEPTH_DAYS)


def test_an_open_source_may_know_its_depth_better(settings: Settings) -> None:
    shop = demo_shop(api_from=FIRST, overlap_minutes=0)
    land(settings, shop, days(shop, 20, 100))
    end = days(shop, 0, 101).end
    asked = plan_windows(
        settings, shop, "orders", mark=days(shop, 0, 100).end, end=end,
        day=FIRST + timedelta(days=100), now=end, depth=90,
    )  # fmt: skip
    assert asked.refilled[0].start == end - timedelta(days=90)


@pytest.mark.parametrize(("offset", "sweeps"), [(0, True), (1, False), (6, False), (7, True)])
def test_every_seventh_day_asks_again_for_thirty(
    settings: Settings, offset: int, sweeps: bool
) -> None:
    shop = demo_shop(api_from=FIRST, resweep_every_days=7, resweep_days=30)
    number = (SUNDAY - FIRST).days + offset
    land(settings, shop, days(shop, 0, number))
    asked = plan(settings, shop, read=number, until=number + 1)
    begin = number - 30 if sweeps else number
    assert asked.windows == (days(shop, begin, number + 1),)
    assert (asked.swept_from is not None) is sweeps


def test_a_resweep_asks_once_for_what_it_and_a_gap_both_want(settings: Settings) -> None:
    shop = demo_shop(api_from=FIRST, resweep_every_days=1, resweep_days=10)
    land(settings, shop, days(shop, 0, 15))
    land(settings, shop, days(shop, 25, 30))
    asked = plan(settings, shop, read=30, until=31)
    assert asked.windows == (days(shop, 15, 20), days(shop, 20, 31))
    assert asked.refilled == (days(shop, 15, 25),)


def test_a_resweep_can_be_switched_off_and_never_goes_behind_the_first_day(
    settings: Settings,
) -> None:
    shop = demo_shop(api_from=FIRST, resweep_every_days=0)
    land(settings, shop, days(shop, 0, 91))
    assert plan(settings, shop, read=91, until=92).swept_from is None
    young = demo_shop(api_from=FIRST, resweep_every_days=1)
    asked = plan(settings, young, read=5, until=6)
    assert asked.windows == (days(young, 0, 6),)
