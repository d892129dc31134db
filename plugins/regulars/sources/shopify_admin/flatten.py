"""From nested GraphQL objects to flat records, by one mechanical rule.

A name is the path of the platform's own names in snake case, joined by ``_``:
``customer.defaultEmailAddress.emailAddress`` is ``customer_default_email_address_email_address``.
Money is the amount in the shop's currency (``shopMoney``); the buyer's currency stands beside it
as ``..._presentment`` where it was asked for, and is never added to the other. A global id
(``gid://shopify/LineItem/42``) is its number, as the REST API and the admin show it.
"""

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from sys import intern
from typing import Any

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_LAYOUTS = 1_000
"""Layouts that are remembered: names that nobody knows must not fill the memory."""
_LISTS_OF_REFUND = ("refundLineItems", "transactions")
# What stands elsewhere than in the record itself.
_BESIDE_ORDER = frozenset({"id", "lineItems"})
_BESIDE_LINE = frozenset({"discountAllocations"})
_BESIDE_REFUND = frozenset({"id", *_LISTS_OF_REFUND})
_GID = re.compile(r"gid://shopify/\w+/(\d+)(?:\?.*)?")


@cache
def snake(name: str) -> str:
    """A native name in snake case."""
    return _WORD.sub("_", name).lower()


def number_of(gid: str) -> str:
    """The number in a global id; the text itself when it is none."""
    found = _GID.fullmatch(gid)
    return found.group(1) if found else gid


def flat_order(node: Mapping[str, Any]) -> dict[str, Any]:
    """One order with its lines; what discounts gave to the lines is a list of its own."""
    currency = node.get("currencyCode")
    lines = _nodes(node, "lineItems")
    record = _flat(node, currency, _BESIDE_ORDER)
    record["line_items"] = [_flat(line, currency, _BESIDE_LINE) for line in lines]
    record["discount_allocations"] = [
        {"line_item_id": number_of(str(line.get("id"))), **_flat(allocation, currency)}
        for line in lines
        for allocation in line.get("discountAllocations") or []
    ]
    return record


def flat_refund(node: Mapping[str, Any]) -> dict[str, Any]:
    """One refund with its lines and transactions."""
    currency = (node.get("order") or {}).get("currencyCode")
    record = _flat(node, currency, _BESIDE_REFUND)
    for name in _LISTS_OF_REFUND:
        record[snake(name)] = [_flat(one, currency) for one in _nodes(node, name)]
    return record


def _nodes(node: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = (node.get(name) or {}).get("nodes") or []
    return nodes


@lru_cache(_LAYOUTS)
def _names(
    prefix: str, natives: tuple[str, ...], beside: frozenset[str]
) -> tuple[tuple[str, str], ...]:
    """Native and flat names of an object's members, worked out once per layout."""
    return tuple(
        (native, intern(f"{prefix}{snake(native)}")) for native in natives if native not in beside
    )


def _flat(
    node: Mapping[str, Any], currency: Any, beside: frozenset[str] = frozenset()
) -> dict[str, Any]:
    record: dict[str, Any] = {}
    _fill(record, node, currency, "", beside)
    return record


def _fill(
    record: dict[str, Any],
    node: Mapping[str, Any],
    currency: Any,
    prefix: str,
    beside: frozenset[str] = frozenset(),
) -> None:
    """Put a node's members, those beside it left out, into ``record``."""
    for native, name in _names(prefix, tuple(node), beside):
        value = node[native]
        if value is None:
            continue
        if isinstance(value, dict):
            if "shopMoney" in value:
                record.update(_money(name, value, currency))
            else:
                _fill(record, value, currency, f"{name}_")
        elif isinstance(value, list):
            record[name] = (
                [_flat(one, currency) for one in value]
                if any(isinstance(one, dict) for one in value)
                else ", ".join(str(one) for one in value) or None
            )
        else:
            record[name] = number_of(value) if native == "id" else value


def _money(name: str, bag: Mapping[str, Any], currency: Any) -> dict[str, Any]:
    money = bag["shopMoney"] or {}
    amount = money.get("amount")
    if amount is not None and money.get("currencyCode") != currency:
        # No number any more, so that the payload model refuses it: currencies are never mixed.
        amount = f"{amount} {money.get('currencyCode')}"
    record = {name: amount}
    if bag.get("presentmentMoney"):
        record[f"{name}_presentment"] = bag["presentmentMoney"].get("amount")
    return record
