"""Who is one person: what joined customers to a member, and decisions about it by hand.

A decision is recorded and nothing else happens: the next night builds what follows from it.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from regulars.clock import clock_for
from regulars.errors import StateError
from regulars.keys import shop_key
from regulars.settings import Settings
from regulars.shops import load_shops
from regulars.state import IdentityDecision, StateStore
from regulars.state.identity import pair_of
from regulars.vault.contacts import holds_contact
from regulars.warehouse.read import query_published

Rows = tuple[list[str], list[tuple[Any, ...]]]
"""Names of columns, and rows."""


@dataclass(frozen=True)
class NamedCustomer:
    """A customer as a person names it.

    Attributes:
        name: ``SHOP:BUYER``.
        brand: brand of the shop.
        key: customer key.
    """

    name: str
    brand: str
    key: UUID


def find_customer(settings: Settings, name: str) -> NamedCustomer:
    """The customer ``SHOP:BUYER``, with the buyer's id as the shop's records have it.

    Raises:
        ConfigError: there is no such shop.
        StateError: the name is malformed, or the published marts know no such customer.
    """
    code, _, buyer = name.partition(":")
    if not (code and buyer):
        raise StateError(
            "a customer is named as SHOP:BUYER",
            where="the command line",
            next_step="give the shop's code of config/shops.yml and the buyer's id at that shop",
        )
    shop = load_shops(settings.shops_path).shop(code)
    key = shop_key(shop.brand, shop.platform, shop.shop, buyer)
    _, rows = query_published(
        settings, f"select 1 from dim_member_identities where customer_key = '{key}'"
    )
    if not rows:
        raise StateError(
            f"the published marts know no such customer of {code}",
            where="dim_member_identities",
            next_step="check shop and buyer id, or run the night that takes the customer in",
        )
    return NamedCustomer(name, shop.brand, key)


def decide(
    settings: Settings, kind: str, one: str, other: str, *, evidence: str, decided_by: str
) -> str:
    """Record that two customers are one person (``merge``), two (``split``), or neither (``undo``).

    Args:
        settings: where recorded state and the published marts are.
        kind: what is decided.
        one: ``SHOP:BUYER``.
        other: the other customer, of the same brand.
        evidence: where the reason can be seen; no personal data.
        decided_by: who decides.

    Returns:
        A line for whoever decided.

    Raises:
        StateError: somebody is unknown, of another brand or the same customer, the evidence is
            missing or holds a contact, or the decision contradicts what was decided before.
    """
    if not evidence.strip() or holds_contact(evidence):
        raise StateError(
            "a decision needs the reference of its reason, without personal data",
            where="--evidence",
            next_step="give a ticket number or the date of a letter",
        )
    found = [find_customer(settings, name) for name in (one, other)]
    if len({customer.brand for customer in found}) > 1:
        raise StateError(
            "the two belong to different brands",
            where=f"{one.partition(':')[0]} and {other.partition(':')[0]}",
            next_step="leave it: identity never crosses a brand",
        )
    pair = pair_of(found[0].key, found[1].key)
    is_new = StateStore(settings.resolved_state_url).identity.record(
        IdentityDecision(
            brand=found[0].brand,
            customer_key=pair[0],
            other_customer_key=pair[1],
            kind=kind,
            decided_at=clock_for(settings.clock_url).now(),
            decided_by=decided_by,
            evidence=evidence.strip(),
        )
    )
    if not is_new:
        return "that is decided already"
    return "recorded; the next night builds what follows from it"


def customers_of(settings: Settings, who: str) -> Rows:
    """The customers of a member (``SHOP:BUYER`` or a member key), in the order of their records.

    Raises:
        StateError: nobody is known by it.
    """
    member = _member_key(settings, who)
    return query_published(
        settings,
        "select customers.shop, customers.buyer_id, identities.evidence, "
        "identities.first_recorded_at, identities.customer_key, identities.founded_member_key, "
        "identities.member_key "
        "from dim_member_identities as identities inner join dim_customers as customers "
        "on identities.customer_key = customers.customer_key "
        f"where identities.member_key = '{member}' order by 4, 5",
    )


def links_of(settings: Settings, who: str) -> Rows:
    """What the customers of a member share with others, used or not: see dim_member_links.

    Raises:
        StateError: nobody is known by it.
    """
    member = _member_key(settings, who)
    return query_published(
        settings,
        "select customers.shop, customers.buyer_id, links.identifier_type, links.customer_count, "
        "coalesce(links.unused_reason, 'joins') as verdict, links.first_seen_at, links._batch_id, "
        "links._line, links.identifier_key "
        "from dim_member_links as links inner join dim_customers as customers "
        "on links.customer_key = customers.customer_key "
        f"where links.member_key = '{member}' "
        "order by links.identifier_type, links.identifier_key, customers.shop, customers.buyer_id",
    )


def put_aside(settings: Settings) -> Rows:
    """Identifiers that join nobody although several have them, the most shared ones first."""
    return query_published(
        settings,
        "select brand, identifier_type, identifier_key, customer_count, unused_reason, "
        "count(*) as unused_by, min(first_seen_at) as first_seen_at "
        "from dim_member_links where not is_used "
        "group by all order by customer_count desc, identifier_key, unused_reason",
    )


def decisions(settings: Settings) -> Rows:
    """Every decision, oldest first."""
    rows = [
        (row.decided_at, row.kind, row.brand, row.customer_key, row.other_customer_key,
         row.decided_by, row.evidence)
        for row in StateStore(settings.resolved_state_url).identity.all()
    ]  # fmt: skip
    names = ["decided_at", "kind", "brand", "customer_key", "other_customer_key", "by", "evidence"]
    return names, [tuple(row) for row in rows]


def _member_key(settings: Settings, who: str) -> UUID:
    if ":" in who:
        key = find_customer(settings, who).key
        condition = f"customer_key = '{key}'"
    else:
        try:
            condition = f"member_key = '{UUID(who)}' or founded_member_key = '{UUID(who)}'"
        except ValueError:
            raise StateError(
                "that is neither SHOP:BUYER nor a member key",
                where="the command line",
                next_step="give a shop's code and a buyer's id, or a key of dim_members",
            ) from None
    # A key that was retired by a merge leads to the member that it became.
    _, rows = query_published(
        settings, f"select member_key from dim_member_identities where {condition} limit 1"
    )
    if not rows:
        raise StateError(
            "no member is known by that key",
            where="dim_member_identities",
            next_step='see `regulars query "select member_key from dim_members"`',
        )
    member: UUID = rows[0][0]
    return member
