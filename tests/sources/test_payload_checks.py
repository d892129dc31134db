"""Payload models: what a value becomes, and why it is refused."""

import re
import string
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.sources import payload_model, raw_columns, raw_streams
from regulars.sources.payloads import Field, Kind, PayloadModel, compile_check
from regulars.sources.taobao_top.payload import ORDERS
from tests.sources.gateway import trade

AT = datetime(2017, 10, 1, 8, 5, 9)  # noqa: DTZ001 - files carry the shop's wall clock
CHINA = timezone(timedelta(hours=8))


def checked(kind: Kind, value: object, *values: str) -> str | None:
    text: str | None = compile_check(Field("field", kind, values=values))(value)
    return text


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("id", "AA055DRD8VJfx2cLZKxcNqRA", "AA055DRD8VJfx2cLZKxcNqRA"),
        ("id", 9223372036854775807, "9223372036854775807"),
        ("id", 9007199254740993, "9007199254740993"),
        ("id", '="1234567890123456789"', "1234567890123456789"),
        ("id", '"1234567890123456789"', "1234567890123456789"),
        ("id", "'1234567890123456789", "1234567890123456789"),
        ("id", "\t6917000000000000001", "6917000000000000001"),
        ("id", "42.0", "42"),
        ("id", 42.0, "42"),
        ("id", "AA+b/c==", "AA+b/c=="),
        ("id", "a-b_c", "a-b_c"),
        ("id", "0042", "0042"),
        ("id", "12e45", "12e45"),
        ("id", " ", None),
        ("amount", "12.3", "12.3"),
        ("amount", "12", "12"),
        ("amount", "-0.50", "-0.50"),
        ("amount", "¥1,234.50", "1234.50"),
        ("amount", "12.00元", "12.00"),
        ("amount", "+3.20", "3.20"),
        ("amount", 12, "12"),
        ("amount", 12.34, "12.34"),
        ("amount", 0.1, "0.1"),
        ("amount", Decimal("12.5000"), "12.50"),
        ("amount", Decimal("1E+2"), "100"),
        ("amount", "", None),
        ("amount", float("nan"), None),
        ("amount", Decimal("NaN"), None),
        ("decimal", "0.333333", "0.333333"),
        ("decimal", 2, "2"),
        ("integer", "12", "12"),
        ("integer", "-12", "-12"),
        ("integer", 12.0, "12"),
        ("integer", "12.0", "12"),
        ("integer", "-12.00", "-12"),
        ("integer", "1,200", "1200"),
        ("flag", True, "true"),
        ("flag", "FALSE", "false"),
        ("flag", "是", "true"),
        ("flag", 0, "false"),
        ("timestamp", "2017-10-01 08:05:09", "2017-10-01 08:05:09"),
        ("timestamp", "2017-10-01T08:05:09+08:00", "2017-10-01 08:05:09+08:00"),
        ("timestamp", "2017-10-01T08:05:09+0800", "2017-10-01 08:05:09+08:00"),
        ("timestamp", "2017-10-01T00:05:09Z", "2017-10-01 00:05:09+00:00"),
        ("timestamp", "2017-10-01 08:05:09.25", "2017-10-01 08:05:09.25"),
        ("timestamp", "2017/1/5 9:05", "2017-01-05 09:05:00"),
        ("timestamp", "2017-10-01", "2017-10-01 00:00:00"),
        ("timestamp", AT, "2017-10-01 08:05:09"),
        ("timestamp", AT.replace(tzinfo=CHINA), "2017-10-01 08:05:09+08:00"),
        ("timestamp", "  ", None),
        ("date", "2017-10-01", "2017-10-01"),
        ("date", "2017/1/5", "2017-01-05"),
        ("date", "2017-10-01 00:00:00", "2017-10-01"),
        ("date", date(2017, 10, 1), "2017-10-01"),
        ("text", " padded　", "padded"),
        ("text", "call 13800001111", "call 138****1111"),
        ("text", 5, "5"),
        ("contact", "'13800001111", "13800001111"),
        ("contact", 13800001111, "13800001111"),
    ],
)
def test_values_become_canonical_text(kind: Kind, value: object, text: str | None) -> None:
    assert checked(kind, value) == text


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("id", "1.23457E+18", "scientific notation"),
        ("id", 1.2345678901234568e18, "above 2^53"),
        ("id", float(2**53), "above 2^53"),
        ("id", "x" * 129, "longer than"),
        ("id", "a\x00b", "control characters"),
        ("id", {"nested": 1}, "nested"),
        ("amount", "12.345", "more than two decimals"),
        ("amount", 12.345, "more than two decimals"),
        ("amount", Decimal("12.345"), "more than two decimals"),
        ("amount", 0.1 + 0.2, "more than two decimals"),
        ("amount", "12.500", "more than two decimals"),
        ("amount", "12,50", "not a number"),
        ("amount", "1.2.3", "not a number"),
        ("amount", "twelve", "not a number"),
        ("amount", "1e3", "not a number"),
        ("amount", "NaN", "not a number"),
        ("amount", "１２", "not a number"),
        ("amount", "无退款申请", "not a number"),
        ("amount", "1" * 17, "too large"),
        ("decimal", "0.3333333", "more than six decimals"),
        ("integer", "1.5", "not a whole number"),
        ("integer", "x", "not a number"),
        ("flag", "maybe", "not true or false"),
        ("timestamp", "2017-02-29 00:00:00", "does not exist"),
        ("timestamp", "2017-10-01 24:00:00", "does not exist"),
        ("timestamp", "01.10.2017", "not a timestamp"),
        ("timestamp", "1506816309", "not a timestamp"),
        ("timestamp", "２０１７-10-01 00:00:00", "not a timestamp"),
        ("date", "2017-10-01 08:00:00", "a time of day"),
        ("date", "2017-13-01", "does not exist"),
        ("text", "x" * 20_001, "longer than"),
        ("text", [1], "nested"),
        ("contact", {"a": 1}, "nested"),
        ("records", "x", "not a list"),
        ("records", [1], "not a list"),
    ],
)
def test_bad_values_are_refused_with_a_reason(kind: Kind, value: object, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        checked(kind, value)


def test_a_status_nobody_documented_is_named() -> None:
    model = PayloadModel("s", "t", [Field("status", "enum", values=("paid",))])
    assert model.check({"status": "FROZEN"}).reasons == [
        "status: 'FROZEN' is not a documented status"
    ]


@pytest.mark.parametrize("value", ["13800001111", "a@example.com", "张三", "x" * 60])
def test_a_reason_never_shows_what_could_be_personal(value: str) -> None:
    model = PayloadModel("s", "t", [Field("status", "enum", values=("paid",))])
    (reason,) = model.check({"status": value}).reasons
    assert value not in reason
    for kind in ("amount", "timestamp", "date", "integer", "flag"):
        (reason,) = PayloadModel("s", "t", [Field("x", kind)]).check({"x": value + "?"}).reasons  # type: ignore[list-item]
        assert value not in reason


@settings(max_examples=50)
@given(st.text(string.ascii_letters + string.digits, min_size=1, max_size=128))
def test_the_plain_pattern_of_ids_admits_what_the_check_leaves_alone(text: str) -> None:
    model = PayloadModel("s", "t", [Field("x_id", "id"), Field("amount", "amount")])
    assert re.fullmatch(str(model.plain_pattern("x_id")), text)
    assert model.check({"x_id": text}).values == {"x_id": text}
    assert orjson.dumps(text) == b'"' + text.encode() + b'"'
    assert model.plain_pattern("amount") is None


def test_the_plain_pattern_of_timestamps_admits_only_days_that_exist() -> None:
    pattern = str(PayloadModel("s", "t", [Field("at", "timestamp")]).plain_pattern("at"))
    admitted = 0
    for month in range(14):
        for day in range(33):
            text = f"2016-{month:02d}-{day:02d} 23:59:59"
            if re.fullmatch(pattern, text):
                admitted += 1
                assert checked("timestamp", text) == text
    assert admitted == 365  # 29 February is left to the check itself
    for text in ("2016-01-01 24:00:00", "2016-01-01 00:60:00", "0000-01-01 00:00:00"):
        assert not re.fullmatch(pattern, text)


@given(st.text(max_size=30))
def test_canonical_text_stays_as_it_is(value: str) -> None:
    for kind in ("id", "text", "amount", "decimal", "integer", "flag", "timestamp", "date"):
        try:
            text = checked(kind, value)  # type: ignore[arg-type]
        except ValueError:
            continue
        assert text is None or checked(kind, text) == text  # type: ignore[arg-type]


def test_a_trade_is_read_as_text() -> None:
    record = trade(7)
    record["orders"] = record["orders"]["order"]
    result = ORDERS.check(record)
    assert result.reasons == []
    assert result.values["tid"] == "9007199254740993007"
    assert result.values["orders"][0]["oid"] == "9007199254740993007"
    assert result.values["orders"][0]["num"] == "2"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"payment": "12.345"}, "payment: more than two decimals"),
        ({"status": "TRADE_FROZEN"}, "status: 'TRADE_FROZEN' is not a documented status"),
        ({"tid": None}, "tid: required, but missing"),
        ({"buyer_open_uid": ""}, "buyer_open_uid: required, but missing"),
        ({"orders": []}, "orders: required, but missing"),
        ({"orders": None}, "orders: required, but missing"),
        ({"orders": "x"}, "orders: not a list of records"),
    ],
)
def test_a_bad_trade_is_refused(changes: dict[str, Any], reason: str) -> None:
    record = trade(7)
    record["orders"] = record["orders"]["order"]
    assert ORDERS.check({**record, **changes}).reasons == [reason]


def test_a_bad_line_refuses_its_trade_and_names_the_field() -> None:
    record = trade(7)
    line = {**record["orders"]["order"][0], "payment": "1.234", "status": "NEW_ONE"}
    del line["oid"]
    record["orders"] = [record["orders"]["order"][0], line]
    assert ORDERS.check(record).reasons == [
        "orders.oid: required, but missing",
        "orders.payment: more than two decimals",
        "orders.status: 'NEW_ONE' is not a documented status",
    ]


def test_unknown_fields_are_kept_and_named() -> None:
    record = trade(7, brand_new=1)
    record["orders"] = [{**record["orders"]["order"][0], "also_new": "x"}]
    result = ORDERS.check(record)
    assert result.reasons == []
    assert result.unknown == {"brand_new": 1}
    assert result.unknown_nested == ["orders.also_new"]
    assert result.values["orders"][0]["also_new"] == "x"


def test_raw_columns_are_text_with_contacts_replaced() -> None:
    columns = raw_columns("file", "members")
    assert {"phone_ref", "phone_hash", "phone_masked", "email_hash", "_key_id"} <= columns.keys()
    assert "phone" not in columns
    assert set(columns.values()) == {"VARCHAR"}
    assert "_key_id" not in raw_columns("file", "order_lines")
    trades = raw_columns("taobao_top", "orders")
    assert trades["orders"].startswith("STRUCT(oid VARCHAR, num_iid VARCHAR")
    assert trades["orders"].endswith(")[]")
    assert raw_streams("taobao_top") == ("orders", "refunds", "reviews", "logistics")


def test_no_payload_column_collides_with_the_loaders_own() -> None:
    own = {"_batch_id", "_line", "_brand", "_platform", "_shop", "_extracted_at"}
    for source in ("taobao_top", "file"):
        for stream in raw_streams(source):
            assert not own & raw_columns(source, stream).keys()
            assert payload_model(source, stream).required
