"""Who is one person and who is two, as decided by hand: the last decision about a pair holds."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, insert, select

from regulars.errors import StateError
from regulars.state.database import Database
from regulars.state.schema import identity_decisions
from regulars.state.streams import take_numbers

MERGE = "merge"
SPLIT = "split"
UNDO = "undo"
KINDS = (MERGE, SPLIT, UNDO)

Pair = tuple[UUID, UUID]
"""Two customer keys, the lesser one first."""


@dataclass(frozen=True)
class IdentityDecision:
    """One decision about two customers of a brand.

    Attributes:
        customer_key: the lesser key of the two.
        other_customer_key: the greater one.
        kind: ``merge`` (one person), ``split`` (two, whatever they share) or ``undo`` (what was
            decided before holds no longer; the rules decide again).
        decided_at: when (UTC).
        decided_by: who.
        evidence: where it can be seen (a ticket, a form); never a contact.
    """

    brand: str
    customer_key: UUID
    other_customer_key: UUID
    kind: str
    decided_at: datetime
    decided_by: str
    evidence: str


def pair_of(one: UUID, other: UUID) -> Pair:
    """The two keys in the order in which they are recorded."""
    return (one, other) if one.int < other.int else (other, one)


class IdentityDecisions:
    """All decisions, append-only. An order of decisions about one pair is the order of ``seq``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, decision: IdentityDecision) -> bool:
        """Append a decision; False when the last one about the pair says the same.

        Raises:
            StateError: the pair is one customer or not in order, the kind is none, there is
                nothing to undo, or it contradicts what else was decided: who was merged by hand,
                over others as well, cannot be split, and the other way round.
        """
        if decision.kind not in KINDS:
            raise StateError(
                f"a decision about identity is no {decision.kind!r}",
                where=f"brand {decision.brand}",
                next_step=f"use one of {', '.join(KINDS)}",
            )
        if decision.customer_key.int >= decision.other_customer_key.int:
            raise StateError(
                "a decision about identity names two customers, the lesser key first",
                where=f"brand {decision.brand}",
                next_step="name two different customers",
            )
        pair = (decision.customer_key, decision.other_customer_key)
        with self._database.writing() as connection:
            last = _last(connection, decision.brand)
            if last.get(pair, UNDO) == decision.kind:
                if decision.kind == UNDO:
                    raise StateError(
                        "nothing is decided about the two",
                        where=f"brand {decision.brand}",
                        next_step="see `regulars members decisions`",
                    )
                return False
            last[pair] = decision.kind
            _require_consistent(decision, last)
            seq = take_numbers(connection, "state__identity_decisions", 1)
            connection.execute(insert(identity_decisions), [{"seq": seq, **vars(decision)}])
            return True

    def all(self) -> list[IdentityDecision]:
        """Every decision, oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(select(identity_decisions).order_by(identity_decisions.c.seq))
            found = []
            for row in rows:
                columns = dict(row._mapping)
                columns.pop("seq")
                found.append(IdentityDecision(**columns))
            return found


def _last(connection: Connection, brand: str) -> dict[Pair, str]:
    """What holds of each pair."""
    table = identity_decisions.c
    rows = connection.execute(
        select(table.customer_key, table.other_customer_key, table.kind)
        .where(table.brand == brand)
        .order_by(table.seq)
    )
    return {(row.customer_key, row.other_customer_key): row.kind for row in rows}


def _require_consistent(decision: IdentityDecision, last: dict[Pair, str]) -> None:
    """Refuse a decision after which somebody is both one person and two."""
    merged: dict[UUID, UUID] = {}

    def root(key: UUID) -> UUID:
        while merged.get(key, key) != key:
            key = merged[key]
        return key

    for (one, other), kind in last.items():
        if kind == MERGE:
            merged[root(one)] = root(other)
    for (one, other), kind in last.items():
        if kind == SPLIT and root(one) == root(other):
            raise StateError(
                "somebody would be one person and two: "
                f"{one} and {other} are split, and merged by hand over others",
                where=f"brand {decision.brand}",
                next_step="undo one of them first; `regulars members decisions` lists them",
            )
