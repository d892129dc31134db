"""Every rule of the exit, at its boundaries."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from regulars.queues.exit import (
    ExitContext,
    Verdict,
    check_exit,
    contaminated_contacts,
    merged_draws,
)
from regulars.state import ConsentRecord, Decision, SentMessage
from tests.queues.shop import CAPS, HOURS, NIGHT, ZONES, campaign, shanghai
from tests.state.rows import DAY, PLANNED, member, proposal

SECOND = timedelta(seconds=1)
SHARED = "shared"


def message(number: int, **changes: Any) -> Decision:
    row = proposal(number, **changes)
    row = {key: row[key] for key in row if key not in ("is_final", "as_of_date")}
    if row["planned_at"].tzinfo is None:
        row["planned_at"] = PLANNED
    if row["expires_at"] is not None:
        row["expires_at"] = row["expires_at"].replace(tzinfo=UTC)
    row["coupon_amount"] = Decimal("5.00")
    return Decision(**row, run_id="night-20171001", decided_on=DAY)


def sent(number: int, send_at: datetime, **changes: Any) -> SentMessage:
    values: dict[str, Any] = {
        "message_id": f"sent {number} {send_at} {changes}",
        "campaign": "another",
        "brand": "demo",
        "member_key": member(number),
        "contact_hash": f"hash_{number}",
        "channel": "sms",
        "purpose": "marketing",
        "occasion": "2017-09-01",
        "exported_by": "night-20170930",
        **changes,
    }
    return SentMessage(**values, send_at=send_at)


def judge(*messages: Decision, **changes: Any) -> list[Verdict]:
    values: dict[str, Any] = {
        "run_id": "night-20171001",
        "now": NIGHT,
        "campaigns": {"gift": campaign()},
        "zones": ZONES,
        "hours": HOURS,
        "caps": CAPS,
        **changes,
    }
    return check_exit(messages, ExitContext(**values))


def reasons(*messages: Decision, **changes: Any) -> list[str | None]:
    """Reasons by member number."""
    verdicts = judge(*messages, **changes)
    verdicts.sort(key=lambda verdict: verdict.decision.member_key.int)
    return [verdict.reason for verdict in verdicts]


def test_a_message_leaves_at_its_planned_time() -> None:
    (verdict,) = judge(message(1))
    assert (verdict.send_at, verdict.reason) == (PLANNED, None)
    assert verdict.expires_at == shanghai(6, "00:00")  # due on the 2nd, and 3 days more


# --- hours ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("planned", "send_at"),
    [
        (shanghai(2, "07:59"), shanghai(2, "10:00")),
        (shanghai(2, "08:00"), shanghai(2, "08:00")),
        (shanghai(2, "21:00") - SECOND, shanghai(2, "21:00") - SECOND),
        (shanghai(2, "21:00"), shanghai(3, "10:00")),
        (shanghai(2, "23:30"), shanghai(3, "10:00")),
    ],
)
def test_marketing_planned_for_closed_hours_moves_to_the_next_slot(
    planned: datetime, send_at: datetime
) -> None:
    (verdict,) = judge(message(1, planned_at=planned))
    assert verdict.send_at == send_at


@pytest.mark.parametrize(
    ("now", "send_at"),
    [
        (shanghai(2, "10:00"), shanghai(2, "10:00")),
        (shanghai(2, "10:00") + SECOND, shanghai(2, "17:00")),
        (shanghai(2, "17:00"), shanghai(2, "17:00")),
        (shanghai(2, "17:00") + SECOND, shanghai(3, "10:00")),
        (shanghai(5, "16:59"), shanghai(5, "17:00")),
    ],
)
def test_marketing_that_is_late_moves_to_the_next_slot(now: datetime, send_at: datetime) -> None:
    (verdict,) = judge(message(1), now=now)
    assert verdict.send_at == send_at


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (shanghai(5, "17:00"), None),
        (shanghai(5, "17:00") + SECOND, "quiet"),
        (shanghai(6, "00:00") - SECOND, "quiet"),
        (shanghai(6, "00:00"), "expired"),
    ],
)
def test_a_message_that_is_too_late_does_not_leave(now: datetime, reason: str | None) -> None:
    assert reasons(message(1), now=now) == [reason]


def test_what_was_caught_up_when_it_was_decided_is_not_caught_up_again() -> None:
    """A gift that was proposed on the last of its days leaves on that day or never."""
    last_chance = message(1, expires_at=shanghai(3, "00:00"))
    late = shanghai(2, "17:00")
    assert reasons(last_chance, now=late) == [None]
    assert reasons(last_chance, now=late + SECOND) == ["quiet"]
    assert reasons(last_chance, now=shanghai(3, "00:00")) == ["expired"]


def test_what_was_decided_without_an_expiry_counts_from_its_planned_day() -> None:
    campaigns = {"gift": campaign(catch_up_days=0)}
    decided = message(1, expires_at=None)
    late = shanghai(2, "17:00")
    assert reasons(decided, campaigns=campaigns, now=late) == [None]
    assert reasons(decided, campaigns=campaigns, now=late + SECOND) == ["quiet"]
    assert reasons(decided, now=shanghai(5, "17:00")) == [None]


def test_hours_are_those_of_the_shop() -> None:
    from zoneinfo import ZoneInfo

    # 10:00 in Shanghai is 19:00 of the day before in Los Angeles: open; 03:00 in London: closed.
    (verdict,) = judge(message(1), zones={"grocer": ZoneInfo("America/Los_Angeles")})
    assert verdict.send_at == PLANNED
    (verdict,) = judge(message(1), zones={"grocer": ZoneInfo("Europe/London")})
    assert verdict.send_at is not None
    assert verdict.send_at.astimezone(ZoneInfo("Europe/London")).hour == 10


def test_service_messages_keep_no_hours_and_no_caps() -> None:
    planned = shanghai(2, "03:00")
    (verdict,) = judge(
        message(1, purpose="service", planned_at=planned),
        sent=[sent(1, planned), sent(1, planned, purpose="service")],
    )
    assert verdict.send_at == planned
    late = shanghai(2, "03:30")
    (verdict,) = judge(message(1, purpose="service", planned_at=planned), now=late)
    assert verdict.send_at == late
    service = message(1, purpose="service", planned_at=planned)
    assert reasons(service, now=shanghai(6, "00:00") - SECOND) == [None]
    assert reasons(service, now=shanghai(6, "00:00")) == ["expired"]


# --- refusals ------------------------------------------------------------------------------------


def word(kind: str, at: datetime = NIGHT, **about: Any) -> ConsentRecord:
    values: dict[str, Any] = {
        "brand": "demo",
        "contact_hash": None,
        "member_key": None,
        "channel": "sms",
        **about,
    }
    return ConsentRecord(**values, kind=kind, occurred_at=at, evidence="receipt")


BY_CONTACT = {"contact_hash": "hash_1"}
BY_MEMBER = {"member_key": member(1)}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([word("refusal", **BY_CONTACT)], "refused"),
        ([word("refusal", **BY_MEMBER)], "refused"),
        ([word("refusal", channel="all", **BY_CONTACT)], "refused"),
        ([word("refusal", channel="email", **BY_CONTACT)], None),
        ([word("refusal", brand="other", **BY_CONTACT)], None),
        ([word("refusal", contact_hash="hash_2")], None),
        ([word("consent", **BY_CONTACT)], None),
        ([word("refusal", **BY_CONTACT), word("consent", NIGHT + SECOND, **BY_CONTACT)], None),
        ([word("consent", NIGHT + SECOND, **BY_CONTACT), word("refusal", **BY_CONTACT)], None),
        ([word("consent", NIGHT - SECOND, **BY_CONTACT), word("refusal", **BY_CONTACT)], "refused"),
        ([word("refusal", **BY_CONTACT), word("consent", **BY_CONTACT)], "refused"),
        # The contact's own no is not lifted by a yes of the member, and the other way round.
        ([word("refusal", **BY_CONTACT), word("consent", NIGHT + SECOND, **BY_MEMBER)], "refused"),
        ([word("refusal", **BY_MEMBER), word("consent", NIGHT + SECOND, **BY_CONTACT)], "refused"),
    ],
)
def test_the_last_word_of_contact_and_member_counts(
    words: list[ConsentRecord], reason: str | None
) -> None:
    assert reasons(message(1), consent=words) == [reason]


def test_a_refusal_follows_the_person_through_a_merge() -> None:
    words = [word("refusal", member_key=member(9))]
    identity = {member(9): member(1)}
    assert reasons(message(1), consent=words) == [None]
    assert reasons(message(1), consent=words, identity=identity) == ["refused"]


@pytest.mark.parametrize(
    ("consent", "reason"),
    [
        # Given with the phone that is used, whichever of the two gave it.
        ({"contact_hash": "hash_1", "member_key": member(1)}, None),
        ({"contact_hash": "hash_1", "member_key": member(9)}, None),
        # Given with the phone of the other, or nobody knows with which.
        ({"contact_hash": "hash_9", "member_key": member(9)}, "refused"),
        ({"contact_hash": "hash_9", "member_key": member(1)}, "refused"),
        ({"member_key": member(9)}, "refused"),
        ({"member_key": member(1)}, "refused"),
        # Given by somebody else who has the phone as well.
        ({"contact_hash": "hash_1", "member_key": member(5)}, "refused"),
    ],
)
def test_a_consent_of_a_merged_person_speaks_for_the_contact_it_was_given_with(
    consent: dict[str, Any], reason: str | None
) -> None:
    identity = {member(9): member(1)}
    said = word("consent", NIGHT + SECOND, **consent)
    for key in (1, 9):
        words = [word("refusal", member_key=member(key), contact_hash=f"hash_{key}"), said]
        assert reasons(message(1), consent=words, identity=identity) == [reason]


def test_a_consent_of_one_member_takes_nothing_back_for_another_with_the_contact() -> None:
    refused = word("refusal", **BY_CONTACT)
    own = word("consent", NIGHT + SECOND, **BY_CONTACT, **BY_MEMBER)
    assert reasons(message(1), consent=[refused, own]) == [None]
    assert reasons(message(2, contact_hash="hash_1"), consent=[refused, own]) == ["refused"]


# --- one contact, several people ----------------------------------------------------------------


def test_a_contact_is_reached_once_per_campaign() -> None:
    pair = [message(1, contact_hash=SHARED), message(2, contact_hash=SHARED)]
    found = sorted(reasons(*pair, caps=()), key=str)
    assert found == [None, "duplicate_contact"]
    found = sorted(reasons(*pair, caps=(), identity={member(2): member(1)}), key=str)
    assert found == [None, "duplicate_person"]
    assert reasons(message(1), message(2), caps=()) == [None, None]


def test_what_left_for_another_member_while_a_message_waited_counts_after_a_merge() -> None:
    settings: dict[str, Any] = {"caps": ()}
    tonight = sent(2, PLANNED, campaign="gift", exported_by="night-20171001")
    assert reasons(message(1), sent=[tonight], identity=MERGED, **settings) == ["duplicate_person"]
    assert reasons(message(1), sent=[tonight], **settings) == [None]
    for changes in (
        {"campaign": "other"},
        {"member_key": member(1)},
    ):
        other = replace(tonight, **changes)
        assert reasons(message(1), sent=[other], identity=MERGED, **settings) == [None]


@pytest.mark.parametrize(
    ("kind", "before", "occasion", "reason"),
    [
        ("triggered", timedelta(days=15) - SECOND, "other", "duplicate_person"),
        ("triggered", timedelta(days=15), "2017-09-01", None),
        ("one_off", timedelta(days=400), "2017-09-01", "duplicate_person"),
        ("one_off", timedelta(days=1), "other", None),
    ],
)
def test_what_had_left_for_another_member_before_a_message_was_decided_counts_after_a_merge(
    kind: str, before: timedelta, occasion: str, reason: str | None
) -> None:
    settings: dict[str, Any] = {"caps": (), "campaigns": {"gift": campaign(kind=kind)}}
    earlier = sent(
        2, PLANNED - before, campaign="gift", exported_by="night-20170930", occasion=occasion
    )
    assert reasons(message(1), sent=[earlier], identity=MERGED, **settings) == [reason]
    assert reasons(message(1), sent=[earlier], **settings) == [None]
    # Two decisions about one member are no duplicates: the proposal knew.
    own = replace(earlier, member_key=member(1))
    assert reasons(message(1), sent=[own], identity=MERGED, **settings) == [None]


def test_service_messages_about_two_things_leave_after_a_merge() -> None:
    pair = [message(n, purpose="service", occasion=f"order {n}") for n in (1, 2)]
    assert reasons(*pair, identity=MERGED) == [None, None]
    same = [message(n, purpose="service", occasion="order 1") for n in (1, 2)]
    assert sorted(reasons(*same, identity=MERGED), key=str) == [None, "duplicate_person"]


def test_of_two_waiting_messages_to_a_merged_person_the_first_leaves() -> None:
    pair = [message(1, planned_at=PLANNED + 2 * SECOND), message(2, planned_at=PLANNED + SECOND)]
    assert reasons(*pair, caps=(), identity=MERGED) == ["duplicate_person", None]
    assert reasons(*pair, caps=()) == [None, None]


def test_without_a_contact_hash_nobody_shares_anything() -> None:
    pair = [message(1, contact_hash=None), message(2, contact_hash=None)]
    assert reasons(*pair) == [None, None]


@pytest.mark.parametrize(
    ("kind", "before", "reason"),
    [
        ("triggered", timedelta(days=15) - SECOND, "duplicate_contact"),
        ("triggered", timedelta(days=15), None),
        ("one_off", timedelta(days=400), "duplicate_contact"),
    ],
)
def test_a_contact_reached_for_somebody_else_before_counts(
    kind: str, before: timedelta, reason: str | None
) -> None:
    earlier = sent(2, PLANNED - before, campaign="gift", contact_hash=SHARED)
    settings: dict[str, Any] = {"campaigns": {"gift": campaign(kind=kind)}, "caps": ()}
    shared = message(1, contact_hash=SHARED)
    assert reasons(shared, sent=[earlier], **settings) == [reason]
    assert reasons(shared, sent=[replace(earlier, campaign="other")], **settings) == [None]
    assert reasons(shared, sent=[replace(earlier, member_key=member(1))], **settings) == [None]


def test_people_in_different_arms_are_contaminated() -> None:
    treated = message(1, contact_hash=SHARED)
    held = replace(message(2, contact_hash=SHARED), outcome="holdout", arm="holdout")
    contact = ("gift", SHARED)
    ids = sorted([treated.message_id, held.message_id])
    assert contaminated_contacts([treated, held], {}) == {contact: ids}
    assert reasons(treated, contaminated=frozenset([contact])) == ["contaminated_contact"]
    same_arm = replace(held, outcome="send", arm="treatment")
    assert contaminated_contacts([treated, same_arm], {}) == {}
    assert contaminated_contacts([treated, replace(held, contact_hash="own")], {}) == {}
    assert contaminated_contacts([treated, replace(held, campaign="other")], {}) == {}
    assert contaminated_contacts([treated, held], {member(2): member(1)}) == {}
    assert reasons(treated, contaminated=frozenset([("other", SHARED)])) == [None]


MERGED = {member(2): member(1)}
"""Member 2 has become member 1."""


def test_of_merged_members_the_arm_of_the_key_that_stands_holds() -> None:
    older = replace(message(1), outcome="holdout", arm="holdout", decided_on=DAY)
    younger = replace(message(2), decided_on=DAY - timedelta(days=9))
    ids = tuple(sorted([older.message_id, younger.message_id]))
    (draw,) = merged_draws([younger, older], MERGED).values()
    assert (draw.arm, draw.message_ids) == ("holdout", ids)
    assert merged_draws([younger, older], {}) == {}
    assert merged_draws([younger, replace(older, outcome="send", arm="treatment")], MERGED) == {}
    assert merged_draws([younger, replace(older, campaign="other")], MERGED) == {}
    # Both keys were retired: who was decided about first has the word.
    both = {member(1): member(3), member(2): member(3)}
    (draw,) = merged_draws([younger, older], both).values()
    assert draw.arm == "treatment"


def test_a_message_of_who_is_held_out_by_now_stays() -> None:
    arms = {("gift", member(1)): "holdout"}
    assert reasons(message(2), identity=MERGED, merged_arms=arms) == ["merged_holdout"]
    assert reasons(message(3), identity=MERGED, merged_arms=arms) == [None]
    assert reasons(message(2), identity={}, merged_arms=arms) == [None]
    other = {("other", member(1)): "holdout"}
    assert reasons(message(2), identity=MERGED, merged_arms=other) == [None]
    treated = {("gift", member(1)): "treatment"}
    assert reasons(message(2), identity=MERGED, merged_arms=treated) == [None]


# --- caps ----------------------------------------------------------------------------------------

DAY_LENGTH = timedelta(hours=24)


@pytest.mark.parametrize(
    ("earlier", "reason"),
    [
        ([DAY_LENGTH], None),
        ([DAY_LENGTH - SECOND], "cap"),
        # Two a week: the third must wait until the first is seven days old.
        ([3 * DAY_LENGTH, 7 * DAY_LENGTH], None),
        ([3 * DAY_LENGTH, 7 * DAY_LENGTH - SECOND], "cap"),
        # Four a month.
        ([8 * DAY_LENGTH, 9 * DAY_LENGTH, 20 * DAY_LENGTH, 30 * DAY_LENGTH], None),
        ([8 * DAY_LENGTH, 9 * DAY_LENGTH, 20 * DAY_LENGTH, 30 * DAY_LENGTH - SECOND], "cap"),
    ],
)
def test_sms_caps_roll(earlier: list[timedelta], reason: str | None) -> None:
    history = [sent(1, PLANNED - before) for before in earlier]
    assert reasons(message(1), sent=history) == [reason]


def test_all_channels_together_are_capped() -> None:
    email = [sent(1, PLANNED - number * DAY_LENGTH, channel="email") for number in (1, 2, 3)]
    fourth = sent(1, PLANNED - 7 * DAY_LENGTH, channel="email")
    assert reasons(message(1), sent=[*email, fourth]) == [None]
    assert reasons(message(1), sent=[*email, replace(fourth, send_at=fourth.send_at + SECOND)]) == [
        "cap"
    ]


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        (sent(1, NIGHT, contact_hash="old number"), "cap"),  # the person, at another contact
        (sent(2, NIGHT, contact_hash="hash_1"), "cap"),  # the contact, for another person
        (sent(2, NIGHT), None),
        (sent(1, NIGHT, contact_hash=None), "cap"),
        (sent(1, NIGHT, brand="other"), None),
        (sent(1, NIGHT, purpose="service"), None),
        (sent(1, NIGHT, channel="email"), None),
    ],
)
def test_caps_count_by_person_and_by_contact(history: SentMessage, reason: str | None) -> None:
    assert reasons(message(1), sent=[history]) == [reason]


def test_caps_follow_the_person_through_a_merge() -> None:
    history = [sent(9, NIGHT)]
    assert reasons(message(1), sent=history) == [None]
    assert reasons(message(1), sent=history, identity={member(9): member(1)}) == ["cap"]
    assert reasons(message(1), sent=[sent(1, NIGHT)], identity={member(1): member(9)}) == ["cap"]


def test_caps_are_measured_at_the_time_it_really_leaves() -> None:
    # Planned for the 2nd at 10:00, sent at 17:00 because it was late: 24 hours from there.
    late = shanghai(2, "12:00")
    for earlier, reason in ((shanghai(1, "17:00"), None), (shanghai(1, "17:00") + SECOND, "cap")):
        assert reasons(message(1), now=late, sent=[sent(1, earlier)]) == [reason]


def test_the_campaign_of_lower_priority_number_goes_first() -> None:
    campaigns = {"gift": campaign(priority=20), "coupon": campaign("coupon", priority=30)}
    gift = message(1, planned_at=shanghai(2, "17:00"))
    coupon = message(1, campaign="coupon", planned_at=shanghai(2, "10:00"))

    def suppressed() -> list[tuple[str, str | None]]:
        verdicts = judge(coupon, gift, campaigns=campaigns)
        return [(verdict.decision.campaign, verdict.reason) for verdict in verdicts]

    assert suppressed() == [("gift", None), ("coupon", "cap")]
    campaigns["gift"] = campaign(priority=31)
    assert suppressed() == [("coupon", None), ("gift", "cap")]


def test_what_was_kept_back_does_not_count() -> None:
    campaigns = {"gift": campaign(), "coupon": campaign("coupon", priority=30)}
    coupon = message(1, campaign="coupon")
    contaminated = frozenset([("gift", "hash_1")])
    verdicts = judge(message(1), coupon, campaigns=campaigns, contaminated=contaminated)
    assert [verdict.reason for verdict in verdicts] == ["contaminated_contact", None]


# --- stopping ------------------------------------------------------------------------------------


def test_a_stopped_campaign_or_shop_sends_nothing() -> None:
    assert reasons(message(1), campaigns={}) == ["stopped"]
    assert reasons(message(1), campaigns={"gift": campaign(is_active=False)}) == ["stopped"]
    assert reasons(message(1), zones={}) == ["stopped"]


def test_verdicts_do_not_depend_on_the_order_of_messages() -> None:
    messages = [message(number, contact_hash=f"pair {number // 2}") for number in range(10)]
    expected = reasons(*messages)
    assert reasons(*messages[::-1]) == expected
    assert expected.count("duplicate_contact") == 5


def test_keys_are_compared_as_keys() -> None:
    assert reasons(message(1), identity={UUID(int=1): UUID(int=1)}) == [None]
