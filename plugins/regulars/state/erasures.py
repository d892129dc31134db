"""Who was erased: tombstones, the audit, and what an erasure leaves of the ledger.

A tombstone names nobody. It holds a key (a 128-bit hash of a native id) or the keyed hash of a
contact: enough to know a record or a message when it comes back, not enough to tell who it was.

Everything an erasure does to recorded state is one transaction, which is its point of no return:
from then on nothing of the person is loaded or sent, and what is left to do follows from the
tombstones alone, whoever does it.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import TypeVar
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Connection, Table, func, insert, select, update

from regulars.errors import StateError
from regulars.keys import founded_member_key
from regulars.state.database import Database
from regulars.state.decisions import (
    EXPORTED,
    SUPPRESSED_AT_EXIT,
    MessageEvent,
    append_events,
    is_intact,
    stored_digest,
)
from regulars.state.migrations import ERASED_KEY, ERASED_OCCASION
from regulars.state.nights import CHUNK
from regulars.state.schema import (
    batch_scrubs,
    decisions,
    deferrals,
    erased_digests,
    erasure_audits,
    erasure_reach,
    erasures,
    message_events,
    point_redemptions,
    refusals,
    stream_heads,
    tier_grants,
    tombstones,
)
from regulars.state.streams import take_numbers

TOMBSTONES = "state__tombstones"
"""Their stream: a run manifest's head of it says which ones its night knew."""

ERASED = "erased"
"""Why a message may not leave, and what becomes of one that waits in a queue."""

_KINDS = ("customer", "member", "order", "message", "contact")


@dataclass(frozen=True)
class ErasedKeys:
    """What is known of erased persons, by kind.

    Attributes:
        customers: keys of buyers.
        members: recorded keys of members.
        orders: keys of orders.
        messages: keys of messages that a shop sent, and ids of our own.
        contacts: keyed hashes of contacts.
        head: number of the last tombstone.
    """

    customers: frozenset[UUID] = frozenset()
    members: frozenset[UUID] = frozenset()
    orders: frozenset[UUID] = frozenset()
    messages: frozenset[str] = frozenset()
    contacts: frozenset[str] = frozenset()
    head: int = 0

    def __bool__(self) -> bool:
        return bool(self.customers or self.orders or self.messages or self.contacts)

    @property
    def row_keys(self) -> frozenset[UUID]:
        """Keys by which a person's rows are found in marts."""
        return self.customers | self.members | self.orders

    def covers(self, wanted: "ErasedKeys") -> bool:
        """Whether everything of ``wanted`` is erased already."""
        return (
            wanted.customers <= self.customers
            and wanted.members <= self.members
            and wanted.orders <= self.orders
            and wanted.messages <= self.messages
            and wanted.contacts <= self.contacts
        )


@dataclass(frozen=True)
class Reach:
    """Who stays and may be another member than before, now that somebody is erased.

    Attributes:
        customers: those who were joined with the erased, or may be with each other.
        members: every key that they were or may be known under.
    """

    customers: frozenset[UUID] = frozenset()
    members: frozenset[UUID] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.customers or self.members)


@dataclass(frozen=True)
class Erasure:
    """One erasure as recorded.

    Attributes:
        route: how the person was found: ``phone``, ``email``, ``buyer_id``, ...; never the value.
        request: the reference it was asked for under (a ticket, a letter).
        requested_by: who ran it.
        counts: what was removed, per place; those of recorded state until it is finished.
        finished_at: None while something is left to do.
    """

    erasure_id: str
    route: str
    request: str
    requested_by: str
    recorded_at: datetime
    counts: Mapping[str, int] = field(default_factory=dict)
    finished_at: datetime | None = None


@dataclass(frozen=True)
class ErasedDigest:
    """What a run's marts came to after an erasure.

    Attributes:
        tombstone_head: the last tombstone that was applied.
        basis: ``rewritten`` (the person's rows were taken out of the published file; sums over
            many persons stand as they were) or ``rebuilt`` (everything was built without them).
        digest: of the whole content.
        tables: digest of each table.
    """

    run_id: str
    tombstone_head: int
    basis: str
    digest: str
    tables: Mapping[str, str]


class Erasures:
    """The tombstones of this installation."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def record(
        self,
        wanted: ErasedKeys,
        *,
        route: str,
        request: str,
        requested_by: str,
        now: datetime,
        heirs: Mapping[UUID, UUID] = MappingProxyType({}),
    ) -> Erasure:
        """Record an erasure and take the person out of the ledger, at once.

        Messages that have not left are suppressed as ``erased``; decisions keep outcome, arm and
        reason and lose who they were about. The members' own messages become tombstones, too.

        Args:
            wanted: what is to be erased; what is erased already is left out.
            route: how the person was found; never the value.
            request: reference of the request; no personal data.
            requested_by: who runs it.
            now: the present on the shops' clock (aware).
            heirs: erased customer -> a customer who was one person with them and stays: what the
                erased one refused for the person goes on being refused.

        Raises:
            StateError: the database refused; nothing was recorded.
        """
        with self._database.writing() as connection:
            number = connection.execute(select(func.count()).select_from(erasures)).scalar_one()
            erasure_id = f"erasure-{number + 1:06d}"
            at = self._clock()
            own = _own_messages(connection, wanted)
            suppressed = _suppress(connection, erasure_id, own, now)
            intact = _intact_batches(connection, wanted)
            counts = {"messages_suppressed": suppressed, **_scrub(connection, wanted, heirs)}
            connection.execute(
                insert(erasures).values(
                    erasure_id=erasure_id,
                    route=route,
                    request=request,
                    requested_by=requested_by,
                    recorded_at=at,
                    state_counts=json.dumps(counts, sort_keys=True),
                )
            )
            for run_id, campaign in intact:
                connection.execute(
                    insert(batch_scrubs).values(
                        run_id=run_id,
                        campaign=campaign,
                        erasure_id=erasure_id,
                        sha256=stored_digest(connection, run_id, campaign),
                    )
                )
            _bury(connection, erasure_id, wanted, own, at)
        return Erasure(erasure_id, route, request, requested_by, at, counts)

    def follow(self, erasure_id: str, found: ErasedKeys) -> int:
        """Add what was found later of somebody erased; how many tombstones were new."""
        with self._database.writing() as connection:
            return _bury(connection, erasure_id, found, frozenset(), self._clock())

    def keys(self, *, erasure_id: str | None = None, up_to: int | None = None) -> ErasedKeys:
        """All tombstones, or those of one erasure, or those up to a number."""
        query = select(tombstones.c.seq, tombstones.c.kind, tombstones.c.key)
        if erasure_id is not None:
            query = query.where(tombstones.c.erasure_id == erasure_id)
        if up_to is not None:
            query = query.where(tombstones.c.seq <= up_to)
        found: dict[str, list[str]] = {kind: [] for kind in _KINDS}
        head = 0
        with self._database.reading() as connection:
            for row in connection.execute(query):
                found[row.kind].append(row.key)
                head = max(head, row.seq)
        return ErasedKeys(
            customers=frozenset(map(UUID, found["customer"])),
            members=frozenset(map(UUID, found["member"])),
            orders=frozenset(map(UUID, found["order"])),
            messages=frozenset(found["message"]),
            contacts=frozenset(found["contact"]),
            head=head,
        )

    def extend_reach(self, erasure_id: str, found: Reach) -> int:
        """Add to whose membership an erasure may change; how many keys were new."""
        keys = {
            *(("customer", key) for key in found.customers),
            *(("member", key) for key in found.members),
        }
        with self._database.writing() as connection:
            known = {
                (row.kind, row.key)
                for row in connection.execute(
                    select(erasure_reach.c.kind, erasure_reach.c.key).where(
                        erasure_reach.c.erasure_id == erasure_id
                    )
                )
            }
            new = sorted(keys - known)
            if new:
                connection.execute(
                    insert(erasure_reach),
                    [{"erasure_id": erasure_id, "kind": kind, "key": key} for kind, key in new],
                )
        return len(new)

    def reach(self, erasure_id: str | None = None) -> Reach:
        """Whose membership an erasure may have changed; without an id, any of them."""
        query = select(erasure_reach.c.kind, erasure_reach.c.key)
        if erasure_id is not None:
            query = query.where(erasure_reach.c.erasure_id == erasure_id)
        found: dict[str, set[UUID]] = {"customer": set(), "member": set()}
        with self._database.reading() as connection:
            for row in connection.execute(query):
                found[row.kind].add(row.key)
        return Reach(frozenset(found["customer"]), frozenset(found["member"]))

    def contacts_among(self, hashes: Iterable[str]) -> frozenset[str]:
        """Those of the contacts, by keyed hash, whose owners were erased."""
        found: set[str] = set()
        with self._database.reading() as connection:
            for some in _chunks(sorted(hashes)):
                query = select(tombstones.c.key).where(
                    tombstones.c.kind == "contact", tombstones.c.key.in_(some)
                )
                found.update(connection.execute(query).scalars())
        return frozenset(found)

    def head(self) -> int:
        """Number of the last tombstone; 0 when nobody was erased."""
        query = select(stream_heads.c.head).where(stream_heads.c.stream == TOMBSTONES)
        with self._database.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def erasure_of(self, kind: str, key: str) -> str | None:
        """The erasure that a tombstone belongs to; None when there is no such tombstone."""
        query = select(tombstones.c.erasure_id).where(
            tombstones.c.kind == kind, tombstones.c.key == key
        )
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one_or_none()

    def get(self, erasure_id: str) -> Erasure:
        """One erasure.

        Raises:
            StateError: none has this id.
        """
        found = next((one for one in self.all() if one.erasure_id == erasure_id), None)
        if found is None:
            raise StateError(
                f"there is no erasure {erasure_id}",
                where=self._database.place,
                next_step="restore the state store from a backup: tombstones name their erasure",
            )
        return found

    def all(self) -> list[Erasure]:
        """Every erasure, oldest first."""
        query = select(erasures, erasure_audits.c.counts, erasure_audits.c.finished_at)
        query = query.outerjoin(
            erasure_audits, erasure_audits.c.erasure_id == erasures.c.erasure_id
        ).order_by(erasures.c.erasure_id)
        with self._database.reading() as connection:
            return [
                Erasure(
                    row.erasure_id,
                    row.route,
                    row.request,
                    row.requested_by,
                    row.recorded_at,
                    json.loads(row.counts or row.state_counts),
                    row.finished_at,
                )
                for row in connection.execute(query)
            ]

    def unfinished(self) -> list[Erasure]:
        """Erasures that were recorded and not carried out to their end, oldest first."""
        return [one for one in self.all() if one.finished_at is None]

    def finish(self, erasure_id: str, counts: Mapping[str, int]) -> Erasure:
        """Write the audit; a second one changes nothing.

        Raises:
            StateError: there is no such erasure.
        """
        known = self.get(erasure_id)
        if known.finished_at is not None:
            return known
        whole = {**known.counts, **counts}
        at = self._clock()
        with self._database.writing() as connection:
            connection.execute(
                insert(erasure_audits).values(
                    erasure_id=erasure_id,
                    counts=json.dumps(whole, sort_keys=True),
                    finished_at=at,
                )
            )
        return Erasure(
            erasure_id,
            known.route,
            known.request,
            known.requested_by,
            known.recorded_at,
            whole,
            at,
        )

    def record_digest(self, found: ErasedDigest) -> None:
        """Record what a run's marts came to; the first record of a run, head and basis stays."""
        with self._database.writing() as connection:
            known = connection.execute(
                select(erased_digests.c.digest).where(
                    erased_digests.c.run_id == found.run_id,
                    erased_digests.c.tombstone_head == found.tombstone_head,
                    erased_digests.c.basis == found.basis,
                )
            ).one_or_none()
            if known is None:
                connection.execute(
                    insert(erased_digests).values(
                        run_id=found.run_id,
                        tombstone_head=found.tombstone_head,
                        basis=found.basis,
                        digest=found.digest,
                        tables=json.dumps(dict(found.tables), sort_keys=True),
                        recorded_at=self._clock(),
                    )
                )

    def digests_of(self, run_id: str) -> list[ErasedDigest]:
        """What was recorded of a run's marts, newest tombstones first, rebuilt before rewritten."""
        query = (
            select(erased_digests)
            .where(erased_digests.c.run_id == run_id)
            .order_by(erased_digests.c.tombstone_head.desc(), erased_digests.c.basis)
        )
        with self._database.reading() as connection:
            return [
                ErasedDigest(
                    row.run_id, row.tombstone_head, row.basis, row.digest, json.loads(row.tables)
                )
                for row in connection.execute(query)
            ]


def _own_messages(connection: Connection, wanted: ErasedKeys) -> frozenset[str]:
    """Ids of the messages that were ever considered for the person, as long as that is known."""
    found: set[str] = set()
    for table in (decisions, deferrals):
        for condition in _about(table, wanted):
            found.update(connection.execute(select(table.c.message_id).where(condition)).scalars())
    return frozenset(found)


def _about(table: Table, wanted: ErasedKeys) -> Iterator[ColumnElement[bool]]:
    for column, keys in (
        (table.c.member_key, sorted(wanted.members)),
        (table.c.customer_key, sorted(wanted.customers)),
    ):
        for start in range(0, len(keys), CHUNK):
            yield column.in_(keys[start : start + CHUNK])


def _suppress(
    connection: Connection, erasure_id: str, message_ids: frozenset[str], now: datetime
) -> int:
    """Keep back what has not left; how many."""
    exits = (EXPORTED, SUPPRESSED_AT_EXIT)
    waiting: set[str] = set()
    for ids in _chunks(sorted(message_ids)):
        left = select(message_events.c.message_id).where(
            message_events.c.message_id.in_(ids), message_events.c.event.in_(exits)
        )
        query = select(decisions.c.message_id).where(
            decisions.c.message_id.in_(ids),
            decisions.c.outcome == "send",
            decisions.c.message_id.not_in(left),
        )
        waiting.update(connection.execute(query).scalars())
    return append_events(
        connection,
        [
            MessageEvent(id_, SUPPRESSED_AT_EXIT, now, erasure_id, reason=ERASED)
            for id_ in sorted(waiting)
        ],
    )


def erased_among(connection: Connection, customer_keys: Collection[UUID]) -> bool:
    """Whether somebody of these customers was erased, as the open transaction sees it."""
    keys = sorted(map(str, customer_keys))
    query = select(func.count()).where(tombstones.c.kind == "customer", tombstones.c.key.in_(keys))
    return connection.execute(query).scalar_one() > 0


def _scrub(
    connection: Connection, wanted: ErasedKeys, heirs: Mapping[UUID, UUID]
) -> dict[str, int]:
    """Take the person out of what names them in recorded state; rows changed, per table."""
    nobody = UUID(ERASED_KEY)
    counts = {}
    for table in (decisions, deferrals):
        counts[f"{table.name}_scrubbed"] = sum(
            connection.execute(
                update(table)
                .where(condition)
                .values(
                    member_key=nobody,
                    customer_key=nobody,
                    occasion=ERASED_OCCASION,
                    contact_ref=None,
                    contact_hash=None,
                )
            ).rowcount
            for condition in _about(table, wanted)
        )
    for table in (tier_grants, point_redemptions):
        counts[f"{table.name}_scrubbed"] = sum(
            connection.execute(
                update(table).where(condition).values(member_key=nobody, customer_key=nobody)
            ).rowcount
            for condition in _about(table, wanted)
        )
    counts["refusals_scrubbed"] = 0
    founders = {founded_member_key(key): key for key in wanted.customers}
    for keys in _chunks(sorted(wanted.members)):
        query = select(
            refusals.c.seq, refusals.c.kind, refusals.c.member_key, refusals.c.customer_key
        ).where(refusals.c.member_key.in_(keys))
        for row in connection.execute(query).all():
            # Who founded the key is who spoke; whoever is named beside may be another by now.
            speaker = founders.get(row.member_key, row.customer_key)
            heir = heirs.get(speaker) if speaker in wanted.customers else speaker
            # A key of its own, so that no two rows become the same refusal.
            connection.execute(
                update(refusals)
                .where(refusals.c.seq == row.seq)
                .values(member_key=uuid4(), customer_key=heir if row.kind == "refusal" else None)
            )
            counts["refusals_scrubbed"] += 1
    counts["refusals_scrubbed"] += _hand_down(connection, wanted, heirs)
    return counts


def _hand_down(connection: Connection, wanted: ErasedKeys, heirs: Mapping[UUID, UUID]) -> int:
    """Let refusals that name an erased customer name one who stays, if any; rows changed.

    A consent is nobody else's: whoever followed it would be written to at a contact of their own.
    """
    gone = sorted(wanted.customers)
    count = 0
    for customers in _chunks(gone):
        founded = {founded_member_key(key): key for key in customers if key in heirs}
        rows = connection.execute(
            select(
                refusals.c.seq, refusals.c.kind, refusals.c.member_key, refusals.c.customer_key
            ).where(
                refusals.c.customer_key.in_(customers)
                | (refusals.c.customer_key.is_(None) & refusals.c.member_key.in_(sorted(founded)))
            )
        ).all()
        for row in rows:
            named = row.customer_key or founded[row.member_key]
            connection.execute(
                update(refusals)
                .where(refusals.c.seq == row.seq)
                .values(customer_key=heirs.get(named) if row.kind == "refusal" else None)
            )
        count += len(rows)
    return count


def _intact_batches(connection: Connection, wanted: ErasedKeys) -> list[tuple[str, str]]:
    """Frozen batches that the person stands in and that nobody has tampered with, sorted."""
    found: set[tuple[str, str]] = set()
    for table in (decisions, deferrals):
        for condition in _about(table, wanted):
            query = select(table.c.run_id, table.c.campaign).where(condition).distinct()
            found.update((row.run_id, row.campaign) for row in connection.execute(query))
    return sorted(batch for batch in found if is_intact(connection, *batch))


def _bury(
    connection: Connection,
    erasure_id: str,
    wanted: ErasedKeys,
    own_messages: frozenset[str],
    at: datetime,
) -> int:
    """Append the tombstones that do not stand yet; how many."""
    keys = {
        *(("customer", str(key)) for key in wanted.customers),
        *(("member", str(key)) for key in wanted.members),
        *(("order", str(key)) for key in wanted.orders),
        *(("message", key) for key in wanted.messages | own_messages),
        *(("contact", key) for key in wanted.contacts),
    }
    new: list[tuple[str, str]] = []
    for kind in _KINDS:
        mine = sorted(key for found, key in keys if found == kind)
        for some in _chunks(mine):
            query = select(tombstones.c.key).where(
                tombstones.c.kind == kind, tombstones.c.key.in_(some)
            )
            known: set[str] = set(connection.execute(query).scalars())
            new += [(kind, key) for key in some if key not in known]
    if new:
        first = take_numbers(connection, TOMBSTONES, len(new))
        connection.execute(
            insert(tombstones),
            [
                {
                    "seq": first + number,
                    "erasure_id": erasure_id,
                    "kind": kind,
                    "key": key,
                    "recorded_at": at,
                }
                for number, (kind, key) in enumerate(new)
            ],
        )
    return len(new)


_Key = TypeVar("_Key", str, UUID)


def _chunks(keys: list[_Key]) -> Iterator[list[_Key]]:
    for start in range(0, len(keys), CHUNK):
        yield keys[start : start + CHUNK]
