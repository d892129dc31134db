"""What members have said since they were decided for, recorded before their messages leave."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from tests.state.rows import DAY, PLANNED, member, proposal

from regulars.night import steps
from regulars.night.journal import read_entries
from regulars.night.steps import Night
from regulars.settings import PROJECT_ROOT, Settings
from regulars.state import ConsentRecord, run_id_of
from regulars.warehouse import control
from regulars.warehouse.session import open_warehouse
from regulars.warehouse.tables import create_tables

RUN = run_id_of(DAY)
CAMPAIGN = "just_silent_coupon"
LONG_AGO = datetime(2017, 1, 1, tzinfo=UTC)
REFUSED_AT = PLANNED - timedelta(hours=10)
LATER = REFUSED_AT + timedelta(seconds=1)

GRANTED, REFUSED = "granted", "refused"
STORIES = {
    # What the members' table says of a member, and whether they had refused in recorded state.
    "never refused": (GRANTED, LONG_AGO, False, False, None),
    "refused by day": (REFUSED, REFUSED_AT, False, False, "refused"),
    "refused without a date": (REFUSED, None, False, False, "refused"),
    "refused after midnight": (GRANTED, LONG_AGO, True, False, "refused"),
    "unsubscribed": (GRANTED, LONG_AGO, False, True, "refused"),
    "consented again": (GRANTED, LATER, False, True, None),
    "consented in the same instant": (GRANTED, REFUSED_AT, False, True, "refused"),
    "consented at some time": (GRANTED, None, False, True, "refused"),
    "consented again and refused after midnight": (GRANTED, LATER, True, True, "refused"),
    "consented again with another number": (GRANTED, LATER, False, True, "refused"),
}
"""Consent, its instant, is_refused_by_now, unsubscribed at REFUSED_AT, and why it is kept back."""


def customer(number):
    return proposal(number)["customer_key"]


class FixedClock:
    def now(self):
        return PLANNED - timedelta(hours=1)


@pytest.fixture
def night(tmp_path, monkeypatch):
    """A night that has decided for one member per story and published its marts."""
    monkeypatch.setattr(steps, "clock_for", lambda _: FixedClock())
    settings = Settings(data_dir=tmp_path, config_dir=PROJECT_ROOT / "config", clock_url="")
    settings.warehouse_path.parent.mkdir(parents=True)
    made = Night(settings, lambda _: pytest.fail("no credentials"), holder="test")
    made.state.nights.open(DAY)
    rows = [
        proposal(number, campaign=CAMPAIGN, shop="demo_grocer", template=CAMPAIGN)
        for number in range(len(STORIES))
    ]
    made.state.commit_decisions(RUN, CAMPAIGN, rows)
    with open_warehouse(settings, holder="test") as connection:
        create_tables(connection)
        connection.execute("insert into warehouse.ops.run values (?, ?, null)", [RUN, DAY])
        connection.execute(
            "create table marts.main.dim_member_identities "
            "(customer_key uuid, founded_member_key uuid, member_key uuid, brand varchar)"
        )
        connection.execute("create schema warehouse.intermediate")
        connection.execute(
            "create table warehouse.intermediate.int_members__consents "
            "(member_key uuid, channel varchar, consent varchar, consent_at timestamp, "
            "consent_customer_key uuid, consent_contact_hash varchar, is_refused_by_now boolean, "
            "refused_customer_key uuid, refused_contact_hash varchar)"
        )
        for number, (story, told) in enumerate(STORIES.items()):
            consent, at, is_refused_by_now, has_unsubscribed, _ = told
            phone = "hash_new" if "another number" in story else f"hash_{number}"
            instant = at.replace(tzinfo=None) if at else None
            connection.execute(
                "insert into marts.main.dim_member_identities values (?, ?, ?, 'demo')",
                [customer(number), member(number), member(number)],
            )
            connection.execute(
                "insert into warehouse.intermediate.int_members__consents "
                "values (?, 'sms', ?, ?, ?, ?, ?, ?, ?)",
                [
                    *(member(number), consent, instant, customer(number), phone),
                    *(is_refused_by_now, customer(number), phone),
                ],
            )
            if has_unsubscribed:
                made.state.consent.record(
                    [
                        ConsentRecord(
                            *("demo", f"hash_{number}", member(number)),
                            *("sms", "refusal", REFUSED_AT, "one click"),
                        )
                    ]
                )
    return made


def test_a_message_leaves_when_its_members_newest_word_is_no_refusal(night):
    waiting = night.state.ledger.unsettled(RUN, CAMPAIGN)
    assert len(waiting) == len(STORIES)
    night.export(RUN)
    left = [
        line for path in night.settings.queues_dir.rglob("*.ndjson") for line in path.open("rb")
    ]
    for number, (story, told) in enumerate(STORIES.items()):
        message_id = proposal(number, campaign=CAMPAIGN)["message_id"]
        has_left = any(message_id.encode() in line for line in left)
        assert has_left == (told[-1] is None), story
    [entry] = [one for one in read_entries(night.settings, RUN) if one["step"] == "export"]
    kept_back = sum(told[-1] is not None for told in STORIES.values())
    assert entry["suppressed"] == {"refused": kept_back}


def test_only_words_that_change_something_are_recorded_and_only_once(night):
    before = night.state.stream_heads()["state__refusals"]
    night.export(RUN)
    fresh = [
        word
        for number in range(len(STORIES))
        for word in night.state.consent.about("demo", [member(number)], [])
        if word.evidence != "one click"
    ]
    told = {(list(STORIES)[word.member_key.int], word.kind, word.occurred_at) for word in fresh}
    now = FixedClock().now()
    assert told == {
        ("refused by day", "refusal", REFUSED_AT),
        ("refused without a date", "refusal", now),
        ("refused after midnight", "refusal", now),
        ("consented again and refused after midnight", "refusal", now),
        ("consented again", "consent", LATER),
        ("consented again with another number", "consent", LATER),
    }
    assert night.state.stream_heads()["state__refusals"] == before + len(fresh)


def join(night, number, *, to, speaker):
    """Let member ``number`` become member ``to``, whose last word ``speaker`` has said."""
    with open_warehouse(night.settings, holder="test") as connection:
        connection.execute(
            "update marts.main.dim_member_identities set member_key = ? where member_key = ?",
            [member(to), member(number)],
        )
        connection.execute(
            "delete from warehouse.intermediate.int_members__consents where member_key = ?",
            [member(number)],
        )
        connection.execute(
            "update warehouse.intermediate.int_members__consents set consent_customer_key = ?, "
            "consent_contact_hash = ? where member_key = ?",
            [customer(speaker), f"hash_{speaker}", member(to)],
        )


def has_left(night, number):
    left = b"".join(path.read_bytes() for path in night.settings.queues_dir.rglob("*.ndjson"))
    return proposal(number, campaign=CAMPAIGN)["message_id"].encode() in left


def test_what_is_known_of_whom_a_member_became_keeps_the_message_back(night):
    """Decided about under a key that another member's customer founded; it is one person by now.

    Nothing was recorded about the key that stands when the warehouse was loaded.
    """
    waiting, refusing = map(list(STORIES).index, ("never refused", "refused by day"))
    join(night, waiting, to=refusing, speaker=refusing)
    night.export(RUN)
    assert not has_left(night, waiting)


def test_a_word_is_recorded_of_the_customer_who_said_it(night):
    """The key that stands said nothing: when the two come apart again, the word goes along."""
    standing, refusing = map(list(STORIES).index, ("never refused", "refused by day"))
    with open_warehouse(night.settings, holder="test") as connection:
        connection.execute(
            "update warehouse.intermediate.int_members__consents "
            "set consent = 'refused', consent_at = ? where member_key = ?",
            [REFUSED_AT.replace(tzinfo=None), member(standing)],
        )
    join(night, refusing, to=standing, speaker=refusing)
    night.export(RUN)
    assert not has_left(night, standing)
    words = night.state.consent.about("demo", [member(standing), member(refusing)], [])
    assert {(word.member_key, word.contact_hash, word.kind) for word in words} == {
        (member(refusing), f"hash_{refusing}", "refusal")
    }
    # Nobody else is named beside, who may be another person's by the time the speaker goes.
    assert {word.customer_key for word in words} == {customer(refusing)}


def test_a_consent_with_another_phone_of_the_person_lets_nothing_leave(night):
    """One customer unsubscribed; the other one, the same person by now, consented with its own."""
    consented, unsubscribed = map(list(STORIES).index, ("consented again", "unsubscribed"))
    join(night, consented, to=unsubscribed, speaker=consented)
    with open_warehouse(night.settings, holder="test") as connection:
        connection.execute(
            "update warehouse.intermediate.int_members__consents set consent_at = ? "
            "where member_key = ?",
            [LATER.replace(tzinfo=None), member(unsubscribed)],
        )
    night.export(RUN)
    assert not has_left(night, unsubscribed)
    assert has_left(night, consented)
    words = night.state.consent.about("demo", [member(unsubscribed)], [])
    assert "consent" not in {word.kind for word in words}


def test_who_is_one_person_is_known_of_everybody_whose_message_waits(night):
    """Keys that nothing is recorded about as well, and a founder's who is gone."""
    waiting, other, gone = 0, 1, UUID(int=77)
    join(night, other, to=waiting, speaker=waiting)
    with open_warehouse(night.settings, holder="test") as connection:
        connection.execute(
            "insert into warehouse.raw.state__refusals (seq, brand, member_key, customer_key) "
            "values (1, 'demo', ?, ?), (2, 'demo', ?, ?)",
            [gone, customer(other), UUID(int=78), customer(5)],
        )
        found = control.identity_map(connection, [(member(waiting), customer(waiting))])
        assert found == {member(other): member(waiting), gone: member(waiting)}
        assert control.identity_map(connection, [(gone, customer(other))]) == found
        assert control.identity_map(connection, [(member(3), customer(3))]) == {}
        assert control.identity_map(connection, []) == {}
