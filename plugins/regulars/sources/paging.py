"""Paging through a list that may change while it is paged.

Platforms ask to page from the last page to the first, because a record that changes leaves its
window and takes one not yet read out of a forward reader's sight. That alone is safe only while
records leave: one that *enters* (shown late) pushes the others towards pages that were read
already. So neighbouring reads overlap here. Each read
covers the first record of the read before it, and the walk goes on only when it has found one of
that read's records again:

* everything behind a record A has been collected (true after the first read, which reaches
  the end of the list);
* the next read is one contiguous piece of the list that holds A or another record C of the read
  before: everything behind C is collected, and between the piece's first record B and C
  nothing is left out;
* so everything behind B has been collected, until B is the first record of the list.

Records that stay in the window keep their order, hence none of them is lost, whatever enters and
leaves between the reads. Records read twice are given once.

It does not matter whether the platform lists the newest or the oldest first. Paging that can only
walk forward (``use_has_next``) is not used for the reason above.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from regulars.errors import SourceUnavailable

LARGEST_PAGE = 100
"""Records of the largest page of most platforms."""
_DETOURS = 50


@dataclass(frozen=True, slots=True)
class Page:
    """Page ``number`` (from 1) of ``size`` records."""

    number: int
    size: int

    @property
    def start(self) -> int:
        """Index of the page's first record in the list."""
        return (self.number - 1) * self.size

    @property
    def end(self) -> int:
        """Index after the page's last record."""
        return self.number * self.size

    def parts(self) -> list["Page"]:
        """The smaller pages that cover exactly this one, the last first; none for one record."""
        if self.size == 1:
            return []
        factor = next(f for f in range(2, self.size + 1) if self.size % f == 0)
        size = self.size // factor
        first = self.start // size + 1
        return [Page(first + i, size) for i in reversed(range(factor))]


@dataclass(frozen=True, slots=True)
class PageRead:
    """What one read gave: the list's length at that moment and the page's records."""

    total: int
    records: list[Any]


class UnreadablePage(Exception):
    """The page could not be read although the platform answers; ``reason`` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Item:
    """One record of the walk, or the place of one that could not be read (``defect``)."""

    record: Any
    position: str
    defect: str | None = None


ReadPage = Callable[[Page], PageRead]
Identity = Callable[[Any], object]


def page_over(index: int, largest: int = LARGEST_PAGE) -> Page:
    """The page of at most ``largest`` records that holds ``index``, reaching far before it."""
    if index < largest:
        return Page(1, index + 1)
    _, size = max((index % size, size) for size in range(1, largest + 1))
    return Page(index // size + 1, size)


def last_page(total: int, largest: int = LARGEST_PAGE) -> Page:
    """The last page of a list of ``total`` records (at least one)."""
    if total <= largest:
        return Page(1, largest)
    return Page(-(-total // largest), largest)


def walk_backwards(
    count: int,
    read: ReadPage,
    identity: Identity,
    where: str,
    largest: int = LARGEST_PAGE,
) -> Iterator[Item]:
    """Every record that stays in the list during the walk, the last part of the list first.

    Args:
        count: length of the list as counted just before.
        read: reads one page; raises UnreadablePage for one that cannot be read.
        identity: what makes two records the same version of the same thing.
        where: shop, stream and window, for errors.
        largest: records of the largest page that the platform gives.

    Raises:
        SourceUnavailable: the list moved faster than it could be read.
    """
    seen: set[object] = set()
    anchor: set[object] = set()
    position, total = count, count
    page = last_page(max(count, 1), largest)
    is_linked = True
    for _ in range(2 * (3 * count // largest) + _DETOURS):
        if not total:
            return
        is_last = not anchor
        try:
            got = read(page)
        except UnreadablePage as bad:
            yield from _in_parts(page, bad, read, identity, seen)
            if not page.start:
                return
            # Without its records nothing can be linked; the window is reported and asked again.
            anchor, position, is_linked = {None}, page.start, False
            page = page_over(position, largest)
            continue
        total = got.total
        ids = [identity(record) for record in got.records]
        if is_last and total > page.end:
            page = last_page(total, largest)
            continue
        if anchor and is_linked and anchor.isdisjoint(ids):
            # What was read last has moved: go back towards the end of the list.
            position += largest // 2
            if position >= total:
                anchor = set()
            page = (
                last_page(max(total, 1), largest)
                if position >= total
                else page_over(position, largest)
            )
            continue
        yield from _fresh(page, got.records, ids, seen)
        if not page.start:
            return
        anchor, position, is_linked = set(ids), page.start, True
        if not ids:
            anchor = set()
            page = last_page(max(total, 1), largest)
            continue
        page = page_over(position, largest)
    raise SourceUnavailable(
        "the list moved faster than it could be paged",
        where=where,
        next_step="raise margin_minutes in config/shops.yml, then run the night again",
    )


def _fresh(page: Page, records: list[Any], ids: list[object], seen: set[object]) -> Iterator[Item]:
    for index, (record, key) in enumerate(zip(records, ids, strict=True), start=1):
        if key not in seen:
            seen.add(key)
            yield Item(record, f"page {page.number} of {page.size}, item {index}")


def _in_parts(
    page: Page, bad: UnreadablePage, read: ReadPage, identity: Identity, seen: set[object]
) -> Iterator[Item]:
    """Read a bad page in ever smaller parts; what stays unreadable is one named place."""
    parts = page.parts()
    if not parts:
        yield Item(None, f"page {page.number} of {page.size}", bad.reason)
        return
    for part in parts:
        try:
            got = read(part)
        except UnreadablePage as worse:
            yield from _in_parts(part, worse, read, identity, seen)
        else:
            yield from _fresh(part, got.records, [identity(r) for r in got.records], seen)
