"""Tencent Cloud SMS, callbacks.

Status, a list of at most 100: user_receive_time, nationcode, mobile, report_status (SUCCESS or
FAIL), errmsg (the carrier's code), description, sid (the SerialNo of the call that sent it), and
``ext``, the SessionContext of that call, which carries our message id. **Tencent switches ``ext``
on for an application when asked; without it no status can be told apart.** Reply, one object:
extend, mobile, nationcode, sign, text, time (seconds since 1970). The provider documents both, the
answer ``{"result": 0, "errmsg": "OK"}``, two repetitions, and an API that lists its networks.

Unverified:

- ``user_receive_time`` carries no zone; read as GMT+8, as its sample and public clients suggest.
- Only an object is documented for a reply; a list of them is read all the same.
- The documentation names no signature of the push.
"""

from collections.abc import Mapping
from typing import Any

from regulars.sources.receipts.reading import (
    Provider,
    Report,
    Rules,
    items_of,
    local_time,
    unix_time,
    with_unknown,
)

NAME = "tencent_sms"
_OFFSET = "+08:00"
_STATUS = frozenset(
    {
        *("user_receive_time", "nationcode", "mobile", "report_status", "errmsg"),
        *("description", "sid", "ext"),
    }
)
_REPLY = frozenset(("extend", "mobile", "nationcode", "sign", "text", "time"))
_EVENTS = {"SUCCESS": "delivered", "FAIL": "failed"}
_HOME = ("", "86")


def read(document: Any, rules: Rules) -> list[Report]:
    """The statuses and replies of one callback.

    Raises:
        ValueError: it is neither a list nor an object.
    """
    reports = []
    for item, broken in items_of(document):
        if item is None:
            reports += [broken] if broken else []
        elif "text" in item:
            reports.append(_reply(item, rules))
        else:
            reports.append(_status(item, rules))
    return reports


def _status(item: Mapping[str, Any], rules: Rules) -> Report:
    status, code = item.get("report_status"), item.get("errmsg")
    record = {
        "provider": NAME,
        "channel": "sms",
        "send_id": item.get("ext"),
        "event": _EVENTS.get(status, status) if isinstance(status, str) else status,
        "occurred_at": local_time(item.get("user_receive_time"), _OFFSET),
        "native_id": item.get("sid"),
        "code": code,
        "phone": _phone(item),
    }
    refuses = isinstance(code, str) and code.strip() in rules.refusal_codes
    return Report(with_unknown(record, item, _STATUS), is_refusal=refuses)


def _reply(item: Mapping[str, Any], rules: Rules) -> Report:
    word = rules.refusing_word(item.get("text"))
    record = {
        "provider": NAME,
        "channel": "sms",
        "event": "unsubscribed" if word else "replied",
        "occurred_at": unix_time(item.get("time")),
        "code": word,
        "phone": _phone(item),
    }
    return Report(with_unknown(record, item, _REPLY), is_reply=True, is_refusal=word is not None)


def _phone(item: Mapping[str, Any]) -> object:
    """The number in the form in which shops know it: without the prefix at home."""
    mobile, nation = item.get("mobile"), str(item.get("nationcode") or "").lstrip("+")
    if nation in _HOME or not isinstance(mobile, str | int):
        return mobile
    return f"+{nation}{mobile}"


TENCENT_SMS = Provider(NAME, read, {"result": 0, "errmsg": "OK"})
