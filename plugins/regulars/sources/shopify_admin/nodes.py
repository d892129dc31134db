"""Reading objects by their ids, as many at a time as one query may cost.

What a query costs is told by every answer, so the number grows and shrinks with it: no formula of
the platform's is needed. Objects that cannot be read together are read one by one, and one that
stays unreadable is a named place.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from regulars.errors import SchemaChanged, SourceUnavailable
from regulars.sources.shopify_admin.client import (
    LARGEST_COST,
    ShopifyClient,
    TooExpensive,
    operation_name,
)

LARGEST_INPUT = 250
"""Elements of the longest list that may be sent."""
_BUDGET = 0.9 * LARGEST_COST
_GROWTH = 4
_ALONE_ATTEMPTS = 2
_FAILURES_IN_A_ROW = 12


@dataclass(slots=True)
class Batch:
    """How many elements one query asks for; grows and shrinks with what it was said to cost."""

    size: int
    largest: int = LARGEST_INPUT
    """Never asked for more again: what was too expensive once would be so every time."""

    def learn(self, cost: float | None, asked: int) -> None:
        """Take the cost of a query for ``asked`` elements into account."""
        if cost:
            fitting = int(_BUDGET * asked / cost)
            self.size = max(1, min(fitting, self.size * _GROWTH, self.largest))

    def shrink(self, asked: int, query: str) -> None:
        """A query for ``asked`` elements was too expensive.

        Raises:
            SchemaChanged: one element alone is.
        """
        if asked <= 1:
            raise SchemaChanged(
                "one object alone costs more than a query may",
                where=operation_name(query),
                next_step="ask for less in the source's queries",
            )
        self.size = self.largest = asked // 2


@dataclass(frozen=True, slots=True)
class Found:
    """An object by its id: its node, None when it does not exist (any more), or a defect."""

    gid: str
    node: dict[str, Any] | None
    defect: str | None = None
    is_final: bool = False
    """Asking again would find the same defect."""


class NodeReader:
    """Reads objects of one kind by their ids; the batch's size is kept between calls."""

    def __init__(
        self, client: ShopifyClient, query: str, first_size: int, **variables: Any
    ) -> None:
        self._client = client
        self._query = query
        self._variables = variables
        self.batch = Batch(first_size)
        self._failures = 0

    def read(self, gids: Iterable[str]) -> Iterator[Found]:
        """The objects in the order of their ids; ids are taken as needed.

        Raises:
            SourceError: see :meth:`ShopifyClient.call`; an object that alone cannot be read is a
                defect instead, until a dozen of them follow each other.
        """
        waiting = iter(gids)
        while chunk := list(islice(waiting, self.batch.size)):
            yield from self._chunk(chunk)

    def _chunk(self, gids: list[str]) -> Iterator[Found]:
        attempts = _ALONE_ATTEMPTS if self._failures else None
        try:
            nodes = self._nodes(gids, attempts)
        except TooExpensive:
            self.batch.shrink(len(gids), self._query)
            yield from self._halves(gids)
            return
        except SourceUnavailable as error:
            self._failures += 1
            if self._failures >= _FAILURES_IN_A_ROW:
                raise
            if len(gids) == 1:
                yield Found(gids[0], None, f"could not be read: {error.what}")
            else:
                yield from self._halves(gids)
            return
        self._failures = 0
        for gid, node in zip(gids, nodes, strict=True):
            yield Found(gid, node or None)

    def _halves(self, gids: list[str]) -> Iterator[Found]:
        middle = max(1, len(gids) // 2)
        for part in (gids[:middle], gids[middle:]):
            if part:
                yield from self._chunk(part)

    def _nodes(self, gids: list[str], attempts: int | None) -> list[Any]:
        size = len(gids)
        data = self._client.call(
            self._query, {"ids": gids, **self._variables}, size=size, attempts=attempts
        )
        nodes = data.get("nodes")
        if not isinstance(nodes, list) or len(nodes) != size:
            raise SchemaChanged(
                "not as many objects came back as were asked for",
                where=operation_name(self._query),
                next_step="compare the platform's schema with the source's queries",
            )
        self.batch.learn(self._client.last_cost(self._query, size), size)
        return nodes


class Moved(Exception):
    """The object was updated while its list was paged."""


class ListReader:
    """Reads the rest of a list within one object, page by page.

    Within one version of an object its lists stand still, so cursors are safe there; another
    version ends the reading with :class:`Moved`.
    """

    def __init__(
        self, client: ShopifyClient, query: str, owner: str, name: str, first_size: int
    ) -> None:
        self._client = client
        self._query = query
        self._owner = owner
        self._name = name
        self._batch = Batch(first_size)

    def complete(self, node: dict[str, Any]) -> None:
        """Read what is missing of ``node``'s list into it.

        Raises:
            Moved: the object was updated in the meantime, or is gone.
            SourceError: see :meth:`ShopifyClient.call`.
        """
        listed = node[self._name]
        page = listed["pageInfo"]
        while page["hasNextPage"]:
            got = self._page(node["id"], page["endCursor"])
            if got is None or got["updatedAt"] != node["updatedAt"]:
                raise Moved
            more = got[self._name]
            if not more["nodes"]:
                raise Moved
            listed["nodes"].extend(more["nodes"])
            page = more["pageInfo"]

    def _page(self, gid: str, after: str) -> dict[str, Any] | None:
        while True:
            size = self._batch.size
            variables = {"id": gid, "first": size, "after": after}
            try:
                data = self._client.call(self._query, variables, size=size)
            except TooExpensive:
                self._batch.shrink(size, self._query)
                continue
            self._batch.learn(self._client.last_cost(self._query, size), size)
            found: dict[str, Any] | None = data.get(self._owner)
            return found


class TooLong(Exception):
    """A list without a cursor holds more than can be asked for at once; ``reason`` says which."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PlainListReader:
    """Reads a list of an order that has no cursor: asks for ever more until less than that comes.

    How much may be asked for is not documented, so what the cost of a query allows is tried. When
    that is refused, or brings no more than before, the list counts as not whole.
    """

    def __init__(self, client: ShopifyClient, query: str, name: str, first_size: int) -> None:
        self._client = client
        self._query = query
        self._name = name
        self._first_size = first_size

    def read(self, gid: str, updated_at: str | None = None) -> tuple[list[dict[str, Any]], bool]:
        """The list's elements, and whether they are all.

        Args:
            gid: the order's id.
            updated_at: the version that is read; None for any.

        Raises:
            Moved: the order was updated in the meantime, or is gone.
            SourceError: see :meth:`ShopifyClient.call`.
        """
        got: list[dict[str, Any]] | None = None
        first = Batch(self._first_size)
        size = first.size
        while True:
            try:
                answer = self._client.call(self._query, {"id": gid, "first": size}, size=size)
            except (TooExpensive, SchemaChanged) as refused:
                if got is not None:
                    return got, False
                if isinstance(refused, SchemaChanged):
                    raise
                first.shrink(size, self._query)
                size = first.size
                continue
            order = answer.get("order")
            if order is None or updated_at not in (None, order["updatedAt"]):
                raise Moved
            before, got = got, order[self._name]
            if before is not None and len(got) <= len(before):
                return got, False
            if len(got) < size:
                return got, True
            cost = self._client.last_cost(self._query, size)
            larger = min(2 * size, int(_BUDGET * size / cost)) if cost else 2 * size
            if larger <= size:
                return got, False
            size = larger

    def complete(self, node: dict[str, Any]) -> None:
        """Read the list into ``node``.

        Raises:
            TooLong: it is longer than can be asked for.
            Moved, SourceError: see :meth:`read`.
        """
        node[self._name], is_whole = self.read(node["id"], node["updatedAt"])
        if not is_whole:
            raise TooLong(f"{len(node[self._name])} {self._name} or more: not all listed")


def settled(
    found: Found, complete: Callable[[dict[str, Any]], None], again: Callable[[str], Found]
) -> Found:
    """``found`` with its lists completed; read anew when it moved meanwhile, five times at most."""
    for _ in range(5):
        if found.node is None:
            return found
        try:
            complete(found.node)
        except Moved:
            found = again(found.gid)
        except TooLong as long:
            return Found(found.gid, None, long.reason, is_final=True)
        except SourceUnavailable as error:
            return Found(found.gid, None, f"could not be read: {error.what}")
        else:
            return found
    return Found(found.gid, None, "changed faster than its lists could be read")
