"""What a call must carry, and what the platform answers when it does not."""

import hashlib
import hmac
from collections.abc import Callable

import orjson
import pytest

from regulars.sandbox.book import OrderBook
from regulars.sandbox.protocol import signature
from regulars.sandbox.server import TEST_ACCESS
from regulars.sandbox.shop import SandboxShop
from tests.sandbox.calls import FULL, INCREMENT, NOW, SOLD, SUNDAY, ask, refused, signed

_VECTOR = {
    "foo": "1",
    "bar": "2",
    "foo_bar": "3",
    "foobar": "4",
    "中": "文&=",
    "empty": "",
    "sign": "X",
}
_VECTOR_TEXT = "bar2foo1foo_bar3foobar4中文&="


def _error(shop: SandboxShop, call: dict[str, str]) -> tuple[int, str]:
    error = orjson.loads(shop.answer(call).body)["error_response"]
    assert error["request_id"]
    return error["code"], error["msg"]


def _resigned(call: dict[str, str]) -> dict[str, str]:
    return {**call, "sign": signature(call, TEST_ACCESS.app_secret, call["sign_method"])}


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("md5", hashlib.md5(f"s{_VECTOR_TEXT}s".encode(), usedforsecurity=False).hexdigest()),
        ("hmac", hmac.new(b"s", _VECTOR_TEXT.encode(), "md5").hexdigest()),
        ("hmac-sha256", hmac.new(b"s", _VECTOR_TEXT.encode(), "sha256").hexdigest()),
    ],
)
def test_signature_covers_sorted_decoded_values_without_empty_ones(
    method: str, expected: str
) -> None:
    assert signature(_VECTOR, "s", method) == expected.upper()


@pytest.mark.parametrize("method", ["md5", "hmac", "hmac-sha256"])
def test_every_signature_method_is_accepted(shop: SandboxShop, method: str) -> None:
    assert ask(shop, SOLD, sign_method=method, fields="tid")["total_results"] > 0


@pytest.mark.parametrize(
    ("name", "value", "code", "message"),
    [
        ("method", "", 21, "Missing Method"),
        ("method", "taobao.no.such.method", 22, "Invalid Method"),
        ("format", "xml", 23, "Invalid Format"),
        ("format", "", 23, "Invalid Format"),
        ("session", "", 26, "Missing Session"),
        ("session", "stolen", 27, "Invalid Session"),
        ("app_key", "", 28, "Missing App Key"),
        ("app_key", "other", 29, "Invalid App Key"),
        ("timestamp", "", 30, "Missing Timestamp"),
        ("timestamp", "yesterday", 31, "Invalid Timestamp"),
        ("v", "", 32, "Missing Version"),
        ("v", "1.0", 33, "Invalid Version"),
        ("sign_method", "rot13", 25, "Invalid Signature"),
        ("fields", "", 40, "Missing Required Arguments"),
    ],
)
def test_a_call_with_a_wrong_parameter_is_refused(
    shop: SandboxShop, name: str, value: str, code: int, message: str
) -> None:
    call = {**signed(SOLD, fields="tid"), name: value}
    if name != "sign_method":
        call = _resigned(call)
    assert _error(shop, call) == (code, message)


def test_a_missing_or_wrong_signature_is_refused(shop: SandboxShop) -> None:
    call = signed(SOLD, fields="tid")
    assert _error(shop, {**call, "sign": ""}) == (24, "Missing Signature")
    assert _error(shop, {**call, "sign": call["sign"].lower()}) == (25, "Invalid Signature")
    assert _error(shop, {**call, "page_no": "2"}) == (25, "Invalid Signature")
    assert _error(shop, {**call, "sign": "签名"}) == (25, "Invalid Signature")


@pytest.mark.parametrize(
    ("timestamp", "is_accepted"),
    [
        ("2026-11-21 12:00:00", True),
        ("2026-11-21 12:10:00", True),
        ("2026-11-21 12:10:01", False),
        ("2026-11-21 11:50:00", True),
        ("2026-11-21 11:49:59", False),
        ("2026-11-21 04:00:00", False),
        ("1795233600000", True),
        ("1795234200000", True),
        ("1795234200001", False),
    ],
)
def test_timestamps_may_be_ten_minutes_off(
    small_book: OrderBook, timestamp: str, is_accepted: bool
) -> None:
    noon: Callable[[], float] = lambda: 1_795_233_600.0  # noqa: E731  # 12:00 in GMT+8
    shop = SandboxShop(small_book, TEST_ACCESS, now=NOW, machine_seconds=noon)
    call = _resigned({**signed(SOLD, fields="tid"), "timestamp": timestamp})
    answer = orjson.loads(shop.answer(call).body)
    assert ("error_response" not in answer) == is_accepted
    if not is_accepted:
        assert answer["error_response"]["code"] == 31


def test_arguments_are_named_when_they_are_wrong(shop: SandboxShop) -> None:
    def sub_code(method: str, **parameters: str | int) -> str:
        error = refused(shop, method, **parameters)
        return f"{error['code']} {error['sub_code']}"

    assert sub_code(INCREMENT, fields="tid") == "40 isv.missing-parameter:start_modified"
    assert sub_code(FULL, fields="tid") == "40 isv.missing-parameter:tid"
    assert sub_code(FULL, fields="tid", tid=7) == "15 isv.trade-not-exist"
    assert sub_code(FULL, fields="tid", tid="seven") == "15 isv.trade-not-exist"
    wrong = {"fields": "tid", **SUNDAY}
    assert sub_code(INCREMENT, **wrong, page_size=101) == "41 isv.invalid-parameter:page_size"
    assert sub_code(INCREMENT, **wrong, page_size=0) == "41 isv.invalid-parameter:page_size"
    assert sub_code(INCREMENT, **wrong, page_no=0) == "41 isv.invalid-parameter:page_no"
    assert sub_code(INCREMENT, **wrong, page_no="x") == "41 isv.invalid-parameter:page_no"
    wrong["start_modified"] = "2017-10-01"
    assert sub_code(INCREMENT, **wrong) == "41 isv.invalid-parameter:start_modified"
