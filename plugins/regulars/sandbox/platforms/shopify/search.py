"""The search syntax of the list of orders, as far as the sandbox serves it.

Terms separated by blanks are ANDed: ``updated_at:>='2017-10-01T00:00:00Z' id:>42``. An unknown
filter is not an error: it is ignored and named in ``extensions.search``.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

_TERM = re.compile(r"\s*(?:(\w+):(>=|<=|>|<)?(?:'([^']*)'|\"([^\"]*)\"|(\S+))|(\S+))")
_KNOWN = frozenset({"updated_at", "created_at", "id"})


@dataclass
class Bounds:
    """A half-open span of whole numbers."""

    low: int = 0
    high: int = 2**62

    def narrow(self, comparator: str, value: int) -> None:
        """Add one comparison."""
        if comparator in (">", ""):
            self.low = max(self.low, value + (comparator == ">"))
        if comparator == ">=":
            self.low = max(self.low, value)
        if comparator in ("<=", ""):
            self.high = min(self.high, value + 1)
        if comparator == "<":
            self.high = min(self.high, value)

    def __contains__(self, value: int) -> bool:
        return self.low <= value < self.high


@dataclass
class Search:
    """A parsed search; times are Unix seconds."""

    updated_at: Bounds = field(default_factory=Bounds)
    created_at: Bounds = field(default_factory=Bounds)
    id: Bounds = field(default_factory=Bounds)
    warnings: list[dict[str, str]] = field(default_factory=list)

    @classmethod
    def parse(cls, text: str, ignored: list[str] | None = None) -> "Search":
        """Read a search; filters in ``ignored`` count as unknown."""
        search = cls()
        for match in _TERM.finditer(text):
            name, comparator, *values, bare = match.groups()
            value = next((one for one in values if one is not None), "")
            if name is None:
                search._warn(bare, "invalid_term")
            elif name not in _KNOWN or name in (ignored or []):
                search._warn(name, "invalid_field")
            else:
                try:
                    number = int(value) if name == "id" else _unix(value)
                except ValueError:
                    search._warn(name, "invalid_value")
                    continue
                bounds: Bounds = getattr(search, name)
                bounds.narrow(comparator or "", number)
        return search

    def _warn(self, name: str, code: str) -> None:
        self.warnings.append({"field": name, "message": "Ignored.", "code": code})


def _unix(text: str) -> int:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
