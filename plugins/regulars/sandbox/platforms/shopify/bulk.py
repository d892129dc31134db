"""Bulk operations: queries that run by themselves and leave a file of JSON lines."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    get_named_type,
    is_list_type,
    is_non_null_type,
    parse,
    validate,
)

from regulars.sandbox.platforms.shopify.faults import ShopifyFaults
from regulars.sandbox.platforms.shopify.orders import gid

_CONNECTIONS_AT_MOST, _DEPTH_AT_MOST = 5, 2


@dataclass
class Operation:
    """One bulk operation; its file is written when it is first asked for after its start."""

    number: int
    query: str
    grouped: bool
    created_at: str
    status: str = "CREATED"
    error: str | None = None
    content: bytes = b""
    objects: int = 0
    roots: int = 0
    url: str | None = None
    partial: str | None = None
    expires: int = 0

    def node(self) -> dict[str, Any]:
        """The operation as a GraphQL object."""
        done = self.status in ("COMPLETED", "FAILED", "CANCELED")
        return {
            "__kind": "BulkOperation",
            "id": gid("BulkOperation", self.number),
            "status": self.status,
            "errorCode": self.error,
            "type": "QUERY",
            "query": self.query,
            "createdAt": self.created_at,
            "completedAt": self.created_at if done else None,
            "objectCount": str(self.objects),
            "rootObjectCount": str(self.roots),
            "fileSize": str(len(self.content)) if self.url else None,
            "url": self.url,
            "partialDataUrl": self.partial,
        }


class BulkOperations:
    """All bulk operations of one app in one shop.

    Args:
        schema: what queries are checked against.
        execute: runs a document without page sizes; its data.
    """

    def __init__(self, schema: GraphQLSchema, execute: Callable[[DocumentNode], Any]) -> None:
        self._schema, self._execute = schema, execute
        self.operations: list[Operation] = []

    def running(self) -> int:
        """Operations that have not ended."""
        return sum(one.status in ("CREATED", "RUNNING") for one in self.operations)

    def refusal(self, query: str) -> str | None:
        """Why a query cannot run in bulk; None when it can."""
        try:
            document = parse(query)
        except GraphQLError:
            return "Invalid bulk query: syntax error"
        if errors := validate(self._schema, document):
            return f"Invalid bulk query: {errors[0].message}"
        operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
        if len(operations) != 1 or operations[0].operation is not OperationType.QUERY:
            return "Bulk queries must be one query"
        root = operations[0].selection_set
        if len(root.selections) != 1:
            return "Bulk queries must have one top-level field"
        connections = list(_connections(root, self._schema.query_type, 0, in_list=False))
        problems = [problem for problem, _ in connections if problem]
        depths = [depth for _, depth in connections]
        if problems:
            return problems[0]
        if not connections:
            return "Bulk queries must contain at least one connection"
        if len(connections) > _CONNECTIONS_AT_MOST:
            return "Bulk queries cannot contain more than 5 connections"
        if max(depths) > _DEPTH_AT_MOST:
            return "Bulk queries cannot contain connections with a nesting depth greater than 2"
        return None

    def start(self, query: str, grouped: bool, created_at: str) -> Operation:
        """Begin an operation over a query that is not refused."""
        operation = Operation(len(self.operations) + 1, query, grouped, created_at)
        self.operations.append(operation)
        return operation

    def find(self, number: int) -> Operation | None:
        """The operation with this number."""
        known = 0 < number <= len(self.operations)
        return self.operations[number - 1] if known else None

    def move_on(self, operation: Operation, faults: ShopifyFaults, now: int, base: str) -> None:
        """One step: created, running, ended. ``base`` is the address before the file's name."""
        if operation.status == "CREATED":
            operation.status = "RUNNING"
            return
        if operation.status != "RUNNING":
            return
        lines = self._lines(operation, faults)
        operation.objects = len(lines)
        operation.roots = sum("__parentId" not in line for line in lines)
        operation.content = b"".join(orjson.dumps(line) + b"\n" for line in lines)
        url = f"{base}/bulk-{operation.number}.jsonl"
        if faults.take("bulk_failed"):
            operation.status, operation.error = "FAILED", faults.bulk_error
            operation.partial = url if lines else None
            operation.content = operation.content[: len(operation.content) // 2]
            return
        operation.status = "COMPLETED"
        operation.url = url if lines else None
        operation.expires = now

    def _lines(self, operation: Operation, faults: ShopifyFaults) -> list[dict[str, Any]]:
        data = self._execute(parse(operation.query))
        (found,) = data.values()
        roots = [edge["node"] for edge in found["edges"]] if "edges" in found else found["nodes"]
        groups = [list(_flattened(node, None)) for node in roots[faults.bulk_loses :]]
        if operation.grouped:
            return [line for group in groups for line in group]
        # Not grouped: all orders first, then the lines of the last order before those of the first.
        firsts = [group[0] for group in groups]
        return firsts + [line for group in reversed(groups) for line in group[1:]]


def _flattened(node: dict[str, Any], parent: str | None) -> Iterator[dict[str, Any]]:
    plain = {name: value for name, value in node.items() if not _is_connection(value)}
    yield plain if parent is None else {**plain, "__parentId": parent}
    for value in node.values():
        if _is_connection(value):
            nodes = [edge["node"] for edge in value.get("edges", [])] or value.get("nodes", [])
            for inner in nodes:
                yield from _flattened(inner, node["id"])


def _is_connection(value: Any) -> bool:
    return isinstance(value, dict) and ("edges" in value or "nodes" in value)


def _connections(
    selection: SelectionSetNode, kind: Any, depth: int, *, in_list: bool
) -> Iterator[tuple[str | None, int]]:
    for node in selection.selections:
        if isinstance(node, InlineFragmentNode):
            yield from _connections(node.selection_set, kind, depth, in_list=in_list)
        if not isinstance(node, FieldNode) or node.selection_set is None:
            continue
        member = kind.fields.get(node.name.value) if hasattr(kind, "fields") else None
        if member is None:
            continue
        named = get_named_type(member.type)
        if isinstance(named, GraphQLObjectType) and named.name.endswith("Connection"):
            yield _problem(node, in_list=in_list), depth + 1
            inner = _node_selection(node.selection_set)
            if inner is not None:
                of = get_named_type(named.fields["nodes"].type)
                yield from _connections(inner, of, depth + 1, in_list=False)
        else:
            plain: Any = member.type.of_type if is_non_null_type(member.type) else member.type
            is_list = is_list_type(plain)
            yield from _connections(node.selection_set, named, depth, in_list=in_list or is_list)


def _problem(node: FieldNode, *, in_list: bool) -> str | None:
    if in_list:
        return "Queries that contain a connection field within a list field are not supported"
    inner = _node_selection(node.selection_set)
    selections = inner.selections if inner else ()
    if "id" in {one.name.value for one in selections if isinstance(one, FieldNode)}:
        return None
    return "The parent 'node' field for a nested connection must select id"


def _node_selection(selection: SelectionSetNode | None) -> SelectionSetNode | None:
    for node in selection.selections if selection else ():
        if isinstance(node, FieldNode) and node.name.value in ("nodes", "node"):
            return node.selection_set
        if isinstance(node, FieldNode) and node.name.value == "edges":
            return _node_selection(node.selection_set)
    return None
