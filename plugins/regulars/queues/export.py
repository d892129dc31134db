"""Committed messages leave, each at most once: exit check, hand-over, record.

Order of one batch (a campaign of a night), so that a process may die anywhere:

1. What the transport has handed over before is recorded as exported.
2. The exit judges the rest; what fails is recorded with its reason.
3. What passed is handed over, then recorded as exported.
4. The batch is settled.

A file is handed over exactly once. A broker has no transaction with the ledger: what was published
but not yet recorded when the process died is published again (at most one portion), under the same
message id, by which senders drop it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from regulars.errors import QueueError
from regulars.queues.campaigns import Campaign, SendingHours
from regulars.queues.caps import Cap
from regulars.queues.exit import (
    ExitContext,
    Verdict,
    check_exit,
    contaminated_contacts,
    merged_draws,
)
from regulars.queues.transports.handover import (
    BatchName,
    Outlet,
    Transport,
    portions,
    queue_row,
)
from regulars.queues.unsubscribe import UnsubscribeLinks
from regulars.state import Decision, MessageEvent, StateStore
from regulars.state.decisions import CONTAMINATED, EXPORTED, SUPPRESSED_AT_EXIT


@dataclass(frozen=True)
class ExportRules:
    """What the exit goes by.

    Attributes:
        campaigns: config/campaigns, inactive ones as well.
        zones: zone of each shop by code.
        hours: config/sending.yml.
        caps: the seed message_caps.
        identity: recorded member key -> today's, for those that differ.
        unsubscribe: makes the links that e-mails are unsubscribed by; None where none can be.
    """

    campaigns: Sequence[Campaign]
    zones: Mapping[str, ZoneInfo]
    hours: SendingHours
    caps: Sequence[Cap]
    identity: Mapping[UUID, UUID] = field(default_factory=dict)
    unsubscribe: UnsubscribeLinks | None = None


@dataclass(frozen=True)
class BatchExport:
    """What became of the messages of one campaign and night in this export.

    Attributes:
        exported: handed over now.
        recovered: found handed over by an export that died before it could say so.
        suppressed: kept back at the exit now, by reason.
        contaminated: messages flagged now because people in different arms share a contact.
        place: where they were handed over to; None when there was nothing.
    """

    run_id: str
    campaign: str
    exported: int
    recovered: int
    suppressed: Mapping[str, int]
    contaminated: int
    place: str | None


def export_messages(
    state: StateStore,
    transport: Transport,
    *,
    run_id: str,
    now: datetime,
    rules: ExportRules,
    still_holding: Callable[[], None] = lambda: None,
) -> list[BatchExport]:
    """Let every committed message up to night ``run_id`` leave that has not left yet.

    Call it with the run lease held. Running it again exports nothing.

    Args:
        state: recorded state.
        transport: see :func:`regulars.queues.transports.transport_for`.
        run_id: tonight; batches of earlier nights whose export failed leave as well.
        now: the present on the shops' clock (aware).
        rules: campaigns, zones, hours, caps and identities of today.
        still_holding: raises when the lease was lost; asked before each hand-over.

    Returns:
        One entry per batch that was not settled before.

    Raises:
        QueueError: the transport failed; what it had not taken leaves with the next export.
    """
    batches = [batch for batch in state.ledger.unsettled_batches() if batch[0] <= run_id]
    if not batches:
        return []
    with transport.open() as outlet:
        work = [_Batch(state, outlet, run_id, now, *batch) for batch in batches]
        for batch in work:
            batch.recover()
            batch.flag_contaminated(rules)
        candidates = [decision for batch in work for decision in batch.waiting]
        context = _context(state, run_id, now, rules, candidates, work)
        verdicts: dict[tuple[str, str], list[Verdict]] = defaultdict(list)
        for verdict in check_exit(candidates, context):
            verdicts[verdict.decision.run_id, verdict.decision.campaign].append(verdict)
        # All suppressions first: what then still waits in a batch is exactly what its file holds.
        for batch in work:
            batch.record_suppressed(verdicts[batch.name])
        links = rules.unsubscribe
        return [batch.leave(verdicts[batch.name], still_holding, links) for batch in work]


def _context(
    state: StateStore,
    run_id: str,
    now: datetime,
    rules: ExportRules,
    candidates: Sequence[Decision],
    work: Sequence["_Batch"],
) -> ExitContext:
    recorded: dict[UUID, set[UUID]] = defaultdict(set)
    for old, today in rules.identity.items():
        recorded[today].update((old, today))
    campaigns = {campaign.campaign: campaign for campaign in rules.campaigns}
    sent, consent = [], []
    for brand in sorted({decision.brand for decision in candidates}):
        own = [decision for decision in candidates if decision.brand == brand]
        people = {rules.identity.get(row.member_key, row.member_key) for row in own}
        members = {key for person in people for key in recorded.get(person, {person})}
        contacts = {row.contact_hash for row in own if row.contact_hash is not None}
        sent += state.ledger.exported_to(brand, members, contacts, _horizon(now, rules, own))
        consent += state.consent.about(brand, members, contacts)
    hashes = {row.contact_hash for row in candidates if row.contact_hash is not None}
    return ExitContext(
        run_id=run_id,
        now=now,
        campaigns=campaigns,
        zones=rules.zones,
        hours=rules.hours,
        caps=rules.caps,
        sent=sent,
        consent=consent,
        contaminated=frozenset(contact for batch in work for contact in batch.contaminated),
        identity=rules.identity,
        merged_arms={person: arm for batch in work for person, arm in batch.merged_arms.items()},
        erased=state.erasures.contacts_among(hashes),
    )


def _horizon(now: datetime, rules: ExportRules, candidates: Sequence[Decision]) -> datetime | None:
    """How far back a message can still matter; None: for ever (a one-off campaign's contacts)."""
    concerned = {decision.campaign for decision in candidates}
    campaigns = [campaign for campaign in rules.campaigns if campaign.campaign in concerned]
    if any(campaign.kind == "one_off" for campaign in campaigns):
        return None
    reach = [cap.window for cap in rules.caps]
    reach += [timedelta(days=campaign.monitor_days) for campaign in campaigns]
    earliest = min([now, *(row.planned_at for row in candidates if row.planned_at is not None)])
    return earliest - max(reach, default=timedelta())


class _Batch:
    """One campaign of one night on its way out."""

    def __init__(
        self,
        state: StateStore,
        outlet: Outlet,
        tonight: str,
        now: datetime,
        run_id: str,
        campaign: str,
    ) -> None:
        self.name = (run_id, campaign)
        self.waiting: list[Decision] = state.ledger.unsettled(run_id, campaign)
        self.contaminated: list[tuple[str, str]] = []
        self.merged_arms: dict[tuple[str, UUID], str] = {}
        self._state = state
        self._outlet = outlet
        self._tonight = tonight
        self._now = now
        self._recovered = 0
        self._flagged = 0

    def recover(self) -> None:
        """Record what an export that died had handed over."""
        if not self.waiting:
            return
        ids = [decision.message_id for decision in self.waiting]
        found = self._outlet.handed_over(self._address(), ids)
        self._state.ledger.append_events(
            self._exported(message_id, found[message_id]) for message_id in sorted(found)
        )
        self._recovered = len(found)
        self.waiting = [row for row in self.waiting if row.message_id not in found]

    def flag_contaminated(self, rules: ExportRules) -> None:
        """Record on all messages concerned where arms are mixed.

        People in different arms share a contact, or were drawn apart and are one person by now.
        """
        sharing = self._state.ledger.sharing_contacts(*self.name)
        contacts = contaminated_contacts(sharing, rules.identity)
        self.contaminated = list(contacts)
        merged_keys = {*rules.identity, *rules.identity.values()}
        drawn = self._state.ledger.drawn(self.name[1], merged_keys)
        draws = merged_draws(drawn, rules.identity)
        self.merged_arms = {person: draw.arm for person, draw in draws.items()}
        concerned = {one for message_ids in contacts.values() for one in message_ids}
        concerned.update(one for draw in draws.values() for one in draw.message_ids)
        self._flagged = self._state.ledger.append_events(
            MessageEvent(message_id, CONTAMINATED, self._now, self._tonight)
            for message_id in sorted(concerned)
        )

    def record_suppressed(self, verdicts: Sequence[Verdict]) -> None:
        """Record what may not leave, with its reason."""
        self._state.ledger.append_events(
            MessageEvent(
                verdict.decision.message_id,
                SUPPRESSED_AT_EXIT,
                self._now,
                self._tonight,
                reason=verdict.reason,
            )
            for verdict in verdicts
            if verdict.reason is not None
        )

    def leave(
        self,
        verdicts: Sequence[Verdict],
        still_holding: Callable[[], None],
        links: UnsubscribeLinks | None,
    ) -> BatchExport:
        """Hand over what passed, record it, settle the batch."""
        rows = sorted(
            (queue_row(verdict, links) for verdict in verdicts if verdict.reason is None),
            key=lambda row: (row.send_at, row.message_id),
        )
        place = None
        for portion in portions(rows, self._outlet.rows_per_handover):
            still_holding()
            place = self._outlet.hand_over(self._address(), portion)
            self._state.ledger.append_events(
                self._exported(row.message_id, row.send_at) for row in portion
            )
        self._state.ledger.settle(*self.name)
        return BatchExport(
            run_id=self.name[0],
            campaign=self.name[1],
            exported=len(rows),
            recovered=self._recovered,
            suppressed=dict(sorted(Counter(v.reason for v in verdicts if v.reason).items())),
            contaminated=self._flagged,
            place=place,
        )

    def _exported(self, message_id: str, send_at: datetime) -> MessageEvent:
        return MessageEvent(message_id, EXPORTED, self._now, self._tonight, send_at=send_at)

    def _address(self) -> BatchName:
        channels = sorted({decision.channel for decision in self.waiting})
        if len(channels) != 1:
            raise QueueError(
                f"a campaign's batch has the channels {', '.join(channels)}, not one",
                where=" ".join(self.name),
                next_step="let the campaign's model propose one channel",
            )
        return BatchName(*self.name, channel=channels[0])
