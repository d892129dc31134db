"""Proposals become decisions: each campaign's considered set is recorded once per night."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from regulars.errors import QueueError
from regulars.queues.campaigns import Campaign
from regulars.state import CommitResult, StateStore


def commit_proposals(
    state: StateStore,
    *,
    as_of_date: date,
    campaigns: Sequence[Campaign],
    proposals: Iterable[Mapping[str, Any]],
    now: datetime,
) -> list[CommitResult]:
    """Decide tonight's proposals, or read what this night has decided before.

    Every active campaign gets a frozen batch, an empty one as well: nobody can be added to a night
    later. In a completed night only its recorded batches are read.

    Args:
        state: recorded state; the night of ``as_of_date`` must be open or completed.
        as_of_date: business date of the night.
        campaigns: config/campaigns.
        proposals: rows of the activation models, of all campaigns.
        now: the present on the shops' clock (aware).

    Returns:
        One result per campaign, by priority; ``is_reread`` says that it was decided before.

    Raises:
        QueueError: a proposal is malformed, or does not fit its campaign's configuration.
    """
    night = state.nights.get(as_of_date)
    if night is None:
        raise QueueError(
            "the night is unknown",
            where=f"{as_of_date}",
            next_step="open the night before its proposals are committed",
        )
    by_campaign: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in proposals:
        by_campaign[str(row.get("campaign"))].append(row)
    active = {campaign.campaign: campaign for campaign in campaigns if campaign.is_active}
    decided = state.ledger.campaigns_of(night.run_id)
    _check_known(night.run_id, by_campaign, {*active, *decided})
    results = []
    for code in [*active, *(code for code in decided if code not in active)]:
        if night.is_completed and code not in decided:
            continue
        rows = by_campaign[code]
        if code not in decided:
            _check_fit(night.run_id, active[code], as_of_date, rows)
        results.append(state.commit_decisions(night.run_id, code, rows, occurred_at=now))
    return results


def _check_known(
    run_id: str, by_campaign: Mapping[str, Sequence[Mapping[str, Any]]], known: set[str]
) -> None:
    unknown = sorted(set(by_campaign) - known)
    if unknown:
        raise QueueError(
            f"proposals of {unknown[0]!r}, which is no active campaign",
            where=run_id,
            next_step="activate it in config/campaigns, or let its model propose nothing",
        )


def _check_fit(
    run_id: str, campaign: Campaign, as_of_date: date, rows: Sequence[Mapping[str, Any]]
) -> None:
    """What the row says about its campaign must be what the campaign's file says."""
    expected = {
        "brand": campaign.brand,
        "channel": campaign.channel,
        "purpose": campaign.purpose,
        "as_of_date": as_of_date,
    }
    for row in rows:
        for column, value in expected.items():
            if row.get(column) != value:
                raise QueueError(
                    f"a proposal has {column} {row.get(column)!r} instead of {value!r}",
                    where=f"{run_id} {campaign.campaign}",
                    next_step="build the activation models of this night again",
                )
