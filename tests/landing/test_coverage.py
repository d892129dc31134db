"""Which spans have landed: merged, subtracted, and never believed of a batch read in part."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from regulars.landing import landing_gaps
from regulars.landing.batches import BatchWriter, Origin, Place
from regulars.landing.coverage import covered, gaps
from regulars.records import BatchManifest, Window
from regulars.settings import Settings
from regulars.shops import Shop
from tests.landing.conftest import DAY, FixedClock

START = datetime(2017, 10, 1, tzinfo=UTC)
WHOLE = Window(START, START + timedelta(hours=48))


def hours(first: int, last: int) -> Window:
    return Window(START + timedelta(hours=first), START + timedelta(hours=last))


def land(settings: Settings, shop: Shop, window: Window, unread: int = 0) -> BatchManifest:
    place = Place("taobao_top", shop.brand, shop.platform, shop.shop, "orders", DAY)
    with BatchWriter(settings, place, "night-1") as writer:
        writer.unread_count = unread
        return writer.commit(Origin("api", FixedClock().now(), window))


def test_empty_windows_of_one_day_cover_what_they_asked(settings: Settings, shop: Shop) -> None:
    land(settings, shop, hours(0, 1))
    land(settings, shop, hours(1, 24))
    land(settings, shop, hours(1, 24))
    assert landing_gaps(settings, shop, "orders", WHOLE) == [hours(24, 48)]
    assert landing_gaps(settings, shop, "refunds", WHOLE) == [WHOLE]


def test_a_batch_read_in_part_covers_nothing(settings: Settings, shop: Shop) -> None:
    land(settings, shop, hours(0, 24))
    land(settings, shop, hours(24, 48), unread=1)
    assert landing_gaps(settings, shop, "orders", WHOLE) == [hours(24, 48)]


def test_dropped_files_cover_no_window(settings: Settings, shop: Shop) -> None:
    place = Place("taobao_top", shop.brand, shop.platform, shop.shop, "orders", DAY)
    with BatchWriter(settings, place, "night-1") as writer:
        writer.commit(Origin("orders.csv", FixedClock().now(), sha256="0" * 64))
    assert landing_gaps(settings, shop, "orders", WHOLE) == [WHOLE]


@given(st.lists(st.tuples(st.integers(-5, 50), st.integers(1, 12)), max_size=12))
def test_every_hour_is_covered_or_in_a_gap_and_never_both(
    spans: list[tuple[int, int]],
) -> None:
    batches = [
        BatchManifest.model_construct(
            window_start=START + timedelta(hours=first),
            window_end=START + timedelta(hours=first + length),
            unread_count=0,
        )
        for first, length in spans
    ]
    missing = gaps(WHOLE, covered(batches))
    for hour in range(48):
        is_covered = any(first <= hour < first + length for first, length in spans)
        holes = [gap for gap in missing if gap.start <= START + timedelta(hours=hour) < gap.end]
        assert len(holes) == (0 if is_covered else 1)
    assert all(gap.start < gap.end for gap in missing)
    assert missing == sorted(missing, key=lambda gap: gap.start)
