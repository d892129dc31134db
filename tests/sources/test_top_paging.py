"""Paging a list that changes under the reader: nothing that stays is lost."""

from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from regulars.errors import SourceUnavailable
from regulars.sources.paging import (
    LARGEST_PAGE,
    Item,
    Page,
    PageRead,
    UnreadablePage,
    last_page,
    page_over,
    walk_backwards,
)

# Between two reads: (kind, place as a share of the list, how many).
Change = tuple[str, float, int]


class Book:
    """A list that changes between two reads, newest first."""

    def __init__(self, size: int, changes: list[list[Change]]) -> None:
        self.records = list(range(size))
        self.changes = iter(changes)
        self.left: set[int] = set()
        self.fresh = size
        self.pages: list[Page] = []

    def read(self, page: Page) -> PageRead:
        self.pages.append(page)
        for change in next(self.changes, []):
            self.apply(change)
        return PageRead(len(self.records), self.records[page.start : page.end])

    def apply(self, change: Change) -> None:
        kind, share, count = change
        place = int(share * len(self.records))
        if kind == "leaves":
            self.left.update(self.records[place : place + count])
            del self.records[place : place + count]
        else:
            self.records[place:place] = range(self.fresh, self.fresh + count)
            self.fresh += count


def walk(book: Book, count: int) -> list[int]:
    return [item.record for item in walk_backwards(count, book.read, lambda r: r, "test")]


changes = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["leaves", "enters"]),
            st.floats(0, 1, exclude_max=True),
            st.one_of(st.integers(1, 3), st.integers(1, 250)),
        ),
        max_size=4,
    ),
    max_size=20,
)


@settings(max_examples=150, deadline=None)
@given(size=st.integers(0, 900), changes=changes)
# One enters at the top and one leaves among those read: the total alone shows nothing.
@example(size=300, changes=[[], [("enters", 0.0, 1), ("leaves", 0.99, 1)]])
@example(size=300, changes=[[], [("enters", 0.0, 250)], [("leaves", 0.0, 250)]])
@example(size=250, changes=[[("leaves", 0.0, 200)]])
def test_whatever_stays_is_read_once(size: int, changes: list[list[Change]]) -> None:
    book = Book(size, changes)
    got = walk(book, size)
    stayed = set(range(size)) - book.left
    assert stayed <= set(got)
    assert len(got) == len(set(got))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3000))
def test_a_quiet_list_is_read_from_its_end_with_few_calls(size: int) -> None:
    book = Book(size, [])
    assert sorted(walk(book, size)) == list(range(size))
    assert book.pages[0] == last_page(size)
    starts = [page.start for page in book.pages]
    assert starts == sorted(starts, reverse=True)
    assert len(book.pages) <= size / 49 + 1


def test_an_empty_list_is_not_read() -> None:
    book = Book(0, [])
    assert walk(book, 0) == []
    assert book.pages == []


def test_a_list_that_emptied_since_the_count_ends() -> None:
    assert walk(Book(0, []), 500) == []


@given(st.integers(0, 20_000))
def test_a_page_over_an_index_holds_it_and_reaches_back(index: int) -> None:
    page = page_over(index)
    assert page.start <= index < page.end
    assert 1 <= page.size <= LARGEST_PAGE
    assert page.start == 0 or index - page.start >= 49


@given(number=st.integers(1, 50), size=st.integers(1, 100))
def test_parts_cover_their_page_from_the_end(number: int, size: int) -> None:
    page = Page(number, size)
    parts = page.parts()
    if size == 1:
        assert parts == []
        return
    covered = [index for part in reversed(parts) for index in range(part.start, part.end)]
    assert covered == list(range(page.start, page.end))
    assert all(part.size < size for part in parts)


def test_a_list_that_never_rests_is_given_up() -> None:
    class Restless(Book):
        def apply_always(self) -> None:
            self.records = list(range(self.fresh, self.fresh + 300))
            self.fresh += 300

        def read(self, page: Page) -> PageRead:
            self.apply_always()
            return super().read(page)

    with pytest.raises(SourceUnavailable, match="moved faster"):
        walk(Restless(300, []), 300)


def walk_with_poison(size: int, poison: set[int]) -> tuple[set[int], list[Item], int]:
    book = Book(size, [])

    def read(page: Page) -> PageRead:
        got = book.read(page)
        if poison.intersection(got.records):
            raise UnreadablePage("broken")
        return got

    items: Iterator[Item] = walk_backwards(size, read, lambda r: r, "test")
    listed = list(items)
    good = {item.record for item in listed if item.defect is None}
    return good, [item for item in listed if item.defect], len(book.pages)


@settings(deadline=None)
@given(size=st.integers(1, 400), data=st.data())
def test_an_unreadable_record_costs_only_itself(size: int, data: st.DataObject) -> None:
    poison = data.draw(st.sets(st.integers(0, size - 1), max_size=3))
    good, bad, _ = walk_with_poison(size, poison)
    assert good == set(range(size)) - poison
    assert bool(bad) == bool(poison)
    assert {item.defect for item in bad} <= {"broken"}


def test_a_bad_record_is_found_in_few_calls() -> None:
    _, bad, calls = walk_with_poison(100, {37})
    assert [item.position for item in bad] == ["page 38 of 1"]
    assert calls < 20
