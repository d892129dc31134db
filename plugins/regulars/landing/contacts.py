"""Contact fields leave the record here: a token, a keyed hash and a masked form stay.

Known contact fields always do. Of fields that no model knows, those named like a contact or holding
one do as well: a platform that adds a field must not put a phone number into landing.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from regulars.sources.payloads import PayloadModel, as_text
from regulars.vault import ContactKind, ContactRef, Vault, is_masked
from regulars.vault.contacts import holds_contact

_CONTACT_NAME = re.compile(
    r"phone|mobile|e?mail|addr|wechat|whatsapp|receiver|recipient|consignee"
    r"|contact|id_?card|passport|nick|alipay|(?:full|first|last|real)_?name"
    r"|(?:buyer|customer|member|user|payer|sender|person|owner|guest)[a-z_]*[.]?name"
    r"|手机|电话|邮箱|地址|收货人|收件人|姓名|微信|旺旺|会员名|支付宝账号|身份证",
    re.IGNORECASE,
)
# Names of members in a text that is, or holds, an object; escaped where a text stands in a text.
_MEMBER_NAME = re.compile(r'\\*"([^"\\]{1,200})\\*"\s*:')
# What a refused value may look like to be shown in quarantine: codes, amounts, points in time.
_SHOWABLE = re.compile(r"[A-Z_0-9]{1,40}|[-+0-9.,:/ TZeE¥￥元]{1,40}")
_NUMBER = re.compile(r"\d{7}")


def contact_keys(
    name: str, kind: ContactKind, value: str, refs: Mapping[str, ContactRef]
) -> dict[str, str]:
    """What stands in a record instead of the contact ``value`` of the field ``name``."""
    if is_masked(kind, value):
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
    return vault.tokenise(kind, [value for value in values if not is_masked(kind, value)])


def safe_name(model: PayloadModel, name: str) -> str:
    """Name under which a field that the model does not know may stand beside those it knows."""
    plain = name.lstrip("_") or "unnamed"
    is_taken = plain in model.reserved or plain in model.names
    return f"source_{plain}" if is_taken else plain


def looks_like_contact(name: str, text: str) -> bool:
    """Whether an unknown field must be taken for a contact.

    It is one by its name, by its content, or by the name of any member inside it.
    """
    return _CONTACT_NAME.search(name) is not None or holds_contact(text) or _has_person(name, text)


def _has_person(name: str, text: str) -> bool:
    """Whether ``text`` is an object, or holds one, with a member named like a contact."""
    if "{" not in text:
        return False
    waiting: list[tuple[str, Any]] = [(name, text)]
    while waiting:
        outer, value = waiting.pop()
        if isinstance(value, dict):
            # With the outer name before it: a buyer's name is called name.
            if any(_CONTACT_NAME.search(f"{outer}.{member}") for member in value):
                return True
            waiting += value.items()
        elif isinstance(value, list):
            waiting += [(outer, one) for one in value]
        elif isinstance(value, str) and "{" in value:
            try:
                waiting.append((outer, orjson.loads(value)))
            except orjson.JSONDecodeError:
                names = _MEMBER_NAME.findall(value)
                if any(_CONTACT_NAME.search(f"{outer}.{member}") for member in names):
                    return True
    return False


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
        return contact_keys(safe, "other", text, tokenise_plain(vault, "other", [text]))
    return {safe: text}


def quarantine_payload(
    model: PayloadModel, record: Mapping[str, Any], refused: Iterable[str], vault: Vault
) -> dict[str, Any]:
    """A refused record as it may stand in quarantine: every contact tokenised or sealed.

    Args:
        model: the stream's model.
        record: the record as the source gave it.
        refused: names of the fields that were refused; what stands in them may be anything, so
            it is shown only when it looks like a code, an amount or a point in time.
        vault: where contacts go.
    """
    refused = frozenset(refused)
    payload: dict[str, Any] = {}
    for name, value in record.items():
        text = plain_text(value)
        if text is None:
            continue
        if name in model.contacts:
            kind = model.contacts[name]
            payload.update(contact_keys(name, kind, text, tokenise_plain(vault, kind, [text])))
        elif name not in model.names:
            payload.update(unknown_keys(model, name, value, vault))
        elif (
            holds_contact(text)
            or _has_person(name, text)
            or (name in refused and not _is_showable(text))
        ):
            payload[f"{name}_sealed"] = vault.seal(text)
        else:
            payload[name] = text
    return payload


def _is_showable(text: str) -> bool:
    """Whether a refused value may be shown: no number that somebody could be called or known by."""
    return _SHOWABLE.fullmatch(text) is not None and _NUMBER.search(text) is None
