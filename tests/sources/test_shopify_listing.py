"""No order that stays in its window is lost while the list moves."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.errors import SchemaChanged
from regulars.records import Window
from regulars.sandbox.platforms.shopify.search import Search
from regulars.sources.shopify_admin.listing import search_of, walk

START = datetime(2026, 11, 20, tzinfo=UTC)
SPAN = 12  # seconds: few enough for many orders to share one
WINDOW = Window(START, START + timedelta(seconds=SPAN))
EPOCH = int(START.timestamp())


def node(number: int, second: int) -> dict[str, Any]:
    moment = START + timedelta(seconds=second)
    return {
        "id": f"gid://shopify/Order/{number}",
        "updatedAt": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


class MovingList:
    """A shop's list that changes after each page, as its ``moves`` say.

    Attributes:
        indexed: second by which the search finds and sorts each order.
        shown: second that an order itself tells; later than the indexed one while that lags.
    """

    def __init__(self, seconds: dict[int, int], size: int, moves: list[Any]) -> None:
        self.indexed = dict(seconds)
        self.shown = dict(seconds)
        self.stayed = set(seconds)
        self.size = size
        self.moves = list(moves)
        self.calls = 0

    def read(self, text: str, sort_key: str) -> tuple[list[dict[str, Any]], bool]:
        self.calls += 1
        search = Search.parse(text)
        assert not search.warnings
        found = [
            number
            for number, second in self.indexed.items()
            if EPOCH + second in search.updated_at and number in search.id
        ]
        found.sort(key=lambda n: n if sort_key == "ID" else (self.indexed[n], n))
        page = [node(number, self.shown[number]) for number in found[: self.size]]
        has_more = len(found) > self.size
        if self.moves:
            self._move(*self.moves.pop(0))
        return page, has_more

    def _move(self, kind: str, which: int, second: int) -> None:
        numbers = sorted(self.indexed)
        if kind == "enter":  # shown late: it pushes others towards pages that were read
            self.indexed[1000 + self.calls] = self.shown[1000 + self.calls] = second
            return
        if not numbers:
            return
        number = numbers[which % len(numbers)]
        self.stayed.discard(number)
        if kind == "delete":
            del self.indexed[number]
            return
        self.shown[number] = SPAN + self.calls  # updated now, after the window's end
        if kind == "update":
            self.indexed[number] = SPAN + self.calls


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["update", "lagging update", "delete", "enter"]),
        st.integers(0, 40),
        st.integers(0, SPAN - 1),
    ),
    max_size=60,
)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    seconds=st.dictionaries(st.integers(1, 60), st.integers(0, SPAN - 1), max_size=40),
    size=st.integers(1, 7),
    moves=MOVES,
)
def test_whatever_moves_between_pages_what_stays_is_listed_once(
    seconds: dict[int, int], size: int, moves: list[Any]
) -> None:
    shop = MovingList(seconds, size, moves)
    listed = [(one.number, one.updated_at) for one in walk(WINDOW, shop.read)]
    assert len(listed) == len(set(listed))
    assert shop.stayed <= {number for number, _ in listed}
    assert {number for number, _ in listed} <= set(seconds) | set(range(1000, 1400))


@pytest.mark.parametrize("count", [0, 1, 5, 6, 1000])
def test_orders_of_one_second_are_all_listed(count: int) -> None:
    shop = MovingList(dict.fromkeys(range(1, count + 1), 3), 5, [])
    assert {one.number for one in walk(WINDOW, shop.read)} == set(range(1, count + 1))


def test_a_page_all_of_which_has_moved_does_not_end_the_list() -> None:
    moves = [("lagging update", 0, 0)] * 3
    shop = MovingList({number: number % SPAN for number in range(1, 30)}, 3, [])
    for number in list(shop.indexed)[:12]:
        shop.shown[number] = SPAN + 5
    shop.moves = moves
    stayed = {n for n in shop.indexed if shop.shown[n] < SPAN}
    assert stayed - {1, 2, 3} <= {one.number for one in walk(WINDOW, shop.read)}


def test_the_windows_edges_are_asked_for_in_whole_seconds_of_utc() -> None:
    text = search_of(WINDOW.start, WINDOW.end)
    assert text == "updated_at:>='2026-11-20T00:00:00Z' updated_at:<'2026-11-20T00:00:12Z'"


Page = tuple[list[dict[str, Any]], bool]


@pytest.mark.parametrize(
    ("page", "says"),
    [
        (([node(1, -5)], False), "search by updated_at"),
        (([node(1, 5), node(2, 3)], False), "sorting"),
        (([{"id": "gid://shopify/Order/1"}], False), "no id or no time"),
        (([{"id": "x", "updatedAt": "2026-11-20T00:00:01Z"}], False), "no id or no time"),
    ],
)
def test_a_reply_that_is_not_what_was_asked_for_is_noticed(page: Page, says: str) -> None:
    read: Callable[[str, str], Page] = lambda search, key: page  # noqa: E731
    with pytest.raises(SchemaChanged, match=says):
        list(walk(WINDOW, read))


def test_an_ignored_search_by_id_is_noticed() -> None:
    everything = [node(number, 0) for number in range(1, 4)]
    with pytest.raises(SchemaChanged, match="search by id"):
        list(walk(WINDOW, lambda search, key: (everything, True)))
