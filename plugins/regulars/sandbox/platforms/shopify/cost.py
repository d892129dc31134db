"""What a query costs, by the documented rules.

A scalar or enum costs nothing, an object 1, an interface its dearest branch, a connection the
objects of its page, a mutation 10. A list that is no connection counts as its ``first`` argument
(``nodes`` as its ids), or as one object without it. What stands around a connection's objects
(edges, pageInfo) is free.

The real platform has been seen to charge less for long connections; whoever keeps to these rules
keeps to its limits.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    get_named_type,
    value_from_ast_untyped,
)

MUTATION_COST = 10
_WRAPPERS = frozenset({"edges", "nodes", "node"})


class CostRules:
    """Reckons costs of one document."""

    def __init__(
        self, schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, Any]
    ) -> None:
        self._schema = schema
        self._variables = dict(variables)
        self._operation = next(
            one for one in document.definitions if isinstance(one, OperationDefinitionNode)
        )
        self._fragments = {
            one.name.value: one
            for one in document.definitions
            if isinstance(one, FragmentDefinitionNode)
        }

    def requested(self) -> int:
        """Points that are reserved before the query runs."""
        is_mutation = self._operation.operation is OperationType.MUTATION
        root = self._schema.mutation_type if is_mutation else self._schema.query_type
        inner = self._selection(self._operation.selection_set, root)
        return inner + MUTATION_COST if is_mutation else inner

    def actual(self, data: Any) -> int:
        """Points of what the query gave: one for every object that is not a wrapper."""
        is_mutation = self._operation.operation is OperationType.MUTATION
        return _objects(data) + (MUTATION_COST if is_mutation else 0)

    def _selection(self, selection: SelectionSetNode | None, kind: Any) -> int:
        if selection is None:
            return 0
        own, branches = 0, [0]
        for node, on in self._members(selection, kind):
            if isinstance(node, FieldNode):
                own += self._field(node, kind)
            else:
                branches.append(self._selection(node.selection_set, on))
        is_abstract = isinstance(kind, GraphQLInterfaceType)
        return own + (max(branches) if is_abstract else sum(branches))

    def _members(self, selection: SelectionSetNode, kind: Any) -> Iterator[tuple[Any, Any]]:
        for node in selection.selections:
            fragment: Any = node
            if isinstance(node, FragmentSpreadNode):
                fragment = self._fragments[node.name.value]
            if isinstance(fragment, InlineFragmentNode | FragmentDefinitionNode):
                named = fragment.type_condition
                yield fragment, self._schema.type_map[named.name.value] if named else kind
            else:
                yield node, kind

    def _field(self, node: FieldNode, kind: Any) -> int:
        if node.selection_set is None or node.name.value == "pageInfo":
            return 0
        member = kind.fields[node.name.value]
        named = get_named_type(member.type)
        if isinstance(named, GraphQLObjectType) and named.name.endswith("Connection"):
            return self._size(node, 0) * (1 + self._page(node.selection_set, named))
        return self._size(node, 1) * (1 + self._selection(node.selection_set, named))

    def _page(self, selection: SelectionSetNode | None, kind: Any) -> int:
        if selection is None:
            return 0
        cost = 0
        for node, _ in self._members(selection, kind):
            if isinstance(node, FieldNode) and node.name.value in _WRAPPERS:
                inner = get_named_type(kind.fields[node.name.value].type)
                of = self._page if node.name.value == "edges" else self._selection
                cost = max(cost, of(node.selection_set, inner))
        return cost

    def _size(self, node: FieldNode, otherwise: int) -> int:
        values = {
            argument.name.value: value_from_ast_untyped(argument.value, self._variables)
            for argument in node.arguments or ()
        }
        if node.name.value == "nodes" and isinstance(values.get("ids"), list):
            return len(values["ids"])
        size = values.get("first") or values.get("last")
        return size if isinstance(size, int) else otherwise


def _objects(value: Any) -> int:
    if isinstance(value, list):
        return sum(_objects(one) for one in value)
    if not isinstance(value, dict):
        return 0
    own = 0
    for name, inner in value.items():
        if name == "pageInfo":
            continue
        count = _objects(inner)
        if isinstance(inner, dict) and name not in _WRAPPERS and not _is_connection(inner):
            count += 1
        elif isinstance(inner, list):
            count += sum(isinstance(one, dict) and "node" not in one for one in inner)
        if name == "node":
            count += 1
        own += count
    return own


def _is_connection(value: dict[str, Any]) -> bool:
    return "nodes" in value or "edges" in value
