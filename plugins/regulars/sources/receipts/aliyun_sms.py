"""Alibaba Cloud SMS (Dysmsapi 2017-05-25), HTTP batch push.

``SmsReport``, a list of: phone_number, send_time, report_time, success (true or false), err_code,
err_msg, sms_size, biz_id (of the whole call that sent it), out_id (the OutId of that call; our
message id). ``SmsUp``, a list of: phone_number, content, send_time, dest_code, sequence_id, and in
older versions sign_name. The provider documents both, the answer ``{"code": 0, "msg": ...}`` (only
the status 200 and a numeric code count), and three repetitions after 1, 5 and 10 minutes.

Unverified:

- The times carry no zone. Public clients read them as GMT+8, and so do we.
- The documentation names no signature and no list of networks for the push.
- That ``isv.CUSTOMER_REFUSED`` comes as ``err_code`` of a report, and not only as the answer to
  the call that sends; a sender reports the latter in the form of ``own_events``.
- ``message_id``, ``template_code`` and ``sign_name`` belong to a sister product's reports.
"""

from collections.abc import Mapping
from typing import Any

from regulars.sources.receipts.reading import (
    Provider,
    Report,
    Rules,
    items_of,
    local_time,
    with_unknown,
)

NAME = "aliyun_sms"
_OFFSET = "+08:00"
_REPORT = frozenset(
    {
        *("phone_number", "send_time", "report_time", "success", "err_code", "err_msg"),
        *("sms_size", "biz_id", "out_id"),
    }
)
_REPLY = frozenset(
    ("phone_number", "content", "send_time", "dest_code", "sequence_id", "sign_name")
)
_EVENTS = {True: "delivered", "true": "delivered", False: "failed", "false": "failed"}


def read(document: Any, rules: Rules) -> list[Report]:
    """The reports and replies of one push.

    Raises:
        ValueError: it is neither a list nor an object.
    """
    reports = []
    for item, broken in items_of(document):
        if item is None:
            reports += [broken] if broken else []
        elif "content" in item:
            reports.append(_reply(item, rules))
        else:
            reports.append(_report(item, rules))
    return reports


def _report(item: Mapping[str, Any], rules: Rules) -> Report:
    success, code = item.get("success"), item.get("err_code")
    plain = success.strip().lower() if isinstance(success, str) else success
    record = {
        "provider": NAME,
        "channel": "sms",
        "send_id": item.get("out_id"),
        "event": _EVENTS.get(plain, success) if isinstance(plain, str | bool) else success,
        "occurred_at": local_time(item.get("report_time"), _OFFSET),
        "native_id": item.get("biz_id"),
        "code": code,
        "part_count": item.get("sms_size"),
        "phone": item.get("phone_number"),
    }
    refuses = isinstance(code, str) and code.strip() in rules.refusal_codes
    return Report(with_unknown(record, item, _REPORT), is_refusal=refuses)


def _reply(item: Mapping[str, Any], rules: Rules) -> Report:
    # What somebody wrote is nobody's business here: only the word that refuses stays.
    word = rules.refusing_word(item.get("content"))
    record = {
        "provider": NAME,
        "channel": "sms",
        "event": "unsubscribed" if word else "replied",
        "occurred_at": local_time(item.get("send_time"), _OFFSET),
        "native_id": item.get("sequence_id"),
        "code": word,
        "phone": item.get("phone_number"),
    }
    return Report(with_unknown(record, item, _REPLY), is_reply=True, is_refusal=word is not None)


ALIYUN_SMS = Provider(NAME, read, {"code": 0, "msg": "接收成功"})
