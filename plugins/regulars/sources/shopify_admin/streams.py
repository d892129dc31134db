"""The streams of the Admin API: orders, and the refunds that stand in them.

A window is first listed (see ``listing``), then what is on the list is read by its ids. Refunds
have no list of their own: those of every order that was updated in the window are read, because
whatever happens to a refund updates its order.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from regulars.errors import SchemaChanged, SourceUnavailable
from regulars.records import RawRecord, Window
from regulars.sources.shopify_admin import queries
from regulars.sources.shopify_admin.client import ShopifyClient, TooExpensive
from regulars.sources.shopify_admin.flatten import flat_order, flat_refund, number_of
from regulars.sources.shopify_admin.listing import walk
from regulars.sources.shopify_admin.nodes import (
    Batch,
    Found,
    ListReader,
    Moved,
    NodeReader,
    PlainListReader,
    settled,
)

_LIST_SIZE = 250
_FEW_REFUNDS = 25
# Where the sizes start; what the answers say of their cost moves them at once.
FIRST_ORDERS, FIRST_LINES, FIRST_REFUNDS, FIRST_REFUND_LISTS = 4, 60, 8, 25


class OrderStream:
    """Orders of one client, by id."""

    def __init__(self, client: ShopifyClient) -> None:
        self._client = client
        self._orders = NodeReader(client, queries.READ_ORDERS, FIRST_ORDERS)
        self._lines = ListReader(client, queries.READ_LINES, "order", "lineItems", FIRST_LINES)
        self._plain = {
            name: PlainListReader(client, query, name, queries.LONGEST_LIST)
            for name, query in (
                ("transactions", queries.READ_TRANSACTIONS),
                ("fulfillments", queries.READ_FULFILLMENTS),
            )
        }

    def window(self, window: Window) -> Iterator[RawRecord]:
        """Every order updated within ``window``.

        Raises:
            SourceError: see :meth:`ShopifyClient.call`.
        """
        listed = walk(window, ListPage(self._client, queries.LIST_ORDERS))
        yield from self.by_id(one.gid for one in listed)

    def by_id(self, gids: Iterable[str]) -> Iterator[RawRecord]:
        """The orders with these ids, as they are now; those that are gone are left out."""
        for found in self._orders.read(gids):
            yield from _record(settled(found, self._complete, self._again), "order", flat_order)

    def _again(self, gid: str) -> Found:
        return next(self._orders.read([gid]))

    def _complete(self, node: dict[str, Any]) -> None:
        self._lines.complete(node)
        for name, rest in self._plain.items():
            if len(node[name]) >= queries.INLINE_LIST:
                rest.complete(node)


class RefundStream:
    """Refunds of one client, by the orders that they stand in."""

    def __init__(self, client: ShopifyClient) -> None:
        self._client = client
        self._few = NodeReader(
            client, queries.READ_REFUND_IDS, FIRST_REFUND_LISTS, refunds=_FEW_REFUNDS
        )
        self._many = PlainListReader(
            client, queries.READ_ALL_REFUND_IDS, "refunds", queries.LONGEST_LIST
        )
        self._refunds = NodeReader(client, queries.READ_REFUNDS, FIRST_REFUNDS)
        lines = (queries.READ_REFUND_LINES, "refund", "refundLineItems")
        payments = (queries.READ_REFUND_TRANSACTIONS, "refund", "transactions")
        self._lists = [ListReader(client, *one, FIRST_LINES) for one in (lines, payments)]

    def window(self, window: Window) -> Iterator[RawRecord]:
        """Every refund of the orders updated within ``window``.

        Raises:
            SourceError: see :meth:`ShopifyClient.call`.
        """
        listed = walk(window, ListPage(self._client, queries.LIST_ORDERS_WITH_REFUNDS))
        yield from self.of_orders(one.gid for one in listed if one.node.get("refunds"))

    def of_orders(self, gids: Iterable[str]) -> Iterator[RawRecord]:
        """The refunds of the orders with these ids."""
        defects: list[RawRecord] = []
        yield from self.by_id(self._ids(gids, defects))
        yield from defects

    def _ids(self, gids: Iterable[str], defects: list[RawRecord]) -> Iterator[str]:
        for found in self._few.read(gids):
            refunds, defect, is_final = (found.node or {}).get("refunds") or [], found.defect, False
            if len(refunds) >= _FEW_REFUNDS:
                refunds, defect, is_final = self._all(found.gid)
            if defect is not None:
                number = number_of(found.gid)
                position = f"refunds of order {number}"
                lost = {"order_id": number}
                defects.append(RawRecord(lost, position, defect, is_final=is_final, key=position))
            yield from (refund["id"] for refund in refunds)

    def _all(self, gid: str) -> tuple[list[dict[str, Any]], str | None, bool]:
        """An order's refunds, what is wrong with them, and whether that stays so."""
        try:
            refunds, is_whole = self._many.read(gid)
        except Moved:  # deleted: without a version that is all that it can be
            return [], None, False
        except SourceUnavailable as error:
            return [], f"could not be read: {error.what}", False
        # Without a cursor, asking again would find no more.
        full = None if is_whole else f"{len(refunds)} refunds or more: not all listed"
        return refunds, full, not is_whole

    def by_id(self, gids: Iterable[str]) -> Iterator[RawRecord]:
        """The refunds with these ids."""
        for found in self._refunds.read(gids):
            yield from _record(settled(found, self._complete, self._again), "refund", flat_refund)

    def _again(self, gid: str) -> Found:
        return next(self._refunds.read([gid]))

    def _complete(self, node: dict[str, Any]) -> None:
        for one in self._lists:
            one.complete(node)


class ListPage:
    """Reads one page of the list of orders."""

    def __init__(self, client: ShopifyClient, query: str) -> None:
        self._client = client
        self._query = query
        self._batch = Batch(_LIST_SIZE)

    def __call__(self, search: str, sort_key: str) -> tuple[list[dict[str, Any]], bool]:
        """Nodes of the first page, and whether there are more."""
        while True:
            size = self._batch.size
            variables = {"first": size, "query": search, "sortKey": sort_key}
            try:
                data = self._client.call(self._query, variables, size=size)
                break
            except TooExpensive:
                self._batch.shrink(size, self._query)
        try:
            orders = data["orders"]
            return list(orders["nodes"]), bool(orders["pageInfo"]["hasNextPage"])
        except (KeyError, TypeError):
            raise SchemaChanged(
                "the answer holds no list of orders",
                where="orders",
                next_step="compare the platform's schema with the source's queries",
            ) from None


def _record(found: Found, kind: str, flat: Any) -> Iterator[RawRecord]:
    position = f"{kind} {number_of(found.gid)}"
    if found.defect is not None:
        yield RawRecord({}, position, found.defect, is_final=found.is_final, key=position)
    elif found.node is not None:
        yield RawRecord(flat(found.node), position)
