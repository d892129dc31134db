from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest

from regulars.errors import QueueError
from regulars.queues import commit_proposals
from regulars.state import CommitResult, StateStore
from tests.queues.shop import NIGHT, campaign
from tests.state.rows import DAY, held_out, proposal, suppressed

GIFT = campaign()
COUPON = campaign("coupon", priority=30)


def commit(
    state: StateStore, *proposals: Mapping[str, Any], **changes: Any
) -> dict[str, CommitResult]:
    values: dict[str, Any] = {
        "as_of_date": DAY,
        "campaigns": (GIFT, COUPON),
        "proposals": proposals,
        "now": NIGHT,
        **changes,
    }
    return {result.campaign: result for result in commit_proposals(state, **values)}


@pytest.fixture(autouse=True)
def night(state: StateStore) -> None:
    state.nights.open(DAY)


def test_each_campaign_gets_its_batch_by_priority(state: StateStore) -> None:
    results = commit(
        state, proposal(1, campaign="coupon"), proposal(1), held_out(2), suppressed(3, "no_route")
    )
    assert list(results) == ["gift", "coupon"]
    assert (results["gift"].considered, results["coupon"].considered) == (3, 1)
    (event, *_) = state.iter_stream("state__message_events", 0, 1)
    assert event["occurred_at"] == NIGHT.replace(tzinfo=None)


def test_a_campaign_without_proposals_is_frozen_as_well(state: StateStore) -> None:
    commit(state, proposal(1))
    results = commit(state, proposal(1), proposal(1, campaign="coupon"))
    assert all(result.is_reread for result in results.values())
    assert results["coupon"].considered == 0


def test_a_completed_night_is_only_read(state: StateStore) -> None:
    commit(state, proposal(1), campaigns=(GIFT,))
    state.nights.complete("night-20171001", digest="d", published_file="m")
    results = commit(state, proposal(2), proposal(2, campaign="coupon"))
    assert list(results) == ["gift"]
    assert (results["gift"].is_reread, results["gift"].sent) == (True, 1)


def test_a_campaign_stopped_after_its_decision_is_still_read(state: StateStore) -> None:
    commit(state, proposal(1))
    stopped = campaign(is_active=False)
    results = commit(state, proposal(1), campaigns=(stopped, COUPON))
    assert results["gift"].is_reread


def test_a_proposal_of_no_active_campaign_decides_nothing(state: StateStore) -> None:
    stopped = campaign(is_active=False)
    for campaigns in ((stopped, COUPON), (COUPON,)):
        with pytest.raises(QueueError, match="'gift', which is no active campaign"):
            commit(state, proposal(1), proposal(1, campaign="coupon"), campaigns=campaigns)
    assert state.stream_heads()["state__decisions"] == 0


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("brand", "other"),
        ("channel", "email"),
        ("purpose", "service"),
        ("as_of_date", date(2017, 9, 30)),
    ],
)
def test_a_proposal_that_does_not_fit_its_campaign_decides_nothing(
    state: StateStore, column: str, value: object
) -> None:
    with pytest.raises(QueueError, match=column):
        commit(state, proposal(1), proposal(2, **{column: value}))
    assert state.stream_heads()["state__decisions"] == 0


def test_an_unknown_night_decides_nothing(state: StateStore) -> None:
    with pytest.raises(QueueError, match="unknown"):
        commit(state, proposal(1), as_of_date=date(2017, 10, 2))
