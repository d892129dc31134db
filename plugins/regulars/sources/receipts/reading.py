"""What the providers' modules share: a report on its way, times, refusals, machines."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from regulars.sources.receipts.contract import REPORTS

_LOCAL = re.compile(r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})")
_AROUND = " \t\r\n.。,，!！'\"“”‘’「」【】()（）"
_LAST_SECOND = 32_503_680_000  # the year 3000; what is larger is no count of seconds


@dataclass(frozen=True, slots=True)
class Rules:
    """What the people of the shops say about reports (config/receiving.yml).

    Attributes:
        refusal_words: a reply that is one of them, and nothing else, refuses.
        refusal_phrases: a reply that holds one of them refuses.
        refusal_codes: a report with one of these codes says that the recipient has refused.
        machine_agents: parts of user agents that are no person's.
    """

    refusal_words: frozenset[str] = frozenset()
    refusal_phrases: tuple[str, ...] = ()
    refusal_codes: frozenset[str] = frozenset()
    machine_agents: tuple[str, ...] = ()

    def refusing_word(self, text: object) -> str | None:
        """The word or phrase by which a reply refuses; None when it does not."""
        if not isinstance(text, str):
            return None
        plain = unicodedata.normalize("NFKC", text).strip(_AROUND).casefold()
        for word in self.refusal_words:
            if plain == word.casefold():
                return word
        return next((one for one in self.refusal_phrases if one.casefold() in plain), None)

    def is_machine(self, agent: object) -> bool:
        """Whether a user agent is a known scanner's or proxy's."""
        if not isinstance(agent, str):
            return False
        plain = agent.casefold()
        return any(part.casefold() in plain for part in self.machine_agents)


@dataclass(frozen=True, slots=True)
class Report:
    """One report, before anybody looked whether it is about a message of ours.

    Attributes:
        record: fields of the stream's payload model as far as the provider gives them, not
            checked yet; contacts are still plain, so it is never shown.
        is_reply: it names no message, only who answered.
        is_refusal: the recipient says no.
        defect: why it is no record at all; what came is then in ``record``.
    """

    record: Mapping[str, Any] = field(repr=False)
    is_reply: bool = False
    is_refusal: bool = False
    defect: str | None = None


@dataclass(frozen=True, slots=True)
class Provider:
    """How one provider's pushes are read and answered.

    Attributes:
        read: a parsed body's reports, in order. ValueError when the body has another shape.
        answer: what the provider takes for success.
    """

    name: str
    read: Callable[[Any, Rules], list[Report]]
    answer: Mapping[str, Any]


def items_of(document: object) -> Iterator[tuple[Mapping[str, Any] | None, Report | None]]:
    """Each item of a list (or the one object) as a mapping, or as a report that has a defect.

    Raises:
        ValueError: the document is neither.
    """
    if isinstance(document, Mapping):
        document = [document]
    if not isinstance(document, list):
        raise ValueError("neither a list nor an object")
    for item in document:
        if isinstance(item, Mapping):
            yield item, None
        else:
            yield None, Report({"value": item}, defect="not an object")


def with_unknown(
    record: dict[str, Any], item: Mapping[str, Any], known: frozenset[str]
) -> dict[str, Any]:
    """The record with what the provider sent and its module does not know, for drift to show."""
    for name in item.keys() - known:
        record[f"source_{name}" if name in REPORTS.names else name] = item[name]
    return record


def local_time(value: object, offset: str) -> object:
    """A wall clock time with the provider's offset; anything else as it came, for the check."""
    if isinstance(value, str):
        text = value.strip()
        if compact := _COMPACT.fullmatch(text):
            year, month, day, hour, minute, second = compact.groups()
            text = f"{year}-{month}-{day} {hour}:{minute}:{second}"
        if _LOCAL.fullmatch(text):
            return text + offset
    return value


def unix_time(value: object) -> object:
    """Seconds since 1970 as an instant; anything else as it came, for the check."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str) and text.isascii() and text.isdigit() and int(text) < _LAST_SECOND:
        return datetime.fromtimestamp(int(text), UTC).isoformat(sep=" ")
    return value
