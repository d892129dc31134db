"""Contact fields leave the record here: a token, a keyed hash and a masked form stay.

Known contact fields always do. Of fields that no model knows, those named like a contact or holding
one do as well: a platform that adds a field must not put a phone number into landing.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from regulars.sources.payloads import PayloadModel, as_text
from regulars.vault import ContactKind, ContactRef, Vault, is_masked
from regulars.vault.contacts import holds_contact

_CONTACT_NAME = re.compile(
    r"phone|mobile|e?mail|address|wechat|whatsapp|receiver_|consignee|id_?card|nick|alipay"
    r"|手机|电话|邮箱|地址|收货人|姓名|微信|旺旺|会员名|支付宝账号|身份证",
    re.IGNORECASE,
)
# What a refused value may look like to be shown in quarantine: words, numbers, points in time.
_SHOWABLE = re.compile(r"[A-Za-z][A-Za-z_ \-]{0,40}|[-+0-9.,:/ TZeE¥￥元]{1,40}")


def contact_keys(name: str, value: str, refs: Mapping[str, ContactRef]) -> dict[str, str]:
    """What stands in a record instead of the contact ``value`` of the field ``name``."""
    if is_masked(value):
        return {f"{name}_masked": value}
    ref = refs.get(value)
    if ref is None:  # nothing but blanks and punctuation
        return {}
    return {
        f"{name}_ref": ref.token,
        f"{name}_hash": ref.hash,
        f"{name}_masked": ref.masked,
    }


def tokenise_plain(vault: Vault, kind: ContactKind, values: Iterable[str]) -> dict[str, ContactRef]:
    """References of the values that no platform has masked, by value."""
    return vault.tokenise(kind, [value for value in values if not is_masked(value)])


def safe_name(model: PayloadModel, name: str) -> str:
    """Name under which a field that the model does not know may stand beside those it knows."""
    plain = name.lstrip("_") or "unnamed"
    is_taken = plain in model.reserved or plain in model.names
    return f"source_{plain}" if is_taken else plain


def looks_like_contact(name: str, text: str) -> bool:
    """Whether an unknown field must be taken for a contact."""
    return _CONTACT_NAME.search(name) is not None or holds_contact(text)


def plain_text(value: Any) -> str | None:
    """Any value as text: plain ones as they are, nested ones as JSON; None when blank."""
    try:
        return as_text(value)
    except ValueError:
        if isinstance(value, dict | list):
            return json.dumps(value, ensure_ascii=False, default=str)
        return repr(value)


def unknown_keys(model: PayloadModel, name: str, value: Any, vault: Vault) -> dict[str, Any]:
    """What stands in a record for a field that the model does not know; empty when blank."""
    text = plain_text(value)
    if text is None:
        return {}
    safe = safe_name(model, name)
    if looks_like_contact(name, text):
        return contact_keys(safe, text, tokenise_plain(vault, "other", [text]))
    return {safe: text}


def quarantine_payload(
    model: PayloadModel, record: Mapping[str, Any], refused: Iterable[str], vault: Vault
) -> dict[str, Any]:
    """A refused record as it may stand in quarantine: every contact tokenised or sealed.

    Args:
        model: the stream's model.
        record: the record as the source gave it.
        refused: names of the fields that were refused; what stands in them may be anything, so
            it is shown only when it looks like a word, a number or a point in time.
        vault: where contacts go.
    """
    refused = frozenset(refused)
    payload: dict[str, Any] = {}
    for name, value in record.items():
        text = plain_text(value)
        if text is None:
            continue
        if name in model.contacts:
            refs = tokenise_plain(vault, model.contacts[name], [text])
            payload.update(contact_keys(name, text, refs))
        elif name not in model.names:
            payload.update(unknown_keys(model, name, value, vault))
        elif holds_contact(text) or (name in refused and not _SHOWABLE.fullmatch(text)):
            payload[f"{name}_sealed"] = vault.seal(text)
        else:
            payload[name] = text
    return payload
