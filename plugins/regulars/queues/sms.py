"""What a marketing SMS must and may not be: length in parts, signature, way to refuse, words."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

SINGLE_PART_CHARACTERS = 70
"""A message up to this length is one part (carriers; signature and spaces count)."""
PART_CHARACTERS = 67
"""Characters of each part of a longer message: the rest holds the joining header."""
TEMPLATE_CHARACTERS = 500
"""Longest template vendors accept."""
OPT_OUT = "拒收请回复R"
"""No other wording is accepted by the large vendors."""

_SIGNATURE = re.compile(r"【([^【】]*)】")
_SIGNATURE_LENGTH = range(2, 13)
_VARIABLE = re.compile(r"\{([^{}]*)\}")
_LINK = re.compile(
    r"(?:https?://)?(?:[a-z0-9-]+\.)+[a-z]{2,}(?:/[^\s，。！、【】]*)?", re.IGNORECASE
)
# 亲 as a salutation, not 亲子 or 亲友; 尊敬的 is one wherever it stands.
_SALUTATION = re.compile(r"(?:^|[】，。！!、,\s])亲(?:爱的|们?[，,！!。~～:：\s])|尊敬的")
_PART_ORDER = ("nickname", "theme", "period", "coupon_amount", "store_address")


class Severity(StrEnum):
    """Whether a finding keeps the template from being sent."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    """One thing wrong with a template."""

    rule: str
    severity: Severity
    message: str


def sms_length(text: str) -> int:
    """Characters as carriers count them (UTF-16 units): an emoji is two."""
    return len(text.encode("utf-16-le")) // 2


def sms_parts(text: str) -> int:
    """Parts a text is billed as: 1 up to 70 characters, then 67 per part."""
    length = sms_length(text)
    return 1 if length <= SINGLE_PART_CHARACTERS else -(-length // PART_CHARACTERS)


def lint_sms(
    template: str, longest_values: Mapping[str, str], forbidden_words: Sequence[str] = ()
) -> list[Finding]:
    """Check a template with every variable at its longest value.

    Args:
        template: the text, with ``{variable}`` where a value goes.
        longest_values: the variables that can be filled in, each with its longest value.
        forbidden_words: words that may not stand in the text.

    Returns:
        Findings in the order of the text's rules; no error means that it may be sent.
    """
    text = template.strip()
    unresolved = [name for name in _VARIABLE.findall(text) if name not in longest_values]
    full = _VARIABLE.sub(lambda match: longest_values.get(match[1], match[0]), text)
    findings = [
        *_signature_findings(full),
        *_link_findings(full),
        *_word_findings(full, forbidden_words),
        *(
            Finding("variable", Severity.ERROR, f"nothing fills in {{{name}}}")
            for name in unresolved
        ),
        *_order_findings(text),
        *_length_findings(full),
    ]
    if not full.endswith(OPT_OUT):
        findings.append(Finding("opt_out", Severity.ERROR, f"the text must end with {OPT_OUT}"))
    return findings


def _signature_findings(text: str) -> list[Finding]:
    found = list(_SIGNATURE.finditer(text))
    if len(found) != 1 or found[0].start() != 0:
        message = "the text must begin with one signature, 【…】, and have no other"
        return [Finding("signature", Severity.ERROR, message)]
    if len(found[0][1]) not in _SIGNATURE_LENGTH:
        return [Finding("signature", Severity.ERROR, "a signature has 2 to 12 characters")]
    return []


def _link_findings(text: str) -> list[Finding]:
    findings = []
    for match in _LINK.finditer(text):
        before, after = text[: match.start()][-1:], text[match.end() :][:1]
        if match[0].lower().startswith("http://"):
            findings.append(
                Finding("link", Severity.ERROR, "links go without http://, phones find them")
            )
        if (before and not before.isspace()) or (after and not after.isspace()):
            findings.append(
                Finding("link", Severity.ERROR, "a link needs a space before and after it")
            )
    return findings


def _word_findings(text: str, forbidden_words: Sequence[str]) -> list[Finding]:
    findings = [
        Finding("word", Severity.ERROR, f"the word {word} is not allowed")
        for word in forbidden_words
        if word in text
    ]
    if _SALUTATION.search(text):
        message = "亲 and 尊敬的 are nobody's name: use the nickname or nothing"
        findings.append(Finding("salutation", Severity.ERROR, message))
    return findings


def _order_findings(template: str) -> list[Finding]:
    places = [template.find(f"{{{part}}}") for part in _PART_ORDER]
    present = [place for place in places if place >= 0]
    findings = []
    if places[0] < 0:
        findings.append(Finding("nickname", Severity.WARNING, "the text has no {nickname}"))
    if present != sorted(present):
        message = f"the parts should stand in the order {', '.join(_PART_ORDER)}"
        findings.append(Finding("order", Severity.WARNING, message))
    return findings


def _length_findings(text: str) -> list[Finding]:
    length, parts = sms_length(text), sms_parts(text)
    if length > TEMPLATE_CHARACTERS:
        message = f"{length} characters, vendors accept {TEMPLATE_CHARACTERS}"
        return [Finding("length", Severity.ERROR, message)]
    if parts > 1:
        message = f"{length} characters are billed as {parts} parts"
        return [Finding("length", Severity.WARNING, message)]
    return []
