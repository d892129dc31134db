"""Tiers granted and points redeemed: promises to members, recorded once and never taken back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, insert, select

from regulars.errors import StateError
from regulars.state.database import Database
from regulars.state.erasures import erased_among
from regulars.state.nights import CHUNK
from regulars.state.schema import point_redemptions, tier_grants
from regulars.state.streams import take_numbers

REASONS = ("upgrade", "renew", "downgrade_at_expiry", "switch", "manual")
"""Why a tier is granted, as the tier model says it; ``manual`` is a person's word."""


@dataclass(frozen=True)
class TierGrant:
    """One tier given to one member.

    Attributes:
        grant_id: the same decision has the same id, whoever records it again.
        run_id: the night that decided it, or ``manual``.
        member_key: the member as known then.
        customer_key: a customer of that member, found when the one who founded its key is gone.
        program: code of the tier program, whose number ``level`` is.
        previous_level: level before; 0 for none.
        decided_on: first business date it holds for.
        valid_until: last business date; None for as long as nothing else is granted.
        evidence: what it rests on; no personal data.
    """

    grant_id: str
    run_id: str
    brand: str
    member_key: UUID
    customer_key: UUID
    program: str
    tier: str
    level: int
    previous_level: int
    reason: str
    decided_on: date
    valid_until: date | None
    evidence: str


class TierGrants:
    """All grants, append-only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, grants: Iterable[TierGrant]) -> int:
        """Append grants; one that is recorded stays as it is.

        Returns:
            How many were new.

        Raises:
            StateError: a grant has an unknown reason, or goes down although the tier it replaces
                was neither at its end nor taken by hand.
        """
        wanted = {grant.grant_id: grant for grant in grants}
        for grant in wanted.values():
            _check(grant)
        with self._database.writing() as connection:
            known: set[str] = set()
            ids = sorted(wanted)
            for start in range(0, len(ids), CHUNK):
                query = select(tier_grants.c.grant_id).where(
                    tier_grants.c.grant_id.in_(ids[start : start + CHUNK])
                )
                known.update(connection.execute(query).scalars())
            new = [vars(wanted[id_]) for id_ in ids if id_ not in known]
            if new:
                first = take_numbers(connection, "state__tier_grants", len(new))
                connection.execute(
                    insert(tier_grants), [{"seq": first + n, **row} for n, row in enumerate(new)]
                )
        return len(new)

    def of_customers(self, customer_keys: Sequence[UUID]) -> list[TierGrant]:
        """Grants anchored at these customers, in the order of recording."""
        keys = sorted(set(customer_keys))
        columns = [column for column in tier_grants.c if column.name != "seq"]
        query = (
            select(*columns).where(tier_grants.c.customer_key.in_(keys)).order_by(tier_grants.c.seq)
        )
        with self._database.reading() as connection:
            return [TierGrant(**dict(row._mapping)) for row in connection.execute(query)]


def _check(grant: TierGrant) -> None:
    complaint = ""
    if grant.reason not in REASONS:
        complaint = f"a tier is not granted for the reason {grant.reason!r}"
    elif grant.level < grant.previous_level and grant.reason not in (
        "downgrade_at_expiry",
        "manual",
    ):
        complaint = f"{grant.reason} would take a member down"
    elif grant.reason == "downgrade_at_expiry" and grant.level != grant.previous_level - 1:
        complaint = "a tier falls by one level, no more"
    if complaint:
        raise StateError(
            complaint,
            where=f"{grant.run_id} grant {grant.grant_id}",
            next_step="correct mart_member_tiers, which proposes it; nothing was recorded",
        )


@dataclass(frozen=True)
class PointRedemption:
    """One gift taken for points.

    Attributes:
        redemption_id: id of the request; the same one is honoured once.
        member_key, customer_key: as in :class:`TierGrant`.
        gift: code of the catalogue.
        point_count: points it took.
        rule: rule of points in force.
        redeemed_at: on the shops' clock (UTC).
        evidence: who asked and where; no personal data.
    """

    redemption_id: str
    brand: str
    member_key: UUID
    customer_key: UUID
    gift: str
    point_count: int
    rule: str
    redeemed_at: datetime
    evidence: str


class PointRedemptions:
    """All redemptions, append-only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, redemption_id: str) -> PointRedemption | None:
        """The redemption of a request; None when it was never honoured."""
        query = _columns().where(point_redemptions.c.redemption_id == redemption_id)
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else PointRedemption(**dict(row._mapping))

    def redeem(
        self,
        wanted: PointRedemption,
        *,
        customer_keys: Sequence[UUID],
        available: int,
        stock: int | None,
        since: datetime,
    ) -> bool:
        """Record a redemption if the account and the stock bear it; False if it stood already.

        The check and the record are one transaction, and writers come one at a time: two requests
        at once cannot spend the same points or the last gift.

        Args:
            wanted: the redemption.
            customer_keys: all customers of the member.
            available: points of the publication that stand at ``wanted.redeemed_at``.
            stock: gifts of the kind there ever were; None for no limit.
            since: end of the business date that ``available`` is as of (UTC, aware); what was
                redeemed from then on is taken off.

        Raises:
            StateError: too few points, no gift left, another request has this id, or the member
                was erased.
        """
        with self._database.writing() as connection:
            found = connection.execute(
                _columns().where(point_redemptions.c.redemption_id == wanted.redemption_id)
            ).one_or_none()
            if found is not None:
                known = PointRedemption(**dict(found._mapping))
                same = (known.brand, known.customer_key, known.gift)
                if same != (wanted.brand, wanted.customer_key, wanted.gift):
                    raise _refused(wanted, "another redemption has this id")
                return False
            asking = {wanted.customer_key, *customer_keys}
            if erased_among(connection, asking):
                # Published files still name who was erased for some minutes.
                raise _refused(wanted, "no such buyer has been published")
            spent: int = connection.execute(
                select(func.coalesce(func.sum(point_redemptions.c.point_count), 0)).where(
                    point_redemptions.c.customer_key.in_(sorted(asking)),
                    point_redemptions.c.brand == wanted.brand,
                    point_redemptions.c.redeemed_at >= since,
                )
            ).scalar_one()
            left = max(available - int(spent), 0)
            if wanted.point_count > left:
                raise _refused(
                    wanted, f"{wanted.gift} takes {wanted.point_count} points, {left} are available"
                )
            if stock is not None:
                taken = connection.execute(
                    select(func.count())
                    .select_from(point_redemptions)
                    .where(
                        point_redemptions.c.brand == wanted.brand,
                        point_redemptions.c.gift == wanted.gift,
                    )
                ).scalar_one()
                if taken >= stock:
                    raise _refused(wanted, f"all {stock} of {wanted.gift} are taken")
            seq = take_numbers(connection, "state__point_redemptions", 1)
            connection.execute(insert(point_redemptions).values(seq=seq, **vars(wanted)))
        return True


def _columns() -> Select[Any]:
    return select(*(column for column in point_redemptions.c if column.name != "seq"))


def _refused(wanted: PointRedemption, why: str) -> StateError:
    return StateError(
        why,
        where=f"redemption {wanted.redemption_id}",
        next_step="nothing was taken; tell whoever asked",
    )
