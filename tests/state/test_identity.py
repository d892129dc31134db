"""Decisions about who is one person and who is two."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from regulars.errors import StateError
from regulars.state import IdentityDecision, StateStore
from regulars.state.identity import pair_of
from tests.state.rows import member

AT = datetime(2017, 10, 1, 18, tzinfo=UTC)
FIRST = IdentityDecision("demo", member(1), member(2), "merge", AT, "ann", "ticket 7")


def _about(one: int, other: int, kind: str) -> IdentityDecision:
    return replace(FIRST, customer_key=member(one), other_customer_key=member(other), kind=kind)


def test_a_decision_is_recorded_once_until_another_takes_its_place(state: StateStore) -> None:
    again = replace(FIRST, decided_at=AT + timedelta(days=1), evidence="told again")
    split = replace(FIRST, kind="split")
    assert [state.identity.record(one) for one in (FIRST, again, split, FIRST)] == [
        True, False, True, True,
    ]  # fmt: skip
    assert state.identity.all() == [FIRST, split, FIRST]
    assert state.stream_heads()["state__identity_decisions"] == 3
    (row, *_) = state.iter_stream("state__identity_decisions", 0, 3)
    assert row["customer_key"] == member(1)
    assert row["decided_at"] == AT.replace(tzinfo=None)


def test_pairs_have_one_order() -> None:
    assert pair_of(member(2), member(1)) == pair_of(member(1), member(2)) == (member(1), member(2))


@pytest.mark.parametrize(
    "wrong",
    [
        replace(FIRST, kind="perhaps"),
        replace(FIRST, other_customer_key=member(1)),
        replace(FIRST, customer_key=member(2), other_customer_key=member(1)),
        replace(FIRST, kind="undo"),
    ],
)
def test_what_decides_nothing_is_refused(state: StateStore, wrong: IdentityDecision) -> None:
    with pytest.raises(StateError):
        state.identity.record(wrong)
    assert state.identity.all() == []


def test_nobody_is_one_person_and_two(state: StateStore) -> None:
    for one in (FIRST, _about(2, 3, "merge")):
        state.identity.record(one)
    with pytest.raises(StateError, match="one person and two"):
        state.identity.record(_about(1, 3, "split"))
    state.identity.record(_about(2, 3, "undo"))
    state.identity.record(_about(1, 3, "split"))
    with pytest.raises(StateError, match="one person and two"):
        state.identity.record(_about(2, 3, "merge"))
    # Another brand's people are others.
    state.identity.record(replace(_about(2, 3, "merge"), brand="other"))
