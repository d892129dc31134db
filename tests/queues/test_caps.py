from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regulars.queues import Cap
from tests.queues.shop import (
    CAPS,
    EMAIL_HOURS,
    EMAIL_WEEK,
    EVERY_WEEK,
    NIGHT,
    SMS_DAY,
    SMS_MONTH,
    SMS_WEEK,
)

MOMENT = timedelta(microseconds=1)


@pytest.mark.parametrize("cap", CAPS)
def test_the_last_place_of_a_window_is_free_and_then_none(cap: Cap) -> None:
    others = [NIGHT - MOMENT * number for number in range(cap.max_messages)]
    assert cap.allows(NIGHT, others[:-1])
    assert not cap.allows(NIGHT, others)


@pytest.mark.parametrize("cap", CAPS)
def test_a_message_exactly_one_window_away_does_not_count(cap: Cap) -> None:
    full = [NIGHT - cap.window] * cap.max_messages
    assert cap.allows(NIGHT, full)
    assert not cap.allows(NIGHT - MOMENT, full)


@pytest.mark.parametrize("cap", CAPS)
def test_messages_planned_later_count_as_well(cap: Cap) -> None:
    full = [NIGHT + cap.window] * cap.max_messages
    assert cap.allows(NIGHT, full)
    assert not cap.allows(NIGHT + MOMENT, full)


def test_a_window_of_messages_before_and_after_is_seen() -> None:
    # Two a week: Monday and Friday are taken, Wednesday would be the third of one week.
    taken = [NIGHT - timedelta(days=2), NIGHT + timedelta(days=2)]
    assert not SMS_WEEK.allows(NIGHT, taken)
    # Ten days apart, no week holds more than two.
    taken = [NIGHT - timedelta(days=5), NIGHT + timedelta(days=5)]
    assert SMS_WEEK.allows(NIGHT, taken)
    # Exactly a week apart, each of the two stands in another week.
    taken = [NIGHT - timedelta(days=4), NIGHT + timedelta(days=3)]
    assert SMS_WEEK.allows(NIGHT, taken)
    assert not SMS_WEEK.allows(NIGHT, [taken[0] + MOMENT, taken[1]])


@pytest.mark.parametrize(
    ("cap", "purpose", "channel", "counts"),
    [
        (SMS_DAY, "marketing", "sms", True),
        (SMS_DAY, "marketing", "email", False),
        (SMS_DAY, "service", "sms", False),
        (EVERY_WEEK, "marketing", "sms", True),
        (EVERY_WEEK, "marketing", "email", True),
        (EVERY_WEEK, "service", "sms", False),
    ],
)
def test_a_cap_counts_its_purpose_and_channel(
    cap: Cap, purpose: str, channel: str, counts: bool
) -> None:
    assert cap.covers(purpose, channel) is counts


@given(
    st.lists(st.integers(0, 60 * 24), max_size=12),
    st.sampled_from([SMS_DAY, SMS_WEEK, SMS_MONTH, EMAIL_HOURS, EMAIL_WEEK]),
)
def test_no_window_ever_holds_more_than_the_cap(hours: list[int], cap: Cap) -> None:
    """Whatever is accepted one by one, in any order of time, keeps every window within the cap."""
    accepted: list[int] = []
    for hour in hours:
        if cap.allows(
            NIGHT + timedelta(hours=hour), [NIGHT + timedelta(hours=at) for at in accepted]
        ):
            accepted.append(hour)
    for end in accepted:
        in_window = [at for at in accepted if end - cap.window_hours < at <= end]
        assert len(in_window) <= cap.max_messages
    # And nothing was refused that still had room.
    for hour in set(hours) - set(accepted):
        around = [at for at in accepted if abs(at - hour) < cap.window_hours]
        assert len(around) >= cap.max_messages
