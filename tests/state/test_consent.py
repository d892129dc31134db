from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from regulars.errors import StateError
from regulars.state import ConsentRecord, StateStore
from tests.state.rows import member

AT = datetime(2017, 10, 1, 18, tzinfo=UTC)
BY_CONTACT = ConsentRecord("demo", "hash_1", None, "sms", "refusal", AT, "receipt 1")
BY_MEMBER = ConsentRecord("demo", None, member(1), "sms", "refusal", AT, "form")


def test_the_same_word_is_recorded_once(state: StateStore) -> None:
    repeated = replace(BY_CONTACT, evidence="told again")
    assert state.consent.record([BY_CONTACT, BY_MEMBER, repeated]) == 2
    assert state.consent.record([BY_CONTACT, BY_MEMBER]) == 0
    assert state.consent.about("demo", [member(1)], ["hash_1"]) == [BY_CONTACT, BY_MEMBER]


def test_another_word_is_another_record(state: StateStore) -> None:
    others = [
        BY_CONTACT,
        replace(BY_CONTACT, brand="other"),
        replace(BY_CONTACT, contact_hash="hash_2"),
        replace(BY_CONTACT, member_key=member(1)),
        replace(BY_CONTACT, channel="email"),
        replace(BY_CONTACT, kind="consent"),
        replace(BY_CONTACT, occurred_at=AT + timedelta(microseconds=1)),
    ]
    for other in others:
        assert state.consent.record([other]) == 1


def test_only_the_brand_is_asked(state: StateStore) -> None:
    state.consent.record([BY_CONTACT, BY_MEMBER])
    assert state.consent.about("other", [member(1)], ["hash_1"]) == []
    assert state.consent.about("demo", [member(2)], ["hash_2"]) == []
    assert state.consent.about("demo", [], ["hash_1"]) == [BY_CONTACT]


@pytest.mark.parametrize(
    "wrong", [replace(BY_CONTACT, contact_hash=None), replace(BY_CONTACT, kind="perhaps")]
)
def test_a_word_about_nobody_is_refused(state: StateStore, wrong: ConsentRecord) -> None:
    with pytest.raises(StateError):
        state.consent.record([BY_CONTACT, wrong])
    assert state.stream_heads()["state__refusals"] == 0


GRANT = ConsentRecord(
    "demo", "hash_1", member(1), "sms", "consent", AT + timedelta(seconds=1), "file"
)


@pytest.mark.parametrize(
    ("refusal", "is_taken_back"),
    [
        (BY_CONTACT, True),
        (BY_MEMBER, True),
        (replace(BY_MEMBER, channel="all"), True),
        (replace(BY_MEMBER, channel="email"), False),
        (replace(BY_MEMBER, brand="other"), False),
        (replace(BY_MEMBER, member_key=member(2)), False),
        (replace(BY_CONTACT, contact_hash="hash_2"), False),
        (replace(BY_MEMBER, kind="consent"), False),
        # In the same instant, and of course later, the refusal stands.
        (replace(BY_MEMBER, occurred_at=AT + timedelta(seconds=1)), False),
        (replace(BY_MEMBER, occurred_at=AT + timedelta(seconds=2)), False),
    ],
)
def test_a_grant_takes_back_what_was_refused_before_it(
    state: StateStore, refusal: ConsentRecord, is_taken_back: bool
) -> None:
    state.consent.record([refusal])
    assert state.consent.taken_back([GRANT]) == ([GRANT] if is_taken_back else [])


def test_a_grant_takes_back_what_the_person_refused_under_another_key(state: StateStore) -> None:
    state.consent.record([replace(BY_MEMBER, member_key=member(2))])
    assert state.consent.taken_back([GRANT], {member(2): member(1)}) == [GRANT]
    assert state.consent.taken_back([GRANT], {member(2): member(3)}) == []
    # Under the key that was retired as well.
    assert state.consent.taken_back([GRANT], {member(1): member(2)}) == [GRANT]


def test_a_customer_named_beside_makes_no_other_record(state: StateStore) -> None:
    named = replace(BY_MEMBER, customer_key=member(5))
    assert state.consent.record([named, BY_MEMBER]) == 1
    assert state.consent.record([replace(named, customer_key=member(6))]) == 0
    assert state.consent.about("demo", [member(1)], []) == [named]
    [row] = state.iter_stream("state__refusals", 0, 9)
    assert row["customer_key"] == member(5)


def test_a_grant_without_a_refusal_is_not_worth_a_record(state: StateStore) -> None:
    assert state.consent.taken_back([GRANT, replace(GRANT, contact_hash=None)]) == []
    assert state.consent.taken_back([]) == []
