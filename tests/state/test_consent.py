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
