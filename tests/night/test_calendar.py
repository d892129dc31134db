"""Business dates: shop-local days, several zones, and when a night may run."""

from datetime import UTC, date, datetime

import pytest

from regulars.errors import NightError
from regulars.night import calendar
from regulars.shops import ShopsFile


def shops(*zones, settle=120, api_from=None):
    return ShopsFile.model_validate(
        {
            "settle_minutes": settle,
            "brands": [{"brand": "b", "name": "B", "base_currency": "CNY"}],
            "shops": [
                {
                    "shop": f"s{number}",
                    "name": "S",
                    "brand": "b",
                    "platform": "p",
                    "source": "file",
                    "zone": zone,
                    "currency": "CNY",
                    "first_date": date(2017, 1, 1),
                    "api_from": api_from,
                }
                for number, zone in enumerate(zones)
            ],
        }
    )


def test_a_night_opens_after_the_last_shops_midnight_and_the_settle_time():
    both = shops("Asia/Shanghai", "America/New_York")
    # New York's 2017-10-01 ends at 04:00 UTC on the 2nd.
    assert both.night_opens_at(date(2017, 10, 1)) == datetime(2017, 10, 2, 6, tzinfo=UTC)
    assert str(calendar.calendar_zone(both)) == "America/New_York"
    one = shops("Asia/Shanghai")
    assert one.night_opens_at(date(2017, 10, 1)) == datetime(2017, 10, 1, 18, tzinfo=UTC)


def test_two_in_the_morning_in_shanghai_is_the_previous_utc_day_but_not_the_business_date():
    zone = calendar.calendar_zone(shops("Asia/Shanghai"))
    start = datetime(2017, 9, 30, 18, tzinfo=UTC)
    assert calendar.business_date(start, zone) == date(2017, 10, 1)


def test_the_schedule_fires_when_the_night_opens():
    assert calendar.night_cron(shops("Asia/Shanghai")) == "0 2 * * *"
    assert calendar.night_cron(shops("Asia/Shanghai", settle=95)) == "35 1 * * *"


def test_a_logical_date_gives_its_business_date_back():
    for zone in ("Asia/Shanghai", "America/New_York", "UTC"):
        file = shops(zone)
        for day in (date(2017, 3, 12), date(2017, 10, 1), date(2017, 11, 5)):
            logical = calendar.logical_date_of(file, day)
            assert calendar.business_date(logical, calendar.calendar_zone(file)) == day


def test_the_next_night_follows_the_last_completed_one():
    found = calendar.next_business_date(
        shops("Asia/Shanghai"),
        date(2017, 10, 1),
        now=datetime(2017, 10, 2, 18, tzinfo=UTC),
        simulated=False,
    )
    assert found == date(2017, 10, 2)


def test_a_night_may_not_run_one_second_before_it_opens():
    with pytest.raises(NightError, match="2017-10-03 02:00"):
        calendar.next_business_date(
            shops("Asia/Shanghai"),
            date(2017, 10, 1),
            now=datetime(2017, 10, 2, 17, 59, 59, tzinfo=UTC),
            simulated=False,
        )


def test_the_first_night_is_the_latest_open_date_or_the_simulated_shops_first_api_day():
    now = datetime(2026, 11, 21, 17, 59, tzinfo=UTC)
    assert calendar.next_business_date(
        shops("Asia/Shanghai"), None, now=now, simulated=False
    ) == date(2026, 11, 20)
    assert calendar.next_business_date(
        shops("Asia/Shanghai", api_from=date(2017, 10, 1)), None, now=now, simulated=True
    ) == date(2017, 10, 1)


def test_without_shops_the_calendar_still_works():
    none = shops()
    assert str(calendar.calendar_zone(none)) == "UTC"
    assert none.night_opens_at(date(2017, 10, 1)) == datetime(2017, 10, 2, tzinfo=UTC)


def test_a_malformed_date_is_refused_with_the_right_form():
    with pytest.raises(NightError, match="2017-10-01"):
        calendar.parse_date("01.10.2017")
