"""Events in a form of our own, to which any sender's own knowledge or webhook can be mapped.

``{"events": [...]}`` or the list alone; docs/reference/receiving.md describes every field. Mail
services differ in what they call things, so the mapping stands where the service is known: in the
program that sends, or in a few lines between the two. A sender of SMS tells in the same form what
it was answered when it sent, such as ``isv.CUSTOMER_REFUSED``.
"""

from collections.abc import Mapping
from typing import Any

from regulars.sources.receipts.reading import (
    Provider,
    Report,
    Rules,
    items_of,
    unix_time,
    with_unknown,
)

NAME = "events"
_KNOWN = frozenset(
    {
        *("event", "message_id", "occurred_at", "event_id", "code", "channel", "email", "phone"),
        *("part_count", "user_agent", "is_machine"),
    }
)
_REFUSING = ("complained", "unsubscribed")
_BY_PERSONS = ("opened", "clicked")


def read(document: Any, rules: Rules) -> list[Report]:
    """The events of one push.

    Raises:
        ValueError: it is neither a list nor an object.
    """
    if isinstance(document, Mapping) and "events" in document:
        document = document["events"]
        if not isinstance(document, list):
            raise ValueError("events is not a list")
    reports = []
    for item, broken in items_of(document):
        if item is None:
            reports += [broken] if broken else []
        else:
            reports.append(_event(item, rules))
    return reports


def _event(item: Mapping[str, Any], rules: Rules) -> Report:
    event, code = item.get("event"), item.get("code")
    record = {
        "provider": NAME,
        "channel": item.get("channel") or "email",
        "send_id": item.get("message_id"),
        "event": event,
        "occurred_at": unix_time(item.get("occurred_at")),
        "native_id": item.get("event_id"),
        "code": code,
        "part_count": item.get("part_count"),
        "phone": item.get("phone"),
        "email": item.get("email"),
    }
    if event in _BY_PERSONS:
        is_machine = rules.is_machine(item.get("user_agent"))
        record["is_machine"] = True if is_machine else item.get("is_machine")
    refuses = event in _REFUSING or (isinstance(code, str) and code.strip() in rules.refusal_codes)
    return Report(with_unknown(record, item, _KNOWN), is_refusal=refuses)


OWN_EVENTS = Provider(NAME, read, {"status": "landed"})
