"""What the platform's paged lists have in common, whatever they list."""

from abc import ABC, abstractmethod
from datetime import datetime

from regulars.errors import SchemaChanged, SourceUnavailable
from regulars.sources.jd_jos.auth import PLATFORM_ZONE
from regulars.sources.jd_jos.client import JdClient
from regulars.sources.paging import Page, PageRead, UnreadablePage

PART_ATTEMPTS = 2
FAILURES_IN_A_ROW = 12


class ListReader(ABC):
    """Reads pages of one list and notices when the platform is gone altogether.

    Args:
        client: the seller's account.
        where: method and window, for errors.
    """

    def __init__(self, client: JdClient, where: str) -> None:
        self.client = client
        self.where = where
        self._failures = 0

    @abstractmethod
    def ask(self, page: Page, attempts: int | None, *, is_count: bool) -> PageRead:
        """Ask for one page; a count needs nothing of the records.

        Raises:
            SourceError: see :meth:`JdClient.call`.
        """

    def count(self) -> int:
        """How many records the list holds now."""
        return self.ask(Page(1, 1), None, is_count=True).total

    def read(self, page: Page) -> PageRead:
        """One page; UnreadablePage when it fails although the platform answers otherwise."""
        attempts = PART_ATTEMPTS if self._failures else None
        try:
            got = self.ask(page, attempts, is_count=False)
        except SourceUnavailable as error:
            self._failures += 1
            if self._failures >= FAILURES_IN_A_ROW:
                raise
            raise UnreadablePage(f"could not be read: {error.what}") from None
        self._failures = 0
        if page.number > 1 and not got.records:
            # Beyond its end a list says that it holds nothing at all.
            return PageRead(self.count(), [])
        return got


def platform_time(instant: datetime) -> str:
    """An instant as the platform writes it."""
    return instant.astimezone(PLATFORM_ZONE).strftime("%Y-%m-%d %H:%M:%S")


def unexpected(what: str, method: str) -> SchemaChanged:
    """The error for an answer of an undocumented shape."""
    return SchemaChanged(
        what,
        where=method,
        next_step="compare the platform's documentation with the source's streams",
    )


def is_success(value: object) -> bool:
    """Whether a ``success`` member says so; it comes as a boolean or as text."""
    return value is True or value == "true"


def shown(number: object) -> str:
    """A code of the platform for an error's text; anything but digits is not shown."""
    text = str(number or "")
    return text if text.isdecimal() and len(text) < 20 else "none"


def whole(value: object, name: str, method: str) -> int:
    """A count, which comes as a number or as text.

    Raises:
        SchemaChanged: it is no count.
    """
    if isinstance(value, bool) or not str(value).isdecimal():
        raise unexpected(f"{name} is not a number", method)
    return int(str(value))
