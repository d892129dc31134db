"""Finding a person: which customers, orders, messages and contacts are theirs.

Landing is what is searched, because it is complete whatever became of the warehouse: each record
names a buyer, an order or a message, and carries contacts as keyed hashes.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain
from uuid import UUID

from regulars.errors import ErasureError
from regulars.keys import founded_member_key, shop_key, unnamed_buyer
from regulars.landing import list_batches
from regulars.landing.persons import (
    Mention,
    Traces,
    clear_refused,
    iter_mentions,
    iter_refused,
)
from regulars.records import BatchManifest
from regulars.settings import Settings
from regulars.sources.payloads import Refers
from regulars.state import ErasedKeys, StateStore
from regulars.vault import Vault

Place = tuple[str, str, str]
"""Brand, platform and shop."""

Native = tuple[Place, str]
"""A native id at a shop."""

Mentions = Callable[[], Iterable[Mention]]
"""Gives every landed record, from the first; it is called more than once."""

Tombstone = tuple[str, str]
"""Kind and key."""


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
        customers: the buyers, sorted, an order that nobody is named for being its own; the command
            names them, a log does not.
        keys: what their tombstones will hold.
        shared_contacts: contacts of theirs that stay, because others have them as well.
        record_count: landed records that are theirs.
        others: keys of the customers who are the same member by now and stay, sorted.
        heirs: each of their customers who is such a member -> the first of those who stay in it.
    """

    customers: tuple[Native, ...]
    keys: ErasedKeys
    shared_contacts: int
    record_count: int
    others: tuple[UUID, ...] = ()
    heirs: Mapping[UUID, UUID] = field(default_factory=dict)


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
    withdrawn: Mentions = tuple,
    bridge: Mapping[UUID, UUID],
    erased: ErasedKeys,
    has_contacts: bool,
) -> Person:
    """Everything in landing that belongs to whoever ``wanted`` names.

    Args:
        mentions: landing.
        wanted: who.
        withdrawn: what was taken out of landing. It was wrong, so it says whose something is only
            of somebody whom landing does not know; contacts of theirs in it go all the same.
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
    customers: frozenset[Native] = frozenset()
    own = ErasedKeys()
    for some in (mentions, withdrawn):
        customers, own = _find_own(some, wanted, members)
        if own:
            break
    if not (own or has_contacts):
        raise ErasureError(
            "nobody is known by that",
            where="landing and vault",
            next_step="check shop and spelling (a buyer id is given as SHOP:ID); nothing was "
            "changed",
        )
    contacts, record_count = _contacts_of(mentions, own)
    contacts |= _contacts_of(withdrawn, own)[0]
    used = _used_by_others(mentions, contacts - wanted.contacts, _with(own, erased))
    gone = own.customers | erased.customers
    founded = {founded_member_key(key) for key in own.customers}
    theirs = founded | {bridge[key] for key in own.customers if key in bridge}
    staying = {key: sorted(members[bridge[key]] - gone) for key in own.customers if key in bridge}
    return Person(
        customers=tuple(sorted(customers)),
        keys=ErasedKeys(
            customers=own.customers,
            members=frozenset(key for key in theirs if members[key] <= gone),
            orders=own.orders,
            messages=own.messages,
            contacts=frozenset(contacts - used) | wanted.contacts,
        ),
        shared_contacts=len(used),
        record_count=record_count,
        others=tuple(sorted({key for keys in staying.values() for key in keys})),
        heirs={key: keys[0] for key, keys in staying.items() if keys},
    )


def _with(own: ErasedKeys, erased: ErasedKeys) -> ErasedKeys:
    return ErasedKeys(
        customers=own.customers | erased.customers,
        orders=own.orders | erased.orders,
        messages=own.messages | erased.messages,
    )


def _find_own(
    mentions: Mentions, wanted: Wanted, members: Mapping[UUID, Collection[UUID]]
) -> tuple[frozenset[Native], ErasedKeys]:
    """The person's customers, as native ids, and the keys of what is theirs."""
    buyers, unowned = _find_customers(mentions, wanted, members)
    orders, messages = _find_owned(mentions, {key_of(*one) for one in buyers}, unowned)
    unnamed = _unnamed_buyers(mentions, orders)
    alone = {(place, unnamed_buyer(order)) for place, order in unowned} & unnamed
    keys = frozenset(key_of(*one) for one in buyers | unnamed)
    return frozenset(buyers | alone), ErasedKeys(customers=keys, orders=orders, messages=messages)


def _find_customers(
    mentions: Mentions, wanted: Wanted, members: Mapping[UUID, Collection[UUID]]
) -> tuple[set[Native], set[Native]]:
    """Buyers of the person, and orders of theirs whose buyer no record of the order names."""
    found: set[Native] = set()
    orders: set[Native] = set()
    names: set[tuple[Place, tuple[str, ...]]] = set()
    bridged = wanted.customers | {
        key for member in wanted.members for key in members.get(member, ())
    }
    for mention in mentions():
        place = place_of(mention)
        has_contact = not wanted.contacts.isdisjoint(mention.contacts)
        for buyer in mention.buyers:
            if has_contact or _is_wanted(place, buyer, wanted, bridged):
                found.add((place, buyer))
        if len(mention.buyers) > 1:
            names.add((place, mention.buyers))
        for order in mention.orders:
            is_its_own = mention.defines == "order" and not mention.buyers
            if (
                (place[2], order) in wanted.orders
                or (has_contact and not mention.buyers)
                or (is_its_own and _is_wanted(place, unnamed_buyer(order), wanted, bridged))
            ):
                orders.add((place, order))
    owners = _owners(mentions, orders)
    found |= {(place, buyer) for (place, _), buyers in owners.items() for buyer in buyers}
    return _under_all_names(found, names), orders - owners.keys()


def _under_all_names(
    found: set[Native], names: Collection[tuple[Place, tuple[str, ...]]]
) -> set[Native]:
    """Buyers with what else the same records call them: a platform may give two ids for one."""
    known = -1
    while known != len(found):
        known = len(found)
        for place, buyers in names:
            if any((place, buyer) in found for buyer in buyers):
                found.update((place, buyer) for buyer in buyers)
    return found


def _is_wanted(place: Place, buyer: str, wanted: Wanted, bridged: Collection[UUID]) -> bool:
    if (place[2], buyer) in wanted.buyers:
        return True
    if not (bridged or wanted.members):
        return False
    key = key_of(place, buyer)
    return key in bridged or (bool(wanted.members) and founded_member_key(key) in wanted.members)


def _owners(mentions: Mentions, orders: Collection[Native]) -> dict[Native, tuple[str, ...]]:
    """The buyers that the orders belong to: as the last record of each that names one says."""
    owners: dict[Native, tuple[str, ...]] = {}
    if orders:
        for mention in mentions():
            place = place_of(mention)
            for order in mention.orders:
                if mention.defines == "order" and mention.buyers and (place, order) in orders:
                    owners[place, order] = mention.buyers
    return owners


def _unnamed_buyers(mentions: Mentions, orders: Collection[UUID]) -> set[Native]:
    """The customers that the models made, or once made, of orders whose records name no buyer."""
    return {
        (place_of(mention), unnamed_buyer(order))
        for mention in (mentions() if orders else ())
        if mention.defines == "order" and not mention.buyers
        for order in mention.orders
        if key_of(place_of(mention), order) in orders
    }


def _find_owned(
    mentions: Mentions, customers: Collection[UUID], unowned: Collection[Native]
) -> tuple[frozenset[UUID], frozenset[str]]:
    """Keys of the orders and messages that belong to the customers, and of the unowned orders.

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
                elif is_theirs:
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
    whole["order"] |= {key_of(place, order) for place, order in unowned}
    return frozenset(whole["order"]), frozenset(str(key) for key in whole["message"])


def tombstone_of(mention: Mention, keys: ErasedKeys) -> Tombstone | None:
    """The first of ``keys`` that a record names: a buyer, an order or a message; None if none."""
    place = place_of(mention)
    for buyer in mention.buyers:
        if (key := key_of(place, buyer)) in keys.customers:
            return "customer", str(key)
    for order in mention.orders:
        if (key := key_of(place, order)) in keys.orders:
            return "order", str(key)
    for one in mention.messages:
        # Our own messages come back under the id that they left with.
        for known in (one, str(key_of(place, one))):
            if known in keys.messages:
                return "message", known
    return None


def records_of(mentions: Iterable[Mention], keys: ErasedKeys) -> Iterator[Mention]:
    """Those of the records that name a buyer, an order or a message of ``keys``."""
    return (mention for mention in mentions if tombstone_of(mention, keys))


def native_ids(
    mentions: Iterable[Mention], keys: ErasedKeys
) -> dict[tuple[str, str], dict[Refers, frozenset[str]]]:
    """(platform, shop) -> the ids that ``keys`` stand for, read back from records."""
    found: dict[tuple[str, str], dict[Refers, frozenset[str]]] = {}
    for mention in records_of(mentions, keys):
        place = place_of(mention)
        ids = found.setdefault(place[1:], defaultdict(frozenset))
        ids["buyer"] |= {one for one in mention.buyers if key_of(place, one) in keys.customers}
        ids["order"] |= {one for one in mention.orders if key_of(place, one) in keys.orders}
        ids["message"] |= {
            one
            for one in mention.messages
            if one in keys.messages or str(key_of(place, one)) in keys.messages
        }
    return found


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
            if shared and not tombstone_of(mention, keys):
                found.update(shared)
    return found


def free_contacts(
    mentions: Mentions, contacts: Collection[str], erased: ErasedKeys
) -> frozenset[str]:
    """Those of the contacts that nobody has who is not erased."""
    return frozenset(contacts) - _used_by_others(mentions, contacts, erased)


def found_later(
    fresh: Mentions, landed: Mentions, refused: Mentions, erased: ErasedKeys
) -> dict[Tombstone, ErasedKeys]:
    """What fresh records tell of erased persons, by the tombstone that they were known by.

    Args:
        fresh: records that no completed night has seen.
        landed: every landed record. An order that is known to be theirs only now may have landed
            in parts, before.
        refused: fresh records that were put aside; contacts of theirs alone are taken from them.
        erased: the tombstones that stand.

    Returns:
        orders and messages of their own, and every contact that stands in a record of theirs.
    """
    orders: dict[UUID, Tombstone | None] = {}
    messages: dict[str, Tombstone | None] = {}
    contacts: dict[str, Tombstone] = {}
    for mention in fresh():
        theirs = _find_contacts(mention, erased, contacts)
        if theirs or mention.buyers:
            place = place_of(mention)
            if mention.defines == "order":
                orders |= {key_of(place, order): theirs for order in mention.orders}
            if mention.defines == "message":
                messages |= {str(key_of(place, one)): theirs for one in mention.messages}
    known = replace(
        erased,
        orders=erased.orders | {key for key, theirs in orders.items() if theirs},
        messages=erased.messages | {key for key, theirs in messages.items() if theirs},
    )
    origins = {("order", str(key)): theirs for key, theirs in orders.items() if theirs}
    origins |= {("message", key): theirs for key, theirs in messages.items() if theirs}
    is_new = known.orders > erased.orders or known.messages > erased.messages
    for mention in chain(landed() if is_new else (), refused()):
        _find_contacts(mention, known, contacts, origins)
    return {
        theirs: ErasedKeys(
            orders=frozenset(key for key, owner in orders.items() if owner == theirs),
            messages=frozenset(key for key, owner in messages.items() if owner == theirs),
            contacts=frozenset(key for key, owner in contacts.items() if owner == theirs),
        )
        for theirs in {*orders.values(), *messages.values(), *contacts.values()}
        if theirs is not None
    }


def _find_contacts(
    mention: Mention,
    erased: ErasedKeys,
    contacts: dict[str, Tombstone],
    origins: Mapping[Tombstone, Tombstone] | None = None,
) -> Tombstone | None:
    """Note the contacts of a record of theirs, and say whose it is by; None if it is not theirs.

    An erased contact stays one in anybody's record.
    """
    theirs = tombstone_of(mention, erased)
    if theirs:
        theirs = (origins or {}).get(theirs, theirs)
        contacts |= dict.fromkeys(mention.contacts, theirs)
    else:
        contacts |= {one: ("contact", one) for one in mention.contacts if one in erased.contacts}
    return theirs


def follow_erased(
    settings: Settings, state: StateStore, vault: Vault, fresh: list[BatchManifest]
) -> int:
    """Bury what freshly landed of somebody erased, before a night sees it; new tombstones.

    They are known by buyer, by order and by message. New orders and messages get tombstones, so
    that records which name only them stay out as well. New contacts are destroyed in the vault,
    unless somebody else has them, and what was refused of them is taken out of quarantine.
    """
    erased = state.erasures.keys()
    if not erased:
        return 0
    batches = list_batches(settings)
    later = found_later(
        lambda: iter_mentions(settings, fresh),
        lambda: iter_mentions(settings, batches),
        lambda: iter_refused(settings, vault, fresh),
        erased,
    )
    found = frozenset(one for keys in later.values() for one in keys.contacts)
    free = frozenset[str]()
    if contacts := found - erased.contacts:
        orders = {key for keys in later.values() for key in keys.orders}
        messages = {key for keys in later.values() for key in keys.messages}
        known = _with(ErasedKeys(orders=frozenset(orders), messages=frozenset(messages)), erased)
        free = free_contacts(lambda: iter_mentions(settings, batches), contacts, known)
    new = 0
    for theirs, keys in sorted(later.items()):
        own = ErasedKeys(orders=keys.orders, messages=keys.messages, contacts=keys.contacts & free)
        new += state.erasures.follow(_erasure_of(state, theirs), own)
    _clear_refused(settings, state, vault, fresh)
    # Those with a tombstone as well: a night may have been killed before it came here.
    vault.erase_hashes(free | (found & erased.contacts))
    return new


def _erasure_of(state: StateStore, tombstone: Tombstone) -> str:
    found = state.erasures.erasure_of(*tombstone)
    if found is None:
        raise ErasureError(
            f"a tombstone of the kind {tombstone[0]} went away while it was followed",
            where="tombstones of the state store",
            next_step="restore the state store from a backup, then run the night again",
        )
    return found


def _clear_refused(
    settings: Settings, state: StateStore, vault: Vault, fresh: list[BatchManifest]
) -> None:
    """Take what was freshly refused of erased persons out of quarantine."""
    erased = state.erasures.keys()
    erasures = set()
    for mention in iter_refused(settings, vault, fresh):
        theirs = tombstone_of(mention, erased) or next(
            (("contact", one) for one in mention.contacts if one in erased.contacts), None
        )
        if theirs:
            erasures.add(_erasure_of(state, theirs))
    for erasure_id in sorted(erasures):
        keys = state.erasures.keys(erasure_id=erasure_id)
        ids = native_ids(iter_refused(settings, vault, fresh), keys)
        clear_refused(settings, vault, Traces(ids, keys.contacts), erasure_id, fresh)
