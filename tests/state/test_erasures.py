"""Erasures in recorded state: one transaction, tombstones that name nobody, counts that add up."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import text

from regulars.errors import StateError
from regulars.keys import founded_member_key
from regulars.state import (
    ERASED,
    TOMBSTONES,
    ConsentRecord,
    ErasedDigest,
    ErasedKeys,
    MessageEvent,
    Reach,
    StateStore,
)
from regulars.state.database import Database
from regulars.state.migrations import ERASED_KEY
from tests.state.processes import race
from tests.state.rows import DAY, grant, held_out, member, proposal, redemption, suppressed

NOW = datetime(2017, 10, 2, 1, tzinfo=UTC)
PERSON = ErasedKeys(
    customers=frozenset({UUID(int=10**6 + 1)}),
    members=frozenset({member(1)}),
    orders=frozenset({UUID(int=77)}),
    contacts=frozenset({"hash_1"}),
)


def decide(state: StateStore) -> tuple[str, str]:
    """One campaign with everybody's fate in it; the person is member 1, in three messages."""
    run_id = state.nights.open(DAY).run_id
    rows = [
        proposal(1),
        proposal(1, occasion="left"),
        suppressed(1, "cap", is_final=False, occasion="later"),
        proposal(2),
        held_out(3),
        suppressed(4),
    ]
    state.commit_decisions(run_id, "gift", rows, occurred_at=NOW)
    [left] = [row for row in state.ledger.unsettled(run_id, "gift") if row.occasion == "left"]
    state.ledger.append_events([MessageEvent(left.message_id, "exported", NOW, run_id, None, NOW)])
    return run_id, left.message_id


def erase(state: StateStore, wanted: ErasedKeys = PERSON):
    return state.erasures.record(
        wanted, route="buyer_id", request="ticket 1", requested_by="somebody", now=NOW
    )


def dump(state_url: str) -> str:
    """Every value of the ledger, as text."""
    with Database(state_url).reading() as connection:
        return "\n".join(
            str(tuple(row))
            for table in (
                *("decisions", "deferrals", "refusals", "message_events"),
                *("tier_grants", "point_redemptions"),
            )
            for row in connection.execute(text(f"select * from {table}"))
        )


def test_who_was_erased_is_gone_from_the_ledger_and_the_counts_stay(state, state_url) -> None:
    run_id, left = decide(state)
    state.consent.record(
        [
            ConsentRecord("demo", "hash_1", member(1), "sms", "refusal", NOW, "reply"),
            ConsentRecord("demo", None, member(1), "sms", "refusal", NOW, "form"),
        ]
    )
    before = state.ledger.result(run_id, "gift")
    state.grants.record([grant(1), grant(2)])
    state.redemptions.redeem(redemption(1), customer_keys=[], available=50, stock=None, since=NOW)
    erased = erase(state)
    assert erased.counts == {
        "messages_suppressed": 1,
        "decisions_scrubbed": 2,
        "deferrals_scrubbed": 1,
        "tier_grants_scrubbed": 1,
        "point_redemptions_scrubbed": 1,
        "refusals_scrubbed": 2,
    }
    content = dump(state_url)
    for gone in (str(member(1)), str(UUID(int=10**6 + 1)), "tok_1", "later"):
        assert f"'{gone}'" not in content
    assert f"'{member(2)}'" in content
    assert state.ledger.result(run_id, "gift") == before
    assert before.considered == before.sent + before.suppressed + before.holdout == 6
    assert [row.member_key for row in state.ledger.unsettled(run_id, "gift")] == [member(2)]
    # What the contact refused stays refused, whoever has it.
    [kept] = state.consent.about("demo", [], ["hash_1"])
    assert kept.member_key not in (None, member(1))
    assert left in content


def test_what_an_erased_customer_refused_for_a_person_names_one_who_stays(state, state_url) -> None:
    """The customer who founded the member's key is erased, another who is the same person stays."""
    gone, stays, stranger = (UUID(int=10**6 + number) for number in (1, 2, 3))
    key = founded_member_key(gone)
    about = [("named", key, gone), ("nobody named", key, None), ("other named", key, stays)]
    about.append(("stranger", member(3), stranger))
    state.consent.record(
        [
            ConsentRecord("demo", f"hash {what}", said, "sms", "refusal", NOW, "form", named)
            for what, said, named in about
        ]
    )
    erased = state.erasures.record(
        ErasedKeys(customers=frozenset({gone})),
        route="buyer_id",
        request="ticket 1",
        requested_by="somebody",
        now=NOW,
        heirs={gone: stays},
    )
    assert erased.counts["refusals_scrubbed"] == 2
    words = state.consent.about("demo", [key, member(3)], [])
    assert [(word.member_key, word.customer_key) for word in words] == [
        *[(key, stays)] * 3,
        (member(3), stranger),
    ]
    assert f"'{gone}'" not in dump(state_url)


def test_what_the_second_customer_of_a_person_refused_names_one_who_stays(state, state_url) -> None:
    """Erased is who did not found the member's key: the words stand under a key that goes."""
    gone, stays = (UUID(int=10**6 + number) for number in (1, 2))
    own = founded_member_key(gone)
    said = [("refusal", own, name) for name in (stays, gone, None)]
    said += [("consent", own, name) for name in (stays, gone, None)]
    # A consent of who stays keeps its speaker, whom its key says.
    said.append(("consent", founded_member_key(stays), gone))
    state.consent.record(
        [
            ConsentRecord("demo", f"hash {number}", key, "sms", kind, NOW, "form", named)
            for number, (kind, key, named) in enumerate(said)
        ]
    )
    erased = state.erasures.record(
        ErasedKeys(customers=frozenset({gone}), members=frozenset({own})),
        route="customer_key",
        request="ticket 1",
        requested_by="somebody",
        now=NOW,
        heirs={gone: stays},
    )
    assert erased.counts["refusals_scrubbed"] == 7
    words = state.consent.about("demo", [], [f"hash {number}" for number in range(7)])
    assert [word.customer_key for word in words] == [stays] * 3 + [None] * 4
    assert words[-1].member_key == founded_member_key(stays)
    assert f"'{gone}'" not in dump(state_url)
    assert f"'{own}'" not in dump(state_url)


def test_without_another_customer_a_refusal_names_nobody_any_more(state) -> None:
    """Whom a word names beside its speaker may have become another person since."""
    gone, stranger = (UUID(int=10**6 + number) for number in (1, 2))
    own = founded_member_key(gone)
    state.consent.record(
        [ConsentRecord("demo", "hash", own, "sms", "refusal", NOW, "form", stranger)]
    )
    state.erasures.record(
        ErasedKeys(customers=frozenset({gone}), members=frozenset({own})),
        route="customer_key",
        request="ticket 1",
        requested_by="somebody",
        now=NOW,
    )
    [word] = state.consent.about("demo", [], ["hash"])
    assert word.customer_key is None


def test_a_batch_counts_as_intact_after_an_erasure_and_not_after_a_change(state, state_url) -> None:
    run_id, _ = decide(state)
    assert state.ledger.verify(run_id, "gift")
    erase(state)
    assert state.ledger.verify(run_id, "gift")
    second = ErasedKeys(members=frozenset({member(3)}))
    erase(state, second)
    assert state.ledger.verify(run_id, "gift")
    with Database(state_url).writing() as connection:
        if connection.dialect.name == "sqlite":
            connection.execute(text("drop trigger decisions_no_update"))
        else:
            connection.execute(text("set session_replication_role = replica"))
        connection.execute(text("update decisions set arm = 'holdout' where bucket = 5000"))
    assert not state.ledger.verify(run_id, "gift")
    erase(state, ErasedKeys(members=frozenset({member(2)})))
    assert not state.ledger.verify(run_id, "gift"), "an erasure must not launder a change"


@pytest.mark.parametrize(
    "statement",
    [
        "update decisions set contact_ref = null, contact_hash = null",
        f"update decisions set member_key = '{ERASED_KEY}', customer_key = '{ERASED_KEY}', "
        "occasion = 'erased', contact_ref = null, contact_hash = null, outcome = 'holdout'",
        "update deferrals set occasion = 'erased'",
        "update refusals set contact_hash = null",
        "update refusals set member_key = null",
        "update refusals set customer_key = null, member_key = null",
        "update refusals set customer_key = null, contact_hash = 'other'",
        "update refusals set kind = 'consent'",
        "delete from refusals",
        "delete from decisions",
    ],
)
def test_the_way_out_of_the_ledger_is_no_wider_than_an_erasure(
    state, state_url, statement: str
) -> None:
    decide(state)
    state.consent.record(
        [
            ConsentRecord("demo", "hash_1", member(1), "sms", "refusal", NOW, "reply"),
            ConsentRecord("demo", "hash_2", None, "sms", "refusal", NOW, "reply"),
        ]
    )
    with (
        pytest.raises(StateError, match="append-only"),
        Database(state_url).writing() as connection,
    ):
        connection.execute(text(statement))


def test_what_an_erasure_records_cannot_be_changed(state, state_url) -> None:
    decide(state)
    erasure = erase(state)
    state.erasures.finish(erasure.erasure_id, {"vault_rows": 1})
    state.erasures.record_digest(ErasedDigest("night-1", 4, "rebuilt", "d", {"t": "x"}))
    for table in ("erasures", "tombstones", "erasure_audits", "batch_scrubs", "erased_digests"):
        column = "run_id" if table in ("batch_scrubs", "erased_digests") else "erasure_id"
        for statement in (f"update {table} set {column} = 'x'", f"delete from {table}"):
            with (
                pytest.raises(StateError, match="append-only"),
                Database(state_url).writing() as connection,
            ):
                connection.execute(text(statement))


def test_tombstones_are_numbered_once_and_follow_their_erasure(state) -> None:
    decide(state)
    erasure = erase(state)
    keys = state.erasures.keys()
    assert keys.covers(PERSON)
    assert len(keys.messages) == 3, "the person's own messages are known without the ledger"
    assert keys.head == state.erasures.head() == state.stream_heads()[TOMBSTONES] == 7
    later = ErasedKeys(orders=frozenset({UUID(int=77), UUID(int=78)}))
    assert state.erasures.follow(erasure.erasure_id, later) == 1
    assert state.erasures.keys(erasure_id=erasure.erasure_id).orders == later.orders
    assert state.erasures.keys(up_to=7) == keys
    assert state.erasures.erasure_of("order", str(UUID(int=78))) == erasure.erasure_id
    assert state.erasures.erasure_of("order", str(UUID(int=79))) is None
    with pytest.raises(StateError, match="there is no erasure"):
        state.erasures.get("erasure-9999")


def test_an_erasure_is_unfinished_until_its_audit_and_has_one(state, clock) -> None:
    first, second = erase(state), erase(state, ErasedKeys(members=frozenset({member(2)})))
    assert [one.erasure_id for one in state.erasures.unfinished()] == [
        "erasure-000001",
        "erasure-000002",
    ]
    done = state.erasures.finish(first.erasure_id, {"vault_rows": 2})
    assert done.counts["vault_rows"] == 2 and done.counts["messages_suppressed"] == 0
    clock.forward(hours=1)
    assert state.erasures.finish(first.erasure_id, {"vault_rows": 0}) == done
    assert state.erasures.unfinished() == [second]
    assert state.erasures.get(first.erasure_id) == done
    with pytest.raises(StateError, match="no erasure"):
        state.erasures.finish("erasure-000009", {})


def test_whose_membership_erasures_changed_adds_up(state) -> None:
    first, second = (erase(state, ErasedKeys(members=frozenset({member(n)}))) for n in (1, 2))
    one = Reach(frozenset({UUID(int=5)}), frozenset({member(5), member(1)}))
    assert state.erasures.extend_reach(first.erasure_id, one) == 3
    assert state.erasures.extend_reach(first.erasure_id, one) == 0
    assert state.erasures.extend_reach(second.erasure_id, Reach()) == 0
    other = Reach(members=frozenset({member(6)}))
    assert state.erasures.extend_reach(second.erasure_id, other) == 1
    assert state.erasures.reach(first.erasure_id) == one
    assert state.erasures.reach() == Reach(one.customers, one.members | {member(6)})


def test_digests_of_a_run_come_newest_first_and_stay(state) -> None:
    for head, basis, digest in ((3, "rewritten", "a"), (9, "rewritten", "b"), (9, "rebuilt", "c")):
        found = ErasedDigest("night-1", head, basis, digest, {"fct": digest})
        state.erasures.record_digest(found)
    state.erasures.record_digest(ErasedDigest("night-1", 9, "rebuilt", "other", {}))
    assert [one.digest for one in state.erasures.digests_of("night-1")] == ["c", "b", "a"]
    assert state.erasures.digests_of("night-2") == []


def test_two_erasures_at_once_get_numbers_of_their_own(state, state_url) -> None:
    def one(number: int):
        def run() -> str:
            keys = ErasedKeys(orders=frozenset({UUID(int=number), UUID(int=500)}))
            return erase(StateStore(state_url), keys).erasure_id

        return run

    found = race(*(one(number) for number in range(1, 5)))
    assert sorted(found) == [f"erasure-{number:06d}" for number in range(1, 5)]
    assert state.erasures.head() == 5


def test_the_reason_of_a_message_that_waited_is_erased(state, state_url) -> None:
    decide(state)
    erase(state)
    with Database(state_url).reading() as connection:
        query = "select reason, run_id from message_events where event = 'suppressed_at_exit'"
        assert [tuple(row) for row in connection.execute(text(query))] == [
            (ERASED, "erasure-000001")
        ]
