"""Grants and redemptions: recorded once, checked in the transaction that records them."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from regulars.errors import StateError
from regulars.state import ErasedKeys, StateStore
from regulars.state.database import Database
from tests.state.processes import race
from tests.state.rows import DAY, PLANNED, grant, redemption

OWN = [UUID(int=1 + 10**6)]


def test_a_grant_is_recorded_once_and_enters_the_stream(state: StateStore) -> None:
    assert state.grants.record([grant(1), grant(2)]) == 2
    assert state.grants.record([grant(1, level=3), grant(3)]) == 1, "what stands is left as it is"
    assert state.stream_heads()["state__tier_grants"] == 3
    rows = list(state.iter_stream("state__tier_grants", 0, 3))
    assert [(row["seq"], row["level"], row["reason"]) for row in rows] == [
        (1, 2, "upgrade"),
        (2, 2, "upgrade"),
        (3, 2, "upgrade"),
    ]
    assert state.grants.of_customers(OWN) == [grant(1)]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"reason": "mood"}, "mood"),
        ({"reason": "switch", "level": 1, "previous_level": 2}, "down"),
        ({"reason": "upgrade", "level": 1, "previous_level": 2}, "down"),
        ({"reason": "renew", "level": 1, "previous_level": 2}, "down"),
        ({"reason": "downgrade_at_expiry", "level": 1, "previous_level": 3}, "one level"),
    ],
)
def test_a_grant_that_breaks_the_rules_of_tiers_is_refused(state, changes, complaint) -> None:
    with pytest.raises(StateError, match=complaint):
        state.grants.record([grant(1), grant(2, **changes)])
    assert state.grants.of_customers(OWN) == []


def test_the_database_itself_lets_nobody_down_on_a_switch(state, state_url) -> None:
    state.grants.record([grant(1)])
    for change in (
        "update tier_grants set level = 4",
        "delete from tier_grants",
        "insert into tier_grants select 9, 'x', run_id, brand, member_key, customer_key, program, "
        "tier, 1, 2, 'switch', decided_on, valid_until, evidence from tier_grants",
    ):
        with pytest.raises(StateError), Database(state_url).writing() as connection:
            connection.execute(text(change))


def test_a_request_is_honoured_once(state: StateStore) -> None:
    terms = {"customer_keys": OWN, "available": 60, "stock": None, "since": PLANNED}
    assert state.redemptions.redeem(redemption(1), **terms) is True
    assert state.redemptions.redeem(redemption(1), **terms) is False
    assert state.redemptions.find("request-1") == redemption(1)
    assert state.redemptions.find("request-2") is None
    with pytest.raises(StateError, match="another redemption has this id"):
        state.redemptions.redeem(redemption(1, gift="cup"), **terms)


def test_points_are_spent_once_until_a_night_has_seen_it(state: StateStore) -> None:
    terms = {"customer_keys": OWN, "available": 99, "stock": None}
    state.redemptions.redeem(redemption(1), since=PLANNED, **terms)
    with pytest.raises(StateError, match="50 points, 49 are available"):
        state.redemptions.redeem(redemption(1, redemption_id="again"), since=PLANNED, **terms)
    # A night of a later date has taken the first one off already.
    later = PLANNED + timedelta(seconds=1)
    again = redemption(1, redemption_id="again", redeemed_at=later)
    assert state.redemptions.redeem(again, since=later, **terms)
    exact = {**terms, "available": 100}
    third = redemption(1, redemption_id="third", redeemed_at=later)
    assert state.redemptions.redeem(third, since=later, **exact)
    with pytest.raises(StateError, match="0 are available"):
        state.redemptions.redeem(redemption(1, redemption_id="fourth"), since=later, **exact)


def test_the_last_gift_is_taken_once(state: StateStore, state_url: str) -> None:
    def take(number: int) -> str:
        own = StateStore(state_url)
        try:
            own.redemptions.redeem(
                redemption(number),
                customer_keys=[UUID(int=number + 10**6)],
                available=50,
                stock=2,
                since=PLANNED,
            )
        except StateError as error:
            return error.what
        return "taken"

    found = race(*[lambda number=number: take(number) for number in range(1, 5)])
    assert sorted(found) == ["all 2 of bag are taken"] * 2 + ["taken"] * 2


def test_who_was_erased_takes_nothing_more(state: StateStore) -> None:
    """Published files still name the person while they are rewritten."""
    state.erasures.record(
        ErasedKeys(customers=frozenset({UUID(int=2 + 10**6)})),
        route="buyer_id", request="ticket 1", requested_by="somebody", now=PLANNED,
    )  # fmt: skip
    terms = {"available": 50, "stock": None, "since": PLANNED}
    for wanted, keys in ((redemption(2), []), (redemption(1), [*OWN, UUID(int=2 + 10**6)])):
        with pytest.raises(StateError, match="no such buyer"):
            state.redemptions.redeem(wanted, customer_keys=keys, **terms)
        assert state.redemptions.find(wanted.redemption_id) is None
    assert state.redemptions.redeem(redemption(1), customer_keys=OWN, **terms)


def test_what_is_recorded_keeps_its_validity(state: StateStore) -> None:
    for_good = grant(1, valid_until=None, level=1)
    until = grant(1, grant_id="later", valid_until=DAY + timedelta(days=1), previous_level=1)
    state.grants.record([for_good])
    state.grants.record([until])
    assert [one.valid_until for one in state.grants.of_customers(OWN)] == [
        None,
        DAY + timedelta(days=1),
    ]
