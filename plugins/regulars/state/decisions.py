"""The ledger of messages: what was decided, once, and what became of it.

A proposal is decided by the first commit that holds it. The considered set of a run and campaign is
frozen with its sha256 in the same transaction: a rerun reads it and never decides again.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, insert, select

from regulars.errors import QueueError
from regulars.state.database import Database
from regulars.state.nights import CHUNK
from regulars.state.proposals import Proposal, digest_of, read_proposals
from regulars.state.schema import (
    batch_exits,
    batch_scrubs,
    decision_batches,
    decisions,
    deferrals,
    message_events,
    nights,
)
from regulars.state.streams import take_numbers

COMMITTED = "committed"
EXPORTED = "exported"
SUPPRESSED_AT_EXIT = "suppressed_at_exit"
CONTAMINATED = "contaminated"

_ONCE = (COMMITTED, CONTAMINATED)
_EXITS = (EXPORTED, SUPPRESSED_AT_EXIT)


@dataclass(frozen=True)
class CommitResult:
    """What one commit recorded, or what the first commit of this run and campaign had recorded.

    Attributes:
        new: messages decided by this batch for good.
        deferred: suppressions that may be proposed again later (not final).
        already_decided: proposals left out because an earlier run had decided them.
        sent, holdout, suppressed: the considered, by outcome; deferrals count as suppressed.
        reasons: suppressed by reason.
        sha256: SHA-256 over the canonical rows of the considered set.
        is_reread: the batch existed already; tonight's proposals were not looked at.
    """

    run_id: str
    campaign: str
    new: int
    deferred: int
    already_decided: int
    sent: int
    holdout: int
    suppressed: int
    reasons: Mapping[str, int]
    sha256: str
    is_reread: bool

    @property
    def considered(self) -> int:
        """Everybody considered: sent + suppressed + holdout."""
        return self.sent + self.suppressed + self.holdout


@dataclass(frozen=True)
class Decision:
    """One recorded decision (instants UTC, amounts in the shop's currency).

    ``expires_at`` is the instant from which it may not be sent any more; None for whatever was
    decided before it was recorded.
    """

    message_id: str
    run_id: str
    campaign: str
    brand: str
    platform: str
    shop: str
    member_key: UUID
    customer_key: UUID
    channel: str
    purpose: str
    occasion: str
    outcome: str
    arm: str | None
    reason: str | None
    bucket: int | None
    decided_on: date
    planned_at: datetime | None
    contact_ref: str | None
    contact_hash: str | None
    coupon_code: str | None
    coupon_amount: Decimal | None
    template: str | None
    expires_at: datetime | None


@dataclass(frozen=True)
class MessageEvent:
    """Something that happened to a message.

    Attributes:
        event: ``exported``, ``suppressed_at_exit``, ``accepted``, ``delivered``, ``failed``, ...
        occurred_at: when, on the shop's clock (UTC).
        run_id: the night that recorded it.
        reason: why it was suppressed at the exit; None for all else.
        send_at: when an exported message is to be sent (UTC); None for all else.
    """

    message_id: str
    event: str
    occurred_at: datetime
    run_id: str
    reason: str | None = None
    send_at: datetime | None = None


@dataclass(frozen=True)
class SentMessage:
    """An exported message, as caps and duplicate checks count it; ``exported_by`` is a night."""

    message_id: str
    campaign: str
    brand: str
    member_key: UUID
    contact_hash: str | None
    channel: str
    purpose: str
    occasion: str
    send_at: datetime
    exported_by: str


class Ledger:
    """Decisions and message events."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def commit(
        self,
        run_id: str,
        campaign: str,
        rows: Sequence[Mapping[str, Any]],
        *,
        occurred_at: datetime | None = None,
    ) -> CommitResult:
        """Decide the considered set of ``run_id`` and ``campaign``, once.

        Args:
            run_id: an opened night.
            campaign: code of the campaign that every row belongs to.
            rows: rows of the proposal model (see :class:`Proposal`).
            occurred_at: instant of the ``committed`` events on the shop's clock; the machine's
                present when None.

        Raises:
            QueueError: a row is malformed, belongs to another campaign or stands twice, or the
                night is unknown or completed without such a batch.
        """
        frozen = self.result(run_id, campaign)
        if frozen is not None:
            return frozen
        now = self._clock()
        proposals = read_proposals(run_id, campaign, rows)
        with self._database.writing() as connection:
            frozen = _frozen_result(connection, run_id, campaign)
            if frozen is not None:
                return frozen
            _require_open_night(connection, run_id)
            decided = _decided(connection, [proposal.message_id for proposal in proposals])
            considered = [row for row in proposals if row.message_id not in decided]
            result = _summarise(run_id, campaign, considered, len(proposals) - len(considered))
            _insert_batch(connection, result, now)
            _insert_considered(connection, run_id, considered)
            sends = [row.message_id for row in considered if row.outcome == "send"]
            append_events(
                connection,
                [MessageEvent(id_, COMMITTED, occurred_at or now, run_id) for id_ in sends],
            )
        return result

    def result(self, run_id: str, campaign: str) -> CommitResult | None:
        """What was committed for ``run_id`` and ``campaign``, if anything."""
        with self._database.reading() as connection:
            return _frozen_result(connection, run_id, campaign)

    def campaigns_of(self, run_id: str) -> list[str]:
        """Campaigns with a frozen batch in ``run_id``, sorted."""
        with self._database.reading() as connection:
            query = select(decision_batches.c.campaign).where(decision_batches.c.run_id == run_id)
            return sorted(connection.execute(query).scalars())

    def verify(self, run_id: str, campaign: str) -> bool:
        """Whether the stored rows of a batch still have the sha256 they were frozen with.

        Where somebody was erased since, the sha256 that the erasure left it with counts.
        """
        with self._database.reading() as connection:
            return is_intact(connection, run_id, campaign)

    def unsettled_batches(self) -> list[tuple[str, str]]:
        """(run_id, campaign) of batches whose messages have not all passed the exit, sorted."""
        exits = select(batch_exits.c.run_id).where(
            batch_exits.c.run_id == decision_batches.c.run_id,
            batch_exits.c.campaign == decision_batches.c.campaign,
        )
        query = select(decision_batches.c.run_id, decision_batches.c.campaign).where(
            ~exits.exists()
        )
        with self._database.reading() as connection:
            return sorted((row.run_id, row.campaign) for row in connection.execute(query))

    def unsettled(self, run_id: str, campaign: str) -> list[Decision]:
        """Messages to send of a batch that have not passed the exit, by message id."""
        exits = select(message_events.c.seq).where(
            message_events.c.message_id == decisions.c.message_id,
            message_events.c.event.in_(_EXITS),
        )
        return self._decisions(
            (decisions.c.run_id == run_id)
            & (decisions.c.campaign == campaign)
            & (decisions.c.outcome == "send")
            & ~exits.exists()
        )

    def sharing_contacts(self, run_id: str, campaign: str) -> list[Decision]:
        """Everybody in ``campaign`` with an arm whose contact hash stands in this batch, too."""
        hashes = (
            select(decisions.c.contact_hash)
            .where(decisions.c.run_id == run_id, decisions.c.campaign == campaign)
            .where(decisions.c.contact_hash.is_not(None))
        )
        return self._decisions(
            (decisions.c.campaign == campaign)
            & decisions.c.outcome.in_(("send", "holdout"))
            & decisions.c.contact_hash.in_(hashes)
        )

    def concerned(self, run_id: str, campaign: str) -> set[tuple[UUID, UUID]]:
        """Member and customer key of everybody with an arm in a batch or with a contact in it."""
        hashes = (
            select(decisions.c.contact_hash)
            .where(decisions.c.run_id == run_id, decisions.c.campaign == campaign)
            .where(decisions.c.contact_hash.is_not(None))
        )
        query = (
            select(decisions.c.member_key, decisions.c.customer_key)
            .where(
                decisions.c.campaign == campaign,
                decisions.c.outcome.in_(("send", "holdout")),
                (decisions.c.run_id == run_id) | decisions.c.contact_hash.in_(hashes),
            )
            .distinct()
        )
        with self._database.reading() as connection:
            return {(row.member_key, row.customer_key) for row in connection.execute(query)}

    def drawn(self, campaign: str, member_keys: Iterable[UUID]) -> list[Decision]:
        """Decisions of ``campaign`` with an arm about any of these recorded member keys."""
        keys = sorted(set(member_keys))
        return [
            decision
            for start in range(0, len(keys), CHUNK)
            for decision in self._decisions(
                (decisions.c.campaign == campaign)
                & decisions.c.outcome.in_(("send", "holdout"))
                & decisions.c.member_key.in_(keys[start : start + CHUNK])
            )
        ]

    def find(self, message_ids: Iterable[str]) -> dict[str, Decision]:
        """The decisions with these message ids; ids that were never decided are left out."""
        ids = sorted(set(message_ids))
        return {
            decision.message_id: decision
            for start in range(0, len(ids), CHUNK)
            for decision in self._decisions(decisions.c.message_id.in_(ids[start : start + CHUNK]))
        }

    def _decisions(self, condition: ColumnElement[bool]) -> list[Decision]:
        columns = [column for column in decisions.c if column.name != "seq"]
        query = select(*columns).where(condition).order_by(decisions.c.message_id)
        with self._database.reading() as connection:
            return [Decision(**dict(row._mapping)) for row in connection.execute(query)]

    def exported_to(
        self,
        brand: str,
        member_keys: Iterable[UUID],
        contact_hashes: Iterable[str],
        after: datetime | None,
    ) -> list[SentMessage]:
        """Exported messages of ``brand`` to any of the members or contacts, by message id.

        Args:
            brand: caps and consent never cross a brand.
            member_keys: recorded keys of members.
            contact_hashes: keyed hashes of contacts.
            after: only messages with a later ``send_at``; None for all.
        """
        found: dict[str, SentMessage] = {}
        with self._database.reading() as connection:
            for column, values in (
                (decisions.c.member_key, sorted(set(member_keys))),
                (decisions.c.contact_hash, sorted(set(contact_hashes))),
            ):
                for start in range(0, len(values), CHUNK):
                    condition = column.in_(values[start : start + CHUNK])
                    for message in _exported(connection, brand, condition, after):
                        found[message.message_id] = message
        return [found[message_id] for message_id in sorted(found)]

    def append_events(self, events: Iterable[MessageEvent]) -> int:
        """Record events; what is recorded already is left out.

        ``committed``, ``contaminated`` and the exit (exported or suppressed) happen once per
        message; any other event once per message and instant.

        Returns:
            How many were new.

        Raises:
            StateError: an event names a message that was never decided.
        """
        wanted = list(events)
        if not wanted:
            return 0
        with self._database.writing() as connection:
            return append_events(connection, wanted)

    def settle(self, run_id: str, campaign: str) -> tuple[int, int]:
        """Record that every message of a batch has passed the exit.

        Returns:
            (exported, suppressed at the exit) of the whole batch.

        Raises:
            QueueError: messages of the batch have still not passed the exit.
        """
        now = self._clock()
        with self._database.writing() as connection:
            counts = _exit_counts(connection, run_id, campaign)
            committed = _frozen_result(connection, run_id, campaign)
            if committed is None or committed.sent != sum(counts):
                raise QueueError(
                    "a batch cannot be closed: not all its messages have passed the exit",
                    where=f"{run_id} {campaign}",
                    next_step="export the run again",
                )
            known = connection.execute(
                select(batch_exits.c.run_id).where(
                    batch_exits.c.run_id == run_id, batch_exits.c.campaign == campaign
                )
            ).one_or_none()
            if known is None:
                connection.execute(
                    insert(batch_exits).values(
                        run_id=run_id,
                        campaign=campaign,
                        exported_count=counts[0],
                        suppressed_count=counts[1],
                        settled_at=now,
                    )
                )
        return counts


def _summarise(
    run_id: str, campaign: str, considered: Sequence[Proposal], already_decided: int
) -> CommitResult:
    outcomes = Counter(row.outcome for row in considered)
    return CommitResult(
        run_id=run_id,
        campaign=campaign,
        new=sum(row.is_final for row in considered),
        deferred=sum(not row.is_final for row in considered),
        already_decided=already_decided,
        sent=outcomes["send"],
        holdout=outcomes["holdout"],
        suppressed=outcomes["suppressed"],
        reasons=dict(sorted(Counter(row.reason for row in considered if row.reason).items())),
        sha256=digest_of(considered),
        is_reread=False,
    )


def _frozen_result(connection: Connection, run_id: str, campaign: str) -> CommitResult | None:
    row = connection.execute(
        select(decision_batches).where(
            decision_batches.c.run_id == run_id, decision_batches.c.campaign == campaign
        )
    ).one_or_none()
    if row is None:
        return None
    considered = row.sent_count + row.holdout_count + row.suppressed_count
    return CommitResult(
        run_id=run_id,
        campaign=campaign,
        new=considered - row.deferred_count,
        deferred=row.deferred_count,
        already_decided=row.already_decided_count,
        sent=row.sent_count,
        holdout=row.holdout_count,
        suppressed=row.suppressed_count,
        reasons=json.loads(row.reasons),
        sha256=row.sha256,
        is_reread=True,
    )


def _require_open_night(connection: Connection, run_id: str) -> None:
    status = connection.execute(
        select(nights.c.status).where(nights.c.run_id == run_id)
    ).scalar_one_or_none()
    if status != "open":
        raise QueueError(
            f"the night is {status or 'unknown'}: nothing can be decided in it any more",
            where=run_id,
            next_step="open the night first; a campaign that is new decides from the next night on",
        )


def _decided(connection: Connection, message_ids: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for start in range(0, len(message_ids), CHUNK):
        query = select(decisions.c.message_id).where(
            decisions.c.message_id.in_(message_ids[start : start + CHUNK])
        )
        found.update(connection.execute(query).scalars())
    return found


def _insert_batch(connection: Connection, result: CommitResult, now: datetime) -> None:
    connection.execute(
        insert(decision_batches).values(
            run_id=result.run_id,
            campaign=result.campaign,
            sha256=result.sha256,
            sent_count=result.sent,
            holdout_count=result.holdout,
            suppressed_count=result.suppressed,
            deferred_count=result.deferred,
            already_decided_count=result.already_decided,
            reasons=json.dumps(result.reasons, sort_keys=True),
            committed_at=now,
        )
    )


def _insert_considered(connection: Connection, run_id: str, considered: Sequence[Proposal]) -> None:
    final = [_stored(row, run_id) for row in considered if row.is_final]
    deferred = [_stored(row, run_id) for row in considered if not row.is_final]
    if final:
        first = take_numbers(connection, "state__decisions", len(final))
        connection.execute(
            insert(decisions), [{"seq": first + n, **row} for n, row in enumerate(final)]
        )
    if deferred:
        connection.execute(insert(deferrals), deferred)


def _stored(row: Proposal, run_id: str) -> dict[str, Any]:
    values = row.model_dump(exclude={"is_final", "as_of_date"})
    return {**values, "run_id": run_id, "decided_on": row.as_of_date}


def _stored_proposals(connection: Connection, run_id: str, campaign: str) -> list[Proposal]:
    found = []
    for table, is_final in ((decisions, True), (deferrals, False)):
        query = select(table).where(table.c.run_id == run_id, table.c.campaign == campaign)
        for row in connection.execute(query):
            values = dict(row._mapping)
            values = {key: values[key] for key in values if key not in ("seq", "run_id")}
            values["as_of_date"] = values.pop("decided_on")
            # Not validated: a row that was tampered with must show in the digest, not as an error.
            found.append(Proposal.model_construct(**values, is_final=is_final))
    return sorted(found, key=lambda proposal: proposal.message_id)


def is_intact(connection: Connection, run_id: str, campaign: str) -> bool:
    """Whether a frozen batch is what it was frozen as, apart from who was erased from it."""
    frozen = _frozen_result(connection, run_id, campaign)
    if frozen is None:
        return False
    scrubbed = connection.execute(
        select(batch_scrubs.c.sha256)
        .where(batch_scrubs.c.run_id == run_id, batch_scrubs.c.campaign == campaign)
        .order_by(batch_scrubs.c.erasure_id.desc())
        .limit(1)
    ).scalar_one_or_none()
    return stored_digest(connection, run_id, campaign) == (scrubbed or frozen.sha256)


def stored_digest(connection: Connection, run_id: str, campaign: str) -> str:
    """SHA-256 over the canonical rows of a batch as they are stored."""
    return digest_of(_stored_proposals(connection, run_id, campaign))


def append_events(connection: Connection, events: Sequence[MessageEvent]) -> int:
    """Append those of the events that are new, in a write transaction; how many."""
    known: set[tuple[str, object]] = set()
    ids = sorted({event.message_id for event in events})
    for start in range(0, len(ids), CHUNK):
        query = select(
            message_events.c.message_id, message_events.c.event, message_events.c.occurred_at
        ).where(message_events.c.message_id.in_(ids[start : start + CHUNK]))
        for row in connection.execute(query):
            known.add((row.message_id, _identity(row.event, row.occurred_at)))
    new = []
    for event in events:
        identity = (event.message_id, _identity(event.event, event.occurred_at))
        if identity not in known:
            known.add(identity)
            new.append(event)
    if new:
        first = take_numbers(connection, "state__message_events", len(new))
        rows = [{"seq": first + number, **vars(event)} for number, event in enumerate(new)]
        connection.execute(insert(message_events), rows)
    return len(new)


def _identity(event: str, occurred_at: datetime) -> object:
    """What makes an event the same event of its message."""
    if event in _EXITS:
        return "exit"
    return event if event in _ONCE else (event, occurred_at.astimezone(UTC))


def _exported(
    connection: Connection, brand: str, condition: ColumnElement[bool], after: datetime | None
) -> list[SentMessage]:
    query = (
        select(
            decisions.c.message_id,
            decisions.c.campaign,
            decisions.c.brand,
            decisions.c.member_key,
            decisions.c.contact_hash,
            decisions.c.channel,
            decisions.c.purpose,
            decisions.c.occasion,
            message_events.c.send_at,
            message_events.c.run_id.label("exported_by"),
        )
        .join(message_events, message_events.c.message_id == decisions.c.message_id)
        .where(decisions.c.brand == brand, condition, message_events.c.event == EXPORTED)
    )
    if after is not None:
        query = query.where(message_events.c.send_at > after)
    return [SentMessage(**dict(row._mapping)) for row in connection.execute(query)]


def _exit_counts(connection: Connection, run_id: str, campaign: str) -> tuple[int, int]:
    query = (
        select(message_events.c.event)
        .join(decisions, decisions.c.message_id == message_events.c.message_id)
        .where(
            decisions.c.run_id == run_id,
            decisions.c.campaign == campaign,
            message_events.c.event.in_(_EXITS),
        )
    )
    counts: Counter[str] = Counter(connection.execute(query).scalars())
    return counts[EXPORTED], counts[SUPPRESSED_AT_EXIT]
