from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from regulars.errors import QueueError, StateError
from regulars.state import MessageEvent, StateStore, message_id_of
from regulars.state.database import Database
from regulars.state.proposals import Proposal, digest_of, read_proposals
from tests.state.processes import kill_at, race
from tests.state.rows import DAY, EXPIRES, PLANNED, held_out, member, proposal, suppressed

RUN = "night-20171001"
NEXT = "night-20171002"
AT = datetime(2017, 10, 1, 18, tzinfo=UTC)


@pytest.fixture(autouse=True)
def nights(state: StateStore) -> None:
    state.nights.open(DAY)
    state.nights.open(date(2017, 10, 2))


def considered() -> list[dict[str, Any]]:
    return [
        proposal(1),
        proposal(2),
        held_out(3),
        suppressed(4, "no_consent"),
        suppressed(5, "no_consent"),
        suppressed(6, "cap", is_final=False),
    ]


def decided(state: StateStore) -> list[dict[str, Any]]:
    return list(state.iter_stream("state__decisions", 0, 10**9))


def test_message_id_is_the_documented_hash() -> None:
    # printf 'gift|00000000-0000-0000-0000-000000000001|sms|2017-09-01' | sha256sum | cut -c1-32
    assert message_id_of("gift", member(1), "sms", "2017-09-01") == (
        "70eb5a3aa4d15416ff792fa43c22c382"
    )


def test_considered_is_sent_and_suppressed_and_held_out(state: StateStore) -> None:
    result = state.commit_decisions(RUN, "gift", considered())
    assert (result.sent, result.suppressed, result.holdout, result.considered) == (2, 3, 1, 6)
    assert (result.new, result.deferred, result.already_decided) == (5, 1, 0)
    assert result.reasons == {"cap": 1, "no_consent": 2}
    assert not result.is_reread


def test_a_rerun_reads_the_frozen_batch_and_never_decides_again(state: StateStore) -> None:
    first = state.commit_decisions(RUN, "gift", considered())
    before = decided(state)
    malformed = {"message_id": "not even looked at"}
    again = state.commit_decisions(RUN, "gift", [proposal(7), suppressed(1), malformed])
    assert again.is_reread
    assert (again.sha256, again.sent, again.suppressed, again.holdout, again.new) == (
        first.sha256,
        first.sent,
        first.suppressed,
        first.holdout,
        first.new,
    )
    assert again.reasons == first.reasons
    assert decided(state) == before


def test_an_empty_considered_set_is_frozen_as_well(state: StateStore) -> None:
    state.commit_decisions(RUN, "gift", [])
    again = state.commit_decisions(RUN, "gift", [proposal(1)])
    assert (again.is_reread, again.considered) == (True, 0)
    assert decided(state) == []


def test_another_campaign_of_the_night_is_a_batch_of_its_own(state: StateStore) -> None:
    state.commit_decisions(RUN, "gift", [proposal(1)])
    other = state.commit_decisions(RUN, "coupon", [proposal(1, campaign="coupon")])
    assert (other.is_reread, other.sent) == (False, 1)
    assert state.ledger.campaigns_of(RUN) == ["coupon", "gift"]


def test_what_an_earlier_night_decided_is_not_decided_again(state: StateStore) -> None:
    state.commit_decisions(RUN, "gift", considered())
    changed = [
        suppressed(1, "refused"),
        proposal(3),
        proposal(4),
        proposal(6),
        proposal(8),
    ]
    result = state.commit_decisions(NEXT, "gift", changed)
    assert (result.already_decided, result.new, result.sent) == (3, 2, 2)
    outcomes = {row["member_key"].int: (row["run_id"], row["outcome"]) for row in decided(state)}
    assert outcomes == {
        1: (RUN, "send"),
        2: (RUN, "send"),
        3: (RUN, "holdout"),
        4: (RUN, "suppressed"),
        5: (RUN, "suppressed"),
        6: (NEXT, "send"),  # deferred before, final now
        8: (NEXT, "send"),
    }


def test_a_deferral_is_considered_but_not_decided(state: StateStore) -> None:
    later = suppressed(6, "cap", is_final=False)
    for run in (RUN, NEXT):
        result = state.commit_decisions(run, "gift", [later])
        assert (result.new, result.deferred, result.suppressed) == (0, 1, 1)
    assert decided(state) == []


def test_every_column_is_recorded_as_proposed(state: StateStore) -> None:
    state.commit_decisions(RUN, "gift", [proposal(1)], occurred_at=AT)
    assert decided(state) == [
        {
            "seq": 1,
            "message_id": proposal(1)["message_id"],
            "run_id": RUN,
            "campaign": "gift",
            "brand": "demo",
            "member_key": member(1),
            "customer_key": proposal(1)["customer_key"],
            "channel": "sms",
            "occasion": "2017-09-01",
            "arm": "treatment",
            "outcome": "send",
            "reason": None,
            "decided_on": DAY,
            "planned_at": PLANNED.replace(tzinfo=None),
            "contact_ref": "tok_1",
            "contact_hash": "hash_1",
            "coupon_code": "MONTH5",
            "bucket": 5000,
            "purpose": "marketing",
        }
    ]
    (message,) = state.ledger.unsettled(RUN, "gift")
    assert (message.shop, message.platform, message.template) == ("grocer", "taobao", "gift")
    assert (str(message.coupon_amount), message.planned_at) == ("5.00", PLANNED)
    assert message.expires_at == EXPIRES
    assert message.customer_key == proposal(1)["customer_key"]


def test_only_messages_to_send_are_committed(state: StateStore) -> None:
    state.commit_decisions(RUN, "gift", considered(), occurred_at=AT)
    events = list(state.iter_stream("state__message_events", 0, 99))
    assert {(row["message_id"], row["event"]) for row in events} == {
        (proposal(number)["message_id"], "committed") for number in (1, 2)
    }
    assert {row["occurred_at"] for row in events} == {AT.replace(tzinfo=None)}


def test_the_same_set_has_the_same_digest_in_any_order() -> None:
    rows = considered()
    orders = (rows, rows[::-1], rows[3:] + rows[:3])
    assert len({digest_of(read_proposals(RUN, "gift", order)) for order in orders}) == 1


def test_the_digest_covers_every_column() -> None:
    base = Proposal(**proposal(1))
    changes = {
        "brand": "other",
        "platform": "jd",
        "shop": "other",
        "customer_key": member(77),
        "purpose": "service",
        "bucket": 1,
        "planned_at": PLANNED + timedelta(microseconds=1),
        "expires_at": EXPIRES + timedelta(microseconds=1),
        "contact_ref": "tok_other",
        "contact_hash": None,
        "coupon_code": None,
        "coupon_amount": "5.01",
        "template": "other",
        "as_of_date": date(2017, 10, 2),
        "arm": None,
    }
    for column, value in changes.items():
        assert digest_of([Proposal(**proposal(1, **{column: value}))]) != digest_of([base]), column
    assert digest_of([Proposal(**proposal(1, coupon_amount="5.0"))]) == digest_of([base])


def test_what_was_decided_before_expiries_were_recorded_keeps_its_digest() -> None:
    rows = [suppressed(1, expires_at=None), held_out(2, expires_at=None)]
    assert digest_of(read_proposals(RUN, "gift", rows)) == (
        "f2ff768e6d90581bae2226220802be692e0a2408f2cc90da5d53b3e7154a25b1"
    )


def test_a_row_that_was_tampered_with_shows(state: StateStore, state_url: str) -> None:
    state.commit_decisions(RUN, "gift", considered())
    assert state.ledger.verify(RUN, "gift")
    database = Database(state_url)
    with database.writing() as connection:
        guard = {
            "sqlite": "drop trigger deferrals_no_update",
            "postgresql": "set local session_replication_role = replica",
        }[database.dialect]
        connection.execute(text(guard))
        connection.execute(text("update deferrals set reason = 'quiet'"))
    assert not state.ledger.verify(RUN, "gift")
    assert not state.ledger.verify(RUN, "unknown")


MALFORMED: list[tuple[dict[str, Any], str]] = [
    ({"message_id": "0" * 32}, "message_id is not that of"),
    ({"campaign": "other"}, "another campaign"),
    ({"outcome": "suppressed", "reason": None}, "a reason stands with"),
    ({"reason": "cap"}, "a reason stands with"),
    ({"is_final": False}, "only a suppression"),
    ({"arm": "holdout"}, "contradict"),
    ({"outcome": "holdout"}, "contradict"),
    ({"contact_ref": None}, "needs contact_ref"),
    ({"planned_at": None}, "needs contact_ref"),
    ({"expires_at": None}, "needs contact_ref"),
    ({"template": None}, "needs contact_ref"),
    ({"bucket": 10_000}, "bucket"),
    ({"coupon_amount": "5.001"}, "coupon_amount"),
    ({"phone": "13800000000"}, "phone"),
]


def test_a_malformed_proposal_decides_nothing(state: StateStore) -> None:
    for changes, message in MALFORMED:
        with pytest.raises(QueueError, match=message) as caught:
            state.commit_decisions(RUN, "gift", [proposal(1), proposal(2, **changes)])
        assert "13800000000" not in str(caught.value)
    assert decided(state) == []
    assert state.ledger.result(RUN, "gift") is None


def test_a_message_proposed_twice_decides_nothing(state: StateStore) -> None:
    with pytest.raises(QueueError, match="1 messages are proposed twice"):
        state.commit_decisions(RUN, "gift", [proposal(1), suppressed(1)])
    assert decided(state) == []


def test_only_an_open_night_decides(state: StateStore) -> None:
    with pytest.raises(QueueError, match="unknown"):
        state.commit_decisions("night-20180101", "gift", [proposal(1)])
    state.commit_decisions(RUN, "gift", [proposal(1)])
    state.nights.complete(RUN, digest="d", published_file="m")
    assert state.commit_decisions(RUN, "gift", []).is_reread
    with pytest.raises(QueueError, match="completed"):
        state.commit_decisions(RUN, "coupon", [proposal(1, campaign="coupon")])


def exported(number: int, at: datetime = PLANNED) -> MessageEvent:
    return MessageEvent(proposal(number)["message_id"], "exported", AT, RUN, send_at=at)


def kept_back(number: int) -> MessageEvent:
    return MessageEvent(proposal(number)["message_id"], "suppressed_at_exit", AT, RUN, "refused")


def test_a_message_leaves_the_exit_once(state: StateStore) -> None:
    state.commit_decisions(RUN, "gift", [proposal(1), proposal(2)])
    assert state.ledger.append_events([exported(1), exported(1), kept_back(1)]) == 1
    assert state.ledger.append_events([kept_back(1), kept_back(2), exported(2)]) == 1
    assert state.ledger.unsettled(RUN, "gift") == []
    events = [row["event"] for row in state.iter_stream("state__message_events", 2, 99)]
    assert events == ["exported", "suppressed_at_exit"]


def test_receipts_are_recorded_once_per_instant(state: StateStore) -> None:
    state.commit_decisions(RUN, "gift", [proposal(1)])
    id_ = proposal(1)["message_id"]
    clicks = [
        MessageEvent(id_, "clicked", AT, RUN),
        MessageEvent(id_, "clicked", AT + timedelta(seconds=1), RUN),
        MessageEvent(id_, "clicked", AT, NEXT),
    ]
    assert state.ledger.append_events(clicks) == 2
    assert state.ledger.append_events(clicks) == 0


def test_an_event_of_an_unknown_message_is_refused(state: StateStore) -> None:
    with pytest.raises(StateError):
        state.ledger.append_events([exported(1)])


def test_a_batch_is_settled_when_all_its_messages_have_passed(state: StateStore) -> None:
    state.commit_decisions(RUN, "gift", considered())
    state.ledger.append_events([exported(1)])
    with pytest.raises(QueueError, match="not all its messages"):
        state.ledger.settle(RUN, "gift")
    assert state.ledger.unsettled_batches() == [(RUN, "gift")]
    state.ledger.append_events([kept_back(2)])
    assert state.ledger.settle(RUN, "gift") == (1, 1)
    assert state.ledger.settle(RUN, "gift") == (1, 1)
    assert state.ledger.unsettled_batches() == []
    with pytest.raises(QueueError):
        state.ledger.settle(RUN, "unknown")


def test_exported_messages_are_found_by_member_or_contact_within_the_brand(
    state: StateStore,
) -> None:
    rows = [
        proposal(1),
        proposal(2, contact_hash="shared"),
        proposal(3, contact_hash="shared"),
        proposal(4),
        proposal(5, brand="other", contact_hash="shared"),
        proposal(6, contact_hash="shared"),
    ]
    state.commit_decisions(RUN, "gift", rows)
    state.ledger.append_events(
        [exported(1, PLANNED - timedelta(days=1)), *(exported(n) for n in (2, 3, 4, 5))]
    )
    found = state.ledger.exported_to("demo", [member(1), member(2)], ["shared"], None)
    assert sorted(message.member_key.int for message in found) == [1, 2, 3]
    after = PLANNED - timedelta(days=1)
    found = state.ledger.exported_to("demo", [member(1), member(2)], [], after)
    assert [message.member_key.int for message in found] == [2]


def test_two_commits_of_one_night_at_once_decide_once(state: StateStore) -> None:
    def commit(numbers: range) -> str:
        result = state.commit_decisions(RUN, "gift", [proposal(number) for number in numbers])
        return f"{result.is_reread} {result.sent}"

    answers = race(lambda: commit(range(1, 4)), lambda: commit(range(3, 8)))
    assert sorted(answers) in (["False 3", "True 3"], ["False 5", "True 5"])
    assert len(decided(state)) == int(answers[0].split()[1])


def _id_at(row: dict[str, Any], occasion: str) -> str:
    return message_id_of("gift", row["member_key"], "sms", occasion)


@pytest.mark.slow
def test_a_commit_killed_at_any_point_is_whole_or_nothing(state: StateStore) -> None:
    """kill -9 before and after every statement of a commit; then the night runs again."""
    day = date(2018, 1, 1)
    for point in range(100):
        run_id = state.nights.open(day).run_id
        day += timedelta(days=1)
        rows = [
            {**row, "occasion": run_id, "message_id": _id_at(row, run_id)} for row in considered()
        ]
        name = kill_at(point, lambda: state.commit_decisions(run_id, "gift", rows))  # noqa: B023
        result = state.commit_decisions(run_id, "gift", rows)
        assert result.considered == 6
        assert state.ledger.verify(run_id, "gift")
        messages = [row for row in decided(state) if row["run_id"] == run_id]
        assert len(messages) == 5, name
        assert len(state.ledger.unsettled(run_id, "gift")) == 2
        if name is None:
            break
    assert 5 < point < 99
    heads = state.stream_heads()
    numbers = [row["seq"] for row in decided(state)]
    assert numbers == list(range(1, heads["state__decisions"] + 1))


def test_decisions_are_found_by_their_message_ids(state: StateStore) -> None:
    run_id = state.nights.open(DAY).run_id
    rows = [proposal(1), held_out(2), suppressed(3)]
    state.commit_decisions(run_id, "gift", rows)
    wanted = [row["message_id"] for row in rows]
    found = state.ledger.find([*wanted, wanted[0], "0" * 32])
    assert {key: one.outcome for key, one in found.items()} == dict(
        zip(wanted, ("send", "holdout", "suppressed"), strict=True)
    )
    assert state.ledger.find([]) == {}
    assert state.ledger.find(f"{number:032x}" for number in range(5000)) == {}
