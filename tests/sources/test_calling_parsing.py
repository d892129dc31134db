"""Answers are parsed the quick way only where that gives what the careful one gives."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.sources.calling import parsed

WHOLE = [
    *("9999999999999999999", "18446744073709551615", "18446744073709551616"),
    *("-999999999999999999", "-9223372036854775808", "-9223372036854775809", "9" * 40),
]
"""On both sides of what fits into 64 bits, and of how many digits are looked at twice."""

TEXTS = st.text() | st.sampled_from(["1.5 QT", ", 2.50", ":1e5", "[-0.1", "🍜", "\ud800"])
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.floats()
    | TEXTS
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def careful(content: bytes) -> Any:
    return json.loads(content, parse_float=str, parse_constant=str)


@settings(deadline=None)
@given(VALUES, st.sampled_from([None, 1]), st.booleans())
def test_both_ways_give_the_same_value(value: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps({"value": value}, indent=indent, ensure_ascii=ascii_only)
    content = text.encode("utf-8", errors="replace")
    assert repr(parsed(content)) == repr(careful(content))


@pytest.mark.parametrize(
    "number",
    ["0.10", "-0.0", "12.345", "1e3", "1E-7", "9007199254740993.0", "-0", *WHOLE],
)
@pytest.mark.parametrize("form", ['{{"a":{}}}', '{{"a" : {} }}', '{{"a":[1,{}]}}', '{{"a":[{}]}}'])
def test_no_digit_of_a_number_is_lost(form: str, number: str) -> None:
    content = form.format(number).encode()
    assert repr(parsed(content)) == repr(careful(content))


@pytest.mark.parametrize("content", [b"", b"<html>", b'{"a":', b'{"a":1}}', b'{"a":"\n"}'])
def test_what_is_no_json_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parsed(content)
