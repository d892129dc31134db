"""What members have said since they were decided for, recorded before their messages leave."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.state.rows import DAY, PLANNED, member, proposal

from regulars.night import steps
from regulars.night.journal import read_entries
from regulars.night.steps import Night
from regulars.settings import PROJECT_ROOT, Settings
from regulars.state import ConsentRecord, run_id_of
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
            "create table marts.main.dim_members (brand varchar, member_key uuid, "
            "phone_hash varchar, sms_consent varchar, sms_consent_at timestamp)"
        )
        connection.execute(
            "create table marts.main.dim_member_identities "
            "(customer_key uuid, founded_member_key uuid, member_key uuid)"
        )
        connection.execute("create schema warehouse.intermediate")
        connection.execute(
            "create table warehouse.intermediate.int_members__consents "
            "(member_key uuid, channel varchar, is_refused_by_now boolean)"
        )
        for number, (story, told) in enumerate(STORIES.items()):
            consent, at, is_refused_by_now, has_unsubscribed, _ = told
            phone = "hash_new" if "another number" in story else f"hash_{number}"
            instant = at.replace(tzinfo=None) if at else None
            connection.execute(
                "insert into marts.main.dim_members values ('demo', ?, ?, ?, ?)",
                [member(number), phone, consent, instant],
            )
            connection.execute(
                "insert into warehouse.intermediate.int_members__consents values (?, 'sms', ?)",
                [member(number), is_refused_by_now],
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


def test_what_is_known_of_whom_a_member_became_keeps_the_message_back(night):
    """Decided about under a key that another member's customer founded; it is one person by now."""
    waiting, refusing = (
        list(STORIES).index(story) for story in ("never refused", "refused by day")
    )
    with open_warehouse(night.settings, holder="test") as connection:
        connection.execute(
            "insert into marts.main.dim_member_identities values (uuid(), ?, ?)",
            [member(waiting), member(refusing)],
        )
        connection.execute(
            "insert into warehouse.raw.state__decisions (seq, message_id, member_key) "
            "values (1, 'x', ?)",
            [member(waiting)],
        )
        connection.execute(
            "delete from marts.main.dim_members where member_key = ?", [member(waiting)]
        )
    night.export(RUN)
    left = b"".join(path.read_bytes() for path in night.settings.queues_dir.rglob("*.ndjson"))
    message_id = proposal(waiting, campaign=CAMPAIGN)["message_id"]
    assert message_id.encode() not in left
