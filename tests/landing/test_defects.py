"""What a platform lists and does not give is asked for once more, then given up by name."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from regulars.errors import SourceUnavailable
from regulars.landing import LandingResult, land_stream, landing_gaps, list_batches
from regulars.landing.quarantine import refused_count, release, waiting_count
from regulars.records import RawRecord, Window
from regulars.settings import Settings
from regulars.shops import Shop
from regulars.vault import Vault
from tests.landing.conftest import FixedClock
from tests.landing.files import quarantined
from tests.landing.test_land_stream import Scripted, flat, no_credentials

EVENING = datetime(2017, 10, 1, 18, 0, tzinfo=UTC)
NEXT_NIGHT = EVENING + timedelta(days=1)
WHY = "its amount could not be read: errorCode 500"


class Partly(Scripted):
    """One window, in which some records are listed and not given."""

    def __init__(self, *records: RawRecord, window: Window | None = None) -> None:
        super().__init__([])
        self.records = records
        self.window = window

    def windows(self, shop: Shop, stream: str, window: Window) -> list[Window]:
        return [self.window or window]

    def iter_records(self, shop: Shop, stream: str, window: Window) -> Iterator[RawRecord]:
        yield from self.records


def bad(key: str = "refund 7", place: str = "page 1 of 50, item 3") -> RawRecord:
    return RawRecord(flat(7) if key else {}, place, WHY, key=key)


def given(number: int) -> RawRecord:
    return RawRecord(flat(number), f"page 1 of 50, item {number}")


@pytest.fixture
def land(settings: Settings, shop: Shop, vault: Vault, window: Window) -> Any:
    def run(at: datetime, *records: RawRecord, asked: Window | None = None) -> LandingResult:
        return land_stream(
            settings, shop, "orders", no_credentials, FixedClock(at), window, vault, "night-1",
            lambda _: None, source=Partly(*records, window=asked),
        )  # fmt: skip

    return run


def test_a_record_that_is_not_given_the_second_time_either_lets_its_window_land(
    settings: Settings, shop: Shop, vault: Vault, window: Window, land: Any
) -> None:
    first = land(EVENING, given(1), bad())
    with pytest.raises(SourceUnavailable, match="1 records could not be read"):
        first.raise_if_failed()
    assert landing_gaps(settings, shop, "orders", window) == [window]
    # Elsewhere in the list by now.
    second = land(NEXT_NIGHT, given(1), bad(place="page 4 of 50, item 1"))
    assert second.failures == ()
    assert second.completed == (window,)
    assert landing_gaps(settings, shop, "orders", window) == []
    (batch,) = second
    assert (batch.record_count, batch.unread_count, batch.given_up_count) == (1, 0, 1)
    (aside,) = quarantined(settings, batch)
    assert aside["_reasons"] == [f"{WHY}; given up: asked again in vain"]
    assert batch.quarantine_reasons == {aside["_reasons"][0]: 1}
    assert "9007199254740993007" in vault.unseal(aside["_sealed"])
    # Whoever looks into it may let it land as far as it was listed.
    assert waiting_count(settings, batch) == 1
    done = release(settings, vault, batch, lines=None, changes={}, at=NEXT_NIGHT, by="somebody")
    assert done.lines == [2]


def test_repeats_within_the_hour_are_one_asking(
    settings: Settings, shop: Shop, window: Window, land: Any
) -> None:
    land(EVENING, bad())
    for minutes in (0, 5, 59):
        assert land(EVENING + timedelta(minutes=minutes), bad()).completed == ()
    assert land(EVENING + timedelta(minutes=60), bad()).completed == (window,)


def test_another_record_gets_a_second_asking_of_its_own(
    settings: Settings, window: Window, land: Any
) -> None:
    land(EVENING, bad("refund 7"))
    again = land(NEXT_NIGHT, bad("refund 7"), bad("refund 8"))
    assert again.completed == ()
    assert (again[0].unread_count, again[0].given_up_count) == (1, 1)
    assert land(NEXT_NIGHT + timedelta(days=1), bad("refund 7"), bad("refund 8")).completed


def test_a_record_that_is_given_at_last_lands(
    settings: Settings, shop: Shop, window: Window, land: Any
) -> None:
    land(EVENING, given(1), bad())
    (batch,) = land(NEXT_NIGHT, given(1), given(7))
    assert (batch.record_count, batch.given_up_count) == (2, 0)
    assert landing_gaps(settings, shop, "orders", window) == []


def test_a_place_in_the_list_is_given_up_in_a_window_that_had_one(
    settings: Settings, window: Window, land: Any
) -> None:
    """The list moves: what stood on page 17 stands on page 16 the next night."""
    land(EVENING, bad("", "page 17 of 1"))
    assert land(NEXT_NIGHT, bad("", "page 16 of 1")).completed == (window,)
    later = Window(window.end, window.end + timedelta(days=1))
    assert land(NEXT_NIGHT, bad("", "page 16 of 1"), asked=later).completed == ()


def test_what_was_refused_for_its_content_does_not_excuse_a_place(
    settings: Settings, window: Window, land: Any
) -> None:
    refused = RawRecord(flat(2, payment="12.345"), "page 1 of 50, item 2")
    land(EVENING, refused, bad("refund 7"))
    assert land(NEXT_NIGHT, refused, bad("", "page 1 of 1")).completed == ()


def test_what_the_platform_did_not_give_does_not_count_as_refused(
    settings: Settings, land: Any
) -> None:
    refused = RawRecord(flat(2, payment="12.345"), "page 1 of 50, item 2")
    land(EVENING, given(1), refused, bad())
    land(NEXT_NIGHT, given(1), refused, bad())
    first, second = list_batches(settings)
    assert [one.quarantined_count for one in (first, second)] == [2, 2]
    assert [refused_count(settings, one) for one in (first, second)] == [1, 1]
    assert first.window_date == date(2017, 10, 1)
