"""Listing the orders of a window, of which none may be lost while they move.

What a cursor means is not documented. If it is a position, an order that is updated while the list
is paged leaves it and pulls one not yet read over to the page already read. So no cursor is used
here: each page is asked for anew, from the modification time up to which the list has been seen.

* The list is sorted by modification time, so a page that is not the last has shown everything
  before the newest time that stands on it. The next page begins with that very second; what stands
  on both is given once.
* The search finds an order by the time that its index knows, and shows the order as it is now.
  A time at or after the window's end tells nothing about the place in the list and is not used.
* When a page does not come past one second (or all on it have moved), that second is read by id,
  each page after the largest id seen.

An order that stays as it is during the walk is given; one that is updated has left for a later
window, and one that the index shows late is what the overlap of the windows is for. As no page is
deeper than the first, the limit of 25,000 objects per list is never met.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from regulars.errors import SchemaChanged
from regulars.records import Window

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Listed:
    """One order on the list; ``node`` is what was asked for of it."""

    gid: str
    updated_at: datetime
    node: dict[str, Any]

    @property
    def number(self) -> int:
        """The id as a number, by which the platform sorts ids."""
        return int(self.gid.rpartition("/")[2])


ReadPage = Callable[[str, str], tuple[list[dict[str, Any]], bool]]
"""Nodes of the first page for a search and a sort key, and whether there are more."""


def search_of(start: datetime, end: datetime) -> str:
    """The search for orders updated in [start, end)."""
    return f"updated_at:>='{_text(start)}' updated_at:<'{_text(end)}'"


def walk(window: Window, read: ReadPage) -> Iterator[Listed]:
    """Every order of ``window`` that stays there during the walk, each version once.

    Raises:
        SchemaChanged: the platform ignores the search or the sorting.
    """
    seen: set[tuple[str, datetime]] = set()
    low = window.start.replace(microsecond=0)
    while low < window.end:
        nodes, has_more = read(search_of(low, window.end), "UPDATED_AT")
        page = [_listed(node) for node in nodes]
        settled = [one.updated_at for one in page if one.updated_at < window.end]
        _check(page, settled, low)
        yield from _fresh(page, seen)
        if not has_more:
            return
        newest = max(settled, default=low)
        if newest > low:
            low = newest
        else:
            yield from _fresh(_one_second(low, min(low + _SECOND, window.end), read), seen)
            low += _SECOND


def _one_second(start: datetime, end: datetime, read: ReadPage) -> Iterator[Listed]:
    largest, has_more = 0, True
    while has_more:
        nodes, has_more = read(f"{search_of(start, end)} id:>{largest}", "ID")
        page = [_listed(node) for node in nodes]
        numbers = [one.number for one in page]
        if numbers != sorted(numbers) or (numbers and numbers[0] <= largest):
            raise _ignored("the search by id")
        largest = max(numbers, default=largest)
        has_more = has_more and bool(page)
        yield from page


def _fresh(
    page: Iterator[Listed] | list[Listed], seen: set[tuple[str, datetime]]
) -> Iterator[Listed]:
    for one in page:
        if (one.gid, one.updated_at) not in seen:
            seen.add((one.gid, one.updated_at))
            yield one


def _check(page: list[Listed], settled: list[datetime], low: datetime) -> None:
    # An unknown filter is ignored without an error: the reply is compared with what was asked.
    if any(one.updated_at < low for one in page):
        raise _ignored("the search by updated_at")
    if settled != sorted(settled):
        raise _ignored("the sorting by updated_at")


def _ignored(what: str) -> SchemaChanged:
    return SchemaChanged(
        f"the platform ignores {what}",
        where="orders",
        next_step="compare the platform's search syntax with the source's listing",
    )


def _listed(node: dict[str, Any]) -> Listed:
    try:
        gid, text = str(node["id"]), str(node["updatedAt"])
        updated_at = datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
        listed = Listed(gid, updated_at, node)
        _ = listed.number
    except (KeyError, TypeError, ValueError):
        raise SchemaChanged(
            "an order on the list has no id or no time of modification",
            where="orders",
            next_step="compare the platform's schema with the source's queries",
        ) from None
    return listed


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
