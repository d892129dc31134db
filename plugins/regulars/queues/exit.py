"""The exit: the last look at every committed message before it leaves, against today's ledger.

Pure: what it needs to know is handed in, and the same input gives the same verdicts.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from regulars.queues.campaigns import Campaign, SendingHours
from regulars.queues.caps import Cap
from regulars.state import ERASED, ConsentRecord, Decision, SentMessage
from regulars.state.consent import EVERY_CHANNEL

HOLDOUT = "holdout"
STOPPED = "stopped"
REFUSED = "refused"
CONTAMINATED_CONTACT = "contaminated_contact"
MERGED_HOLDOUT = "merged_holdout"
DUPLICATE_CONTACT = "duplicate_contact"
DUPLICATE_PERSON = "duplicate_person"
EXPIRED = "expired"
QUIET = "quiet"
CAP = "cap"


@dataclass(frozen=True)
class Verdict:
    """What the exit says about one message.

    Attributes:
        send_at: when it is to be sent (UTC), None when it may not leave.
        expires_at: instant (UTC) from which nobody may send it any more, None when unknown.
        reason: why it may not leave, None when it may.
    """

    decision: Decision
    send_at: datetime | None
    expires_at: datetime | None
    reason: str | None


@dataclass(frozen=True)
class ExitContext:
    """Everything the exit looks at besides the messages.

    Attributes:
        run_id: tonight.
        now: the present on the shops' clock (aware).
        campaigns: configured campaigns by code, inactive ones as well.
        zones: zone of each shop by code.
        hours: when marketing may be sent.
        caps: message caps.
        sent: messages exported before, to the members and contacts concerned.
        consent: refusals and consents of the members and contacts concerned.
        contaminated: (campaign, contact hash) shared by people in different arms.
        identity: recorded member key -> today's member key, for those that differ, with every key
            of each person concerned.
        merged_arms: (campaign, today's member key) -> the arm that stands, for people who were
            drawn into different arms before they were merged.
        erased: keyed hashes of contacts whose owners were erased.
    """

    run_id: str
    now: datetime
    campaigns: Mapping[str, Campaign]
    zones: Mapping[str, ZoneInfo]
    hours: SendingHours
    caps: Sequence[Cap]
    sent: Sequence[SentMessage] = ()
    consent: Sequence[ConsentRecord] = ()
    contaminated: frozenset[tuple[str, str]] = frozenset()
    identity: Mapping[UUID, UUID] = field(default_factory=dict)
    merged_arms: Mapping[tuple[str, UUID], str] = field(default_factory=dict)
    erased: frozenset[str] = frozenset()

    def person(self, member_key: UUID) -> UUID:
        """Today's key of a member."""
        return self.identity.get(member_key, member_key)


def check_exit(candidates: Iterable[Decision], context: ExitContext) -> list[Verdict]:
    """Judge messages in the order of their campaigns' priority, then of their planned time.

    A message that passes counts against the caps of those after it.
    """
    history = _History(context)
    verdicts = []
    for decision in sorted(candidates, key=lambda decision: _rank(decision, context)):
        verdict = _judge(decision, context, history)
        if verdict.send_at is not None:
            history.add(decision, verdict.send_at)
        verdicts.append(verdict)
    return verdicts


def contaminated_contacts(
    sharing: Iterable[Decision], identity: Mapping[UUID, UUID]
) -> dict[tuple[str, str], list[str]]:
    """Contacts shared by different people in different arms of one campaign.

    Args:
        sharing: decisions with an arm, sent or held out.
        identity: recorded member key -> today's, for those that differ.

    Returns:
        (campaign, contact hash) -> ids of all messages concerned, sorted.
    """
    by_contact: dict[tuple[str, str], list[Decision]] = defaultdict(list)
    for decision in sharing:
        if decision.contact_hash is not None and decision.arm is not None:
            by_contact[decision.campaign, decision.contact_hash].append(decision)
    found = {}
    for contact, decisions in by_contact.items():
        people = {identity.get(row.member_key, row.member_key) for row in decisions}
        if len(people) > 1 and len({row.arm for row in decisions}) > 1:
            found[contact] = sorted(row.message_id for row in decisions)
    return found


@dataclass(frozen=True)
class MergedDraw:
    """One campaign's draws of a person who was several members when they were made.

    Attributes:
        arm: the arm that stands: of the member whose key stands, else of the one decided first.
        message_ids: ids of all messages concerned, sorted.
    """

    arm: str
    message_ids: tuple[str, ...]


def merged_draws(
    drawn: Iterable[Decision], identity: Mapping[UUID, UUID]
) -> dict[tuple[str, UUID], MergedDraw]:
    """People who were drawn into different arms of one campaign before they were merged.

    Args:
        drawn: decisions with an arm, sent or held out.
        identity: recorded member key -> today's, for those that differ.

    Returns:
        (campaign, today's member key) -> what stands and which messages are contaminated.
    """
    by_person: dict[tuple[str, UUID], list[Decision]] = defaultdict(list)
    for decision in drawn:
        if decision.arm is not None:
            person = identity.get(decision.member_key, decision.member_key)
            by_person[decision.campaign, person].append(decision)
    found = {}
    for (campaign, person), decisions in by_person.items():
        if (
            len({row.arm for row in decisions}) > 1
            and len({row.member_key for row in decisions}) > 1
        ):
            first = min(
                decisions,
                key=lambda row: (row.member_key != person, row.decided_on, row.message_id),
            )
            found[campaign, person] = MergedDraw(
                arm=str(first.arm), message_ids=tuple(sorted(row.message_id for row in decisions))
            )
    return found


class _History:
    """What left and what was said, by person and by contact; passed messages join it."""

    def __init__(self, context: ExitContext) -> None:
        self._context = context
        self._joined = frozenset(context.identity.values())
        self._words: dict[tuple[str, UUID | str], list[ConsentRecord]] = defaultdict(list)
        for record in context.consent:
            if record.member_key is not None:
                self._words[record.brand, context.person(record.member_key)].append(record)
            if record.contact_hash is not None:
                self._words[record.brand, record.contact_hash].append(record)
        self._by_person: dict[tuple[str, UUID], list[SentMessage]] = defaultdict(list)
        self._by_contact: dict[tuple[str, str], list[SentMessage]] = defaultdict(list)
        for message in context.sent:
            self._insert(message)

    def _insert(self, message: SentMessage) -> None:
        person = self._context.person(message.member_key)
        self._by_person[message.brand, person].append(message)
        if message.contact_hash is not None:
            self._by_contact[message.brand, message.contact_hash].append(message)

    def add(self, decision: Decision, send_at: datetime) -> None:
        self._insert(
            SentMessage(
                message_id=decision.message_id,
                campaign=decision.campaign,
                brand=decision.brand,
                member_key=decision.member_key,
                contact_hash=decision.contact_hash,
                channel=decision.channel,
                purpose=decision.purpose,
                occasion=decision.occasion,
                send_at=send_at,
                exported_by=self._context.run_id,
            )
        )

    def has_refused(self, decision: Decision) -> bool:
        """Whether the person or the contact, each for itself, last said no.

        A refusal binds the person at every contact, and the contact for everybody who has it. A
        consent speaks for the contact that it was given with, and where it names a member for that
        person alone.
        """
        return any(
            self._last_word(decision, about) == "refusal"
            for about in (self._context.person(decision.member_key), decision.contact_hash)
            if about is not None
        )

    def _last_word(self, decision: Decision, about: UUID | str) -> str | None:
        words = [
            (record.occurred_at, record.kind == "refusal", record.kind)
            for record in self._words.get((decision.brand, about), ())
            if record.channel in (decision.channel, EVERY_CHANNEL)
            and (record.kind == "refusal" or self._may_consent(record, decision))
        ]
        # Said in the same instant, a refusal outweighs a consent.
        return max(words)[-1] if words else None

    def _may_consent(self, record: ConsentRecord, decision: Decision) -> bool:
        person = self._context.person(decision.member_key)
        if record.contact_hash is None:
            # Nobody knows which contact was meant, unless the person has never been several.
            return person not in self._joined
        speaker = record.member_key
        return record.contact_hash == decision.contact_hash and (
            speaker is None or self._context.person(speaker) == person
        )

    def to_person(self, decision: Decision) -> list[SentMessage]:
        person = self._context.person(decision.member_key)
        return self._by_person.get((decision.brand, person), [])

    def to_contact(self, decision: Decision) -> list[SentMessage]:
        if decision.contact_hash is None:
            return []
        return self._by_contact.get((decision.brand, decision.contact_hash), [])


def _rank(decision: Decision, context: ExitContext) -> tuple[float, datetime, str]:
    campaign = context.campaigns.get(decision.campaign)
    priority = campaign.priority if campaign is not None else float("inf")
    return priority, _planned(decision), decision.message_id


def _planned(decision: Decision) -> datetime:
    if decision.planned_at is None:
        raise ValueError("a message to send has a planned time")
    return decision.planned_at


def _judge(decision: Decision, context: ExitContext, history: _History) -> Verdict:
    campaign = context.campaigns.get(decision.campaign)
    zone = context.zones.get(decision.shop)
    if campaign is None or not campaign.is_active or zone is None:
        return Verdict(decision, None, None, STOPPED)
    send_at = _send_time(decision, context, zone)
    expires_at = _expiry(decision, campaign, zone)
    if decision.contact_hash in context.erased:
        reason = ERASED
    elif history.has_refused(decision):
        reason = REFUSED
    elif (decision.campaign, decision.contact_hash) in context.contaminated:
        reason = CONTAMINATED_CONTACT
    elif context.merged_arms.get(_drawn_as(decision, context), decision.arm) == HOLDOUT:
        reason = MERGED_HOLDOUT
    elif _left_as_another(decision, campaign, send_at, history):
        reason = DUPLICATE_PERSON
    elif _duplicate(decision, campaign, send_at, context, history):
        reason = DUPLICATE_CONTACT
    elif send_at >= expires_at:
        reason = EXPIRED if context.now >= expires_at else QUIET
    elif not _within_caps(decision, send_at, context.caps, history):
        reason = CAP
    else:
        return Verdict(decision, send_at, expires_at, None)
    return Verdict(decision, None, expires_at, reason)


def _drawn_as(decision: Decision, context: ExitContext) -> tuple[str, UUID]:
    return decision.campaign, context.person(decision.member_key)


def _send_time(decision: Decision, context: ExitContext, zone: ZoneInfo) -> datetime:
    """The planned time; when that is over or closed, the next slot (service: at once)."""
    planned = _planned(decision)
    earliest = max(planned, context.now.astimezone(UTC))
    if decision.purpose == "service":
        return earliest
    hours = context.hours
    local = planned.astimezone(zone).timetz().replace(tzinfo=None)
    if planned == earliest and hours.marketing_opens <= local < hours.marketing_closes:
        return planned
    day = earliest.astimezone(zone).date()
    later = (
        datetime.combine(day + timedelta(days=ahead), slot, zone).astimezone(UTC)
        for ahead in (0, 1)
        for slot in hours.slots
    )
    return next(at for at in later if at >= earliest)


def _expiry(decision: Decision, campaign: Campaign, zone: ZoneInfo) -> datetime:
    """The end of the last local day on which it may be sent.

    It was proposed with the decision, counted from the occasion's own day. What was decided before
    that was recorded counts from the planned day.
    """
    if decision.expires_at is not None:
        return decision.expires_at
    day = _planned(decision).astimezone(zone).date() + timedelta(days=campaign.catch_up_days + 1)
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _duplicate(
    decision: Decision,
    campaign: Campaign,
    send_at: datetime,
    context: ExitContext,
    history: _History,
) -> bool:
    """Whether the campaign already reaches this contact for somebody else.

    A triggered campaign runs for years: there, somebody else's message counts for as long as its
    effect is read.
    """
    person = context.person(decision.member_key)
    reach = timedelta(days=campaign.monitor_days)
    return any(
        message.campaign == decision.campaign
        and context.person(message.member_key) != person
        and (campaign.kind == "one_off" or abs(send_at - message.send_at) < reach)
        for message in history.to_contact(decision)
    )


def _left_as_another(
    decision: Decision, campaign: Campaign, send_at: datetime, history: _History
) -> bool:
    """Whether the campaign has left for the person already, decided about another member.

    The two were merged since, and the ledger cannot tell whether that was before this message was
    decided: one decided before may not have known of the other, whenever that left. So it counts
    while this one waited; of a wave of a one-off campaign for ever; of a triggered one for as long
    as its effect is read. Service messages on several occasions are about several things.
    """
    reach = timedelta(days=campaign.monitor_days)
    return any(
        message.campaign == decision.campaign
        and message.member_key != decision.member_key
        and (decision.purpose != "service" or message.occasion == decision.occasion)
        and (
            message.exported_by >= decision.run_id
            or (campaign.kind == "one_off" and message.occasion == decision.occasion)
            or (campaign.kind == "triggered" and abs(send_at - message.send_at) < reach)
        )
        for message in history.to_person(decision)
    )


def _within_caps(
    decision: Decision, send_at: datetime, caps: Sequence[Cap], history: _History
) -> bool:
    for cap in caps:
        if not cap.covers(decision.purpose, decision.channel):
            continue
        for messages in (history.to_person(decision), history.to_contact(decision)):
            others = [
                message.send_at
                for message in messages
                if cap.covers(message.purpose, message.channel)
            ]
            if not cap.allows(send_at, others):
                return False
    return True
