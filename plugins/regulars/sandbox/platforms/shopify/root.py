"""The top-level members of the Admin API that the sandbox serves."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphql import GraphQLError

from regulars.sandbox.platforms.shopify.lists import Row, connection
from regulars.sandbox.platforms.shopify.orders import Lazy, instant, line_number, order_id
from regulars.sandbox.platforms.shopify.search import Search

if TYPE_CHECKING:
    from regulars.sandbox.platforms.shopify.gateway import Gateway

_GID = re.compile(r"gid://shopify/(\w+)/(\d+)")


@dataclass
class Call:
    """One query on its way: what resolvers see.

    Attributes:
        base: the address that the call came to.
        is_bulk: connections give all that there is.
        warnings: what the search ignored.
        listed: the orders of the list that was asked for.
    """

    base: str = ""
    is_bulk: bool = False
    warnings: list[dict[str, str]] = field(default_factory=list)
    listed: list[Row] | None = None


class Root:
    """The top-level members of one call."""

    def __init__(self, gateway: "Gateway", call: Call) -> None:
        self._gateway, self._call = gateway, call
        self._members: dict[str, Callable[..., Any]] = {
            "orders": self._orders,
            "ordersCount": self._orders_count,
            "nodes": self._nodes,
            "node": self._one_node,
            "order": self._order,
            "refund": self._refund,
            "shop": self._shop,
            "currentAppInstallation": self._current_app_installation,
            "bulkOperationRunQuery": self._bulk_operation_run_query,
            "bulkOperation": self._bulk_operation,
            "bulkOperationCancel": self._bulk_operation_cancel,
        }

    def member(self, name: str, **arguments: Any) -> Any:
        """What a top-level member gives. KeyError for one that is not served."""
        return self._members[name](**arguments)

    def _orders(self, **arguments: Any) -> Any:
        gateway, call = self._gateway, self._call
        search = Search.parse(arguments.get("query") or "", gateway.faults.ignored_filters)
        call.warnings = search.warnings
        sort_key = arguments.get("sortKey", "PROCESSED_AT")
        rows = gateway.orders.rows(search, sort_key)
        if arguments.get("reverse"):
            rows.reverse()
        by_position = gateway.faults.position_cursors or arguments.get("reverse")
        start, stop = gateway.span(len(rows), call, arguments, None if by_position else rows)
        if not call.is_bulk:
            rows = rows[: gateway.limits.paging_depth]
            call.listed = rows
        return connection(rows, start, stop, self._listed, lambda row: row.key(sort_key))

    def _listed(self, row: Row) -> Lazy:
        return self._gateway.orders.trade(row.trade, row.modified).node()

    def _orders_count(self, **arguments: Any) -> Any:
        search = Search.parse(arguments.get("query") or "")
        count = len(self._gateway.orders.rows(search, "ID"))
        limit = arguments.get("limit", 10_000)
        capped = limit is not None and count > limit
        return {"count": min(count, limit or count), "precision": "AT_LEAST" if capped else "EXACT"}

    def _nodes(self, ids: list[str]) -> list[Any]:
        if len(ids) > self._gateway.limits.largest_page:
            raise bad_request("The input array size exceeds the maximum of 250.")
        if set(ids) & set(self._gateway.faults.poisoned):
            raise GraphQLError("Internal error.", extensions={"code": "INTERNAL_SERVER_ERROR"})
        return [self._node(one) for one in ids]

    def _one_node(self, id: str) -> Any:
        return self._nodes([id])[0]

    def _order(self, id: str) -> Any:
        found = self._nodes([id])[0]
        return found if isinstance(found, Lazy) else None

    def _refund(self, id: str) -> Any:
        found = self._nodes([id])[0]
        return found if isinstance(found, dict) and found.get("__kind") == "Refund" else None

    def _node(self, gid: str) -> Any:
        found = _GID.fullmatch(gid)
        if found is None:
            raise bad_request("Invalid global id")
        kind, number = found.group(1), int(found.group(2))
        if kind == "Order":
            trade = self._gateway.orders.find(number)
            return trade.node() if trade else None
        if kind == "Refund":
            return self._refund_of(number)
        return None

    def _refund_of(self, number: int) -> Any:
        basket = number // line_number(1, 0)
        trade = self._gateway.orders.find(order_id(basket))
        rows = trade.refund_rows if trade else []
        position = number - line_number(basket, 0)
        for row in rows:
            if trade and int(trade.book.refund_line[row]) - trade.first + 1 == position:
                return {**trade.refund(row), "order": trade.node()}
        return None

    def _shop(self) -> Any:
        return {
            "id": "gid://shopify/Shop/1",
            "name": "Demo Grocer",
            "myshopifyDomain": "demo-grocer.myshopify.com",
            "currencyCode": "CNY",
        }

    def _current_app_installation(self) -> Any:
        scopes = self._gateway.access.scopes
        return {
            "id": "gid://shopify/AppInstallation/1",
            "accessScopes": [{"handle": one, "description": one} for one in scopes],
        }

    def _bulk_operation_run_query(self, query: str, **options: Any) -> Any:
        gateway = self._gateway
        full = gateway.bulk.running() >= gateway.limits.bulk_operations
        if full or gateway.faults.take("bulk_busy"):
            return _user_error("OPERATION_IN_PROGRESS", "Too many bulk operations are running")
        if problem := gateway.bulk.refusal(query):
            return _user_error("INVALID", problem)
        operation = gateway.bulk.start(
            query, bool(options.get("groupObjects")), instant(gateway.clock.seconds)
        )
        return {"bulkOperation": operation.node(), "userErrors": []}

    def _bulk_operation(self, id: str) -> Any:
        found = _GID.fullmatch(id)
        operation = self._gateway.bulk.find(int(found.group(2))) if found else None
        if operation is None:
            return None
        gateway = self._gateway
        base = f"{self._call.base}/storage"
        gateway.bulk.move_on(operation, gateway.faults, gateway.clock.seconds, base)
        return operation.node()

    def _bulk_operation_cancel(self, id: str) -> Any:
        found = _GID.fullmatch(id)
        operation = self._gateway.bulk.find(int(found.group(2))) if found else None
        if operation is None:
            errors = [{"field": ["id"], "message": "Bulk operation does not exist"}]
            return {"bulkOperation": None, "userErrors": errors}
        if operation.status in ("CREATED", "RUNNING"):
            operation.status = "CANCELED"
        return {"bulkOperation": operation.node(), "userErrors": []}


def bad_request(message: str) -> GraphQLError:
    """The refusal of one member's arguments."""
    return GraphQLError(message, extensions={"code": "BAD_REQUEST"})


def _user_error(code: str, message: str) -> dict[str, Any]:
    errors = [{"code": code, "field": ["query"], "message": message}]
    return {"bulkOperation": None, "userErrors": errors}
