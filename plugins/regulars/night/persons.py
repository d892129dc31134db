"""Finding a person: which customers, orders, messages and contacts are theirs.

Landing is what is searched, because it is complete whatever became of the warehouse: each record
names a buyer, an order or a message, and carries contacts as keyed hashes.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from uuid import UUID

from regulars.errors import ErasureError
from regulars.keys import founded_member_key, shop_key
from regulars.landing import list_batches
from regulars.landing.persons import Mention, iter_mentions
from regulars.records import BatchManifest
from regulars.settings import Settings
from regulars.state import ErasedKeys, StateStore
from regulars.vault import Vault

Place = tuple[str, str, str]
"""Brand, platform and shop."""

Native = tuple[Place, str]
"""A native id at a shop."""

Mentions = Callable[[], Iterable[Mention]]
"""Gives every landed record, from the first; it is called more than once."""


@dataclass(frozen=True)
class Wanted:
    """What somebody who asks to be erased is known by. ``repr`` shows no contact.

    Attributes:
        contacts: keyed hashes of the contacts given.
        plain: the contacts themselves, for what is sealed.
        buyers, orders: (shop code, native id).
        members, customers: keys.
    """

    contacts: frozenset[str] = frozenset()
    plain: frozenset[str] = field(default=frozenset(), repr=False)
    buyers: frozenset[tuple[str, str]] = frozenset()
    orders: frozenset[tuple[str, str]] = frozenset()
    members: frozenset[UUID] = frozenset()
    customers: frozenset[UUID] = frozenset()


@dataclass(frozen=True)
class Person:
    """What was found.

    Attributes:
        customers: the buyers, sorted; the command names them, a log does not.
        keys: what their tombstones will hold.
        shared_contacts: contacts of theirs that stay, because others have them as well.
        record_count: landed records that are theirs.
    """

    customers: tuple[Native, ...]
    keys: ErasedKeys
    shared_contacts: int
    record_count: int


def place_of(mention: Mention) -> Place:
    """Where a record belongs."""
    return mention.batch.brand, mention.batch.platform, mention.batch.shop


@lru_cache(maxsize=200_000)
def key_of(place: Place, native_id: str) -> UUID:
    """Key of a native id."""
    return shop_key(*place, native_id)


def find_person(
    mentions: Mentions,
    wanted: Wanted,
    *,
    bridge: Mapping[UUID, UUID],
    erased: ErasedKeys,
    has_contacts: bool,
) -> Person:
    """Everything in landing that belongs to whoever ``wanted`` names.

    Args:
        mentions: landing.
        wanted: who.
        bridge: customer key -> member key, as published; a customer that it does not know is the
            member that they found.
        erased: what is erased already; contacts shared with nobody but erased persons are free.
        has_contacts: whether the vault holds one of the contacts, known to landing or not.

    Raises:
        ErasureError: nobody is known by it; names the way it was looked for, never the value.
    """
    members = defaultdict(set)
    for customer, member in bridge.items():
        members[member].add(customer)
    customers = _find_customers(mentions, wanted, members)
    keys = {key_of(*native) for native in customers}
    orders, messages = _find_owned(mentions, keys, wanted)
    if not (customers or orders or has_contacts):
        raise ErasureError(
            "nobody is known by that",
            where="landing and vault",
            next_step="check shop and spelling (a buyer id is given as SHOP:ID); nothing was "
            "changed",
        )
    own = ErasedKeys(customers=frozenset(keys), orders=orders, messages=messages)
    contacts, record_count = _contacts_of(mentions, own)
    used = _used_by_others(mentions, contacts - wanted.contacts, _with(own, erased))
    gone = keys | erased.customers
    founded = {founded_member_key(key) for key in keys}
    theirs = founded | {bridge[key] for key in keys if key in bridge}
    return Person(
        customers=tuple(sorted(customers)),
        keys=ErasedKeys(
            customers=own.customers,
            members=frozenset(key for key in theirs if members[key] <= gone),
            orders=orders,
            messages=messages,
            contacts=frozenset(contacts - used) | wanted.contacts,
        ),
        shared_contacts=len(used),
        record_count=record_count,
    )


def _with(own: ErasedKeys, erased: ErasedKeys) -> ErasedKeys:
    return ErasedKeys(
        customers=own.customers | erased.customers,
        orders=own.orders | erased.orders,
        messages=own.messages | erased.messages,
    )


def _find_customers(
    mentions: Mentions, wanted: Wanted, members: Mapping[UUID, Collection[UUID]]
) -> set[Native]:
    found: set[Native] = set()
    orders: set[Native] = set()
    bridged = wanted.customers | {
        key for member in wanted.members for key in members.get(member, ())
    }
    for mention in mentions():
        place = place_of(mention)
        has_contact = not wanted.contacts.isdisjoint(mention.contacts)
        for buyer in mention.buyers:
            if has_contact or _is_wanted(place, buyer, wanted, bridged):
                found.add((place, buyer))
        for order in mention.orders:
            is_named = (place[2], order) in wanted.orders
            if is_named or (has_contact and not mention.buyers):
                orders.add((place, order))
    return found | _owners(mentions, orders)


def _is_wanted(place: Place, buyer: str, wanted: Wanted, bridged: Collection[UUID]) -> bool:
    if (place[2], buyer) in wanted.buyers:
        return True
    if not (bridged or wanted.members):
        return False
    key = key_of(place, buyer)
    return key in bridged or (bool(wanted.members) and founded_member_key(key) in wanted.members)


def _owners(mentions: Mentions, orders: Collection[Native]) -> set[Native]:
    """The buyers that the orders belong to: as the last record of each says."""
    owners: dict[Native, str] = {}
    if orders:
        for mention in mentions():
            place = place_of(mention)
            for order in mention.orders:
                if mention.defines == "order" and mention.buyers and (place, order) in orders:
                    owners[place, order] = mention.buyers[-1]
    return {(place, buyer) for (place, _), buyer in owners.items()}


def _find_owned(
    mentions: Mentions, customers: Collection[UUID], wanted: Wanted
) -> tuple[frozenset[UUID], frozenset[str]]:
    """Keys of the orders and messages that belong to the customers.

    An order or message belongs to whom its last own record names. One that only other records tell
    of, such as a refund, belongs to whom they name.
    """
    owned: dict[str, dict[UUID, bool]] = {"order": {}, "message": {}}
    named: dict[str, set[UUID]] = {"order": set(), "message": set()}
    for mention in mentions():
        place = place_of(mention)
        is_theirs = any(key_of(place, buyer) in customers for buyer in mention.buyers)
        for kind, ids in (("order", mention.orders), ("message", mention.messages)):
            for one in ids:
                if mention.defines == kind:
                    key = key_of(place, one)
                    if mention.buyers and (is_theirs or key in owned[kind]):
                        owned[kind][key] = is_theirs
                elif is_theirs or (kind == "order" and (place[2], one) in wanted.orders):
                    named[kind].add(key_of(place, one))
    doubtful = {key for kind, keys in named.items() for key in keys if key not in owned[kind]}
    if doubtful:
        others = {
            key_of(place_of(mention), one)
            for mention in mentions()
            if mention.defines and mention.buyers
            for one in (*mention.orders, *mention.messages)
        }
        doubtful &= others
    whole = {
        kind: {key for key, is_theirs in owned[kind].items() if is_theirs}
        | (named[kind] - owned[kind].keys() - doubtful)
        for kind in owned
    }
    whole["order"] |= {
        key_of(place_of(mention), order)
        for mention in (mentions() if wanted.orders else ())
        if not mention.buyers and mention.defines == "order"
        for order in mention.orders
        if (mention.batch.shop, order) in wanted.orders
    }
    return frozenset(whole["order"]), frozenset(str(key) for key in whole["message"])


def _is_of(mention: Mention, keys: ErasedKeys) -> bool:
    place = place_of(mention)
    return (
        any(key_of(place, buyer) in keys.customers for buyer in mention.buyers)
        or any(key_of(place, order) in keys.orders for order in mention.orders)
        or any(
            one in keys.messages or str(key_of(place, one)) in keys.messages
            for one in mention.messages
        )
    )


def records_of(mentions: Iterable[Mention], keys: ErasedKeys) -> Iterator[Mention]:
    """Those of the records that name a buyer, an order or a message of ``keys``."""
    return (mention for mention in mentions if _is_of(mention, keys))


def _contacts_of(mentions: Mentions, keys: ErasedKeys) -> tuple[set[str], int]:
    contacts: set[str] = set()
    count = 0
    for mention in records_of(mentions(), keys):
        contacts.update(mention.contacts)
        count += 1
    return contacts, count


def _used_by_others(mentions: Mentions, contacts: Collection[str], keys: ErasedKeys) -> set[str]:
    """Those of the contacts that stand in a record of anybody else."""
    found: set[str] = set()
    if contacts:
        for mention in mentions():
            shared = [one for one in mention.contacts if one in contacts and one not in found]
            if shared and not _is_of(mention, keys):
                found.update(shared)
    return found


def free_contacts(
    mentions: Mentions, contacts: Collection[str], erased: ErasedKeys
) -> frozenset[str]:
    """Those of the contacts that nobody has who is not erased."""
    return frozenset(contacts) - _used_by_others(mentions, contacts, erased)


def found_later(mentions: Mentions, erased: ErasedKeys) -> dict[UUID, ErasedKeys]:
    """What fresh records tell of erased customers: orders, messages, contacts, per customer."""
    orders: dict[UUID, UUID | None] = {}
    messages: dict[str, UUID | None] = {}
    contacts: dict[str, UUID] = {}
    for mention in mentions():
        place = place_of(mention)
        buyers = [key_of(place, buyer) for buyer in mention.buyers]
        theirs = next((key for key in buyers if key in erased.customers), None)
        if mention.defines == "order":
            for order in mention.orders:
                orders[key_of(place, order)] = theirs
        if mention.defines == "message":
            for one in mention.messages:
                messages[str(key_of(place, one))] = theirs
        if theirs is not None:
            contacts.update(dict.fromkeys(mention.contacts, theirs))
    found: dict[UUID, ErasedKeys] = {}
    for customer in {*orders.values(), *messages.values(), *contacts.values()} - {None}:
        assert customer is not None  # noqa: S101 - taken out above
        found[customer] = ErasedKeys(
            orders=frozenset(key for key, owner in orders.items() if owner == customer),
            messages=frozenset(key for key, owner in messages.items() if owner == customer),
            contacts=frozenset(key for key, owner in contacts.items() if owner == customer),
        )
    return found


def follow_erased(
    settings: Settings, state: StateStore, vault: Vault, fresh: list[BatchManifest]
) -> int:
    """Bury what freshly landed of somebody erased, before a night sees it; new tombstones.

    New orders and messages get tombstones, so that records which name only them stay out as well.
    New contacts are destroyed in the vault, unless somebody else has them.
    """
    erased = state.erasures.keys()
    if not erased.customers:
        return 0
    later = found_later(lambda: iter_mentions(settings, fresh), erased)
    contacts = {one for keys in later.values() for one in keys.contacts} - erased.contacts
    free = frozenset[str]()
    if contacts:
        batches = list_batches(settings)
        free = free_contacts(lambda: iter_mentions(settings, batches), contacts, erased)
    new = 0
    for customer, keys in sorted(later.items()):
        erasure_id = state.erasures.erasure_of("customer", str(customer))
        assert erasure_id is not None  # noqa: S101 - the customer has a tombstone
        found = ErasedKeys(
            orders=keys.orders, messages=keys.messages, contacts=keys.contacts & free
        )
        new += state.erasures.follow(erasure_id, found)
    if free:
        vault.erase_hashes(free)
    return new
