"""Refusals and consents, recorded for good: the newest word of a contact or a member counts."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, insert, select

from regulars.errors import StateError
from regulars.state.database import Database
from regulars.state.nights import CHUNK
from regulars.state.schema import refusals
from regulars.state.streams import take_numbers

EVERY_CHANNEL = "all"


@dataclass(frozen=True)
class ConsentRecord:
    """One refusal or consent.

    Attributes:
        contact_hash: keyed hash of the contact that spoke, or None.
        member_key: the member that spoke, or None; one of the two must stand. It is the key that
            the customer who spoke founds: what is recorded follows that customer.
        channel: ``sms``, ``email``, ... or ``all``.
        kind: ``refusal`` or ``consent``.
        occurred_at: when it was said (UTC).
        evidence: where it can be seen (a receipt id, a form); never the contact itself.
        customer_key: a customer of the member, who is followed when the one who founded its key is
            gone; None when none is known. It is no part of what makes two records the same.
    """

    brand: str
    contact_hash: str | None
    member_key: UUID | None
    channel: str
    kind: str
    occurred_at: datetime
    evidence: str
    customer_key: UUID | None = None


class ConsentLedger:
    """All refusals and consents, append-only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, records: Iterable[ConsentRecord]) -> int:
        """Append records; the same one again changes nothing.

        Returns:
            How many were new.

        Raises:
            StateError: a record names neither contact nor member, or has another kind.
        """
        wanted = list(records)
        for record in wanted:
            if record.kind not in ("refusal", "consent") or (
                record.contact_hash is None and record.member_key is None
            ):
                raise StateError(
                    "a consent record needs kind refusal or consent, and a contact or a member",
                    where=f"brand {record.brand}, channel {record.channel}",
                    next_step="correct what records it",
                )
        with self._database.writing() as connection:
            known = {
                _identity(record)
                for brand in sorted({record.brand for record in wanted})
                for record in _about(
                    connection,
                    brand,
                    [row.member_key for row in wanted if row.member_key is not None],
                    [row.contact_hash for row in wanted if row.contact_hash is not None],
                )
            }
            new: dict[tuple[object, ...], ConsentRecord] = {}
            for record in wanted:
                if _identity(record) not in known:
                    new.setdefault(_identity(record), record)
            rows = [vars(record) for record in new.values()]
            if rows:
                first = take_numbers(connection, "state__refusals", len(rows))
                connection.execute(
                    insert(refusals), [{"seq": first + n, **row} for n, row in enumerate(rows)]
                )
            return len(rows)

    def taken_back(
        self, grants: Iterable[ConsentRecord], identity: Mapping[UUID, UUID] = MappingProxyType({})
    ) -> list[ConsentRecord]:
        """Those of ``grants`` that are newer than a recorded refusal of their person or contact.

        Said in the same instant, the refusal stands.

        Args:
            grants: consents.
            identity: recorded member key -> today's, for those that differ: a person may have
                refused under another key than it consents under.
        """
        keys_of: dict[UUID, set[UUID]] = defaultdict(set)
        for recorded, today in identity.items():
            keys_of[today] |= {recorded, today}
        found = []
        for brand, some in _by_brand(grants).items():
            keys = {grant.member_key for grant in some if grant.member_key is not None}
            people = {identity.get(key, key) for key in keys}
            refused_at: dict[object, list[tuple[str, datetime]]] = defaultdict(list)
            for word in self.about(
                brand,
                [key for person in people for key in keys_of.get(person, {person})],
                [grant.contact_hash for grant in some if grant.contact_hash is not None],
            ):
                if word.kind == "refusal":
                    for speaker in _speakers(word, identity):
                        refused_at[speaker].append((word.channel, word.occurred_at))
            found += [
                grant
                for grant in some
                if any(
                    channel in (grant.channel, EVERY_CHANNEL) and at < grant.occurred_at
                    for speaker in _speakers(grant, identity)
                    for channel, at in refused_at[speaker]
                )
            ]
        return found

    def about(
        self, brand: str, member_keys: Iterable[UUID], contact_hashes: Iterable[str]
    ) -> list[ConsentRecord]:
        """Everything ``brand`` recorded about these members and contacts, oldest record first."""
        with self._database.reading() as connection:
            return _about(connection, brand, list(member_keys), list(contact_hashes))


def _by_brand(records: Iterable[ConsentRecord]) -> dict[str, list[ConsentRecord]]:
    found: dict[str, list[ConsentRecord]] = defaultdict(list)
    for record in records:
        found[record.brand].append(record)
    return found


def _speakers(record: ConsentRecord, identity: Mapping[UUID, UUID]) -> list[UUID | str]:
    """Today's member and the contact of a record, as far as it names them."""
    speakers: list[UUID | str] = []
    if record.member_key is not None:
        speakers.append(identity.get(record.member_key, record.member_key))
    if record.contact_hash is not None:
        speakers.append(record.contact_hash)
    return speakers


def _identity(record: ConsentRecord) -> tuple[object, ...]:
    return (
        record.brand,
        record.contact_hash,
        record.member_key,
        record.channel,
        record.kind,
        record.occurred_at.astimezone(UTC),
    )


def _about(
    connection: Connection, brand: str, member_keys: list[UUID], contact_hashes: list[str]
) -> list[ConsentRecord]:
    found: dict[int, ConsentRecord] = {}
    for column, values in (
        (refusals.c.member_key, sorted(set(member_keys))),
        (refusals.c.contact_hash, sorted(set(contact_hashes))),
    ):
        for start in range(0, len(values), CHUNK):
            condition: ColumnElement[bool] = column.in_(values[start : start + CHUNK])
            for row in connection.execute(
                select(refusals).where(refusals.c.brand == brand, condition)
            ):
                columns = dict(row._mapping)
                seq = columns.pop("seq")
                found[seq] = ConsentRecord(**columns)
    return [found[seq] for seq in sorted(found)]
