"""Seller-centre exports: what spreadsheets and back offices do to cells, one quirk a test."""

from typing import Any

import pytest

from regulars.settings import PROJECT_ROOT
from regulars.sources import droppable_models, source_names
from regulars.sources.exports import DROP_GUIDE, PAYLOADS
from regulars.sources.headers import normal_name
from regulars.sources.payloads import PayloadModel

TAOBAO = {
    "order_id": "290385921174839201",
    "status": "交易成功",
    "created_at": "2026-03-05 09:05:01",
    "shipping_amount": "0.00",
    "paid_amount": "12.00",
}
DOUYIN = {
    "order_id": "6917265012345678901",
    "line_id": "6917265012345678902",
    "status": "已完成",
    "created_at": "2026-03-05 09:05:01",
    "product_id": "3600000000000000001",
    "quantity": "1",
    "payable_amount": "12.00",
}


def one(model: PayloadModel, name: str, cell: Any, **record: Any) -> Any:
    """What a field's cell becomes, or the reason for which its record is refused."""
    good = {"taobao_orders": TAOBAO, "douyin_orders": DOUYIN}.get(model.stream, {})
    checked = model.check({**good, **record, name: cell})
    reasons = [reason for reason in checked.reasons if reason.startswith(f"{name}:")]
    return reasons[0] if reasons else checked.values.get(name)


@pytest.mark.parametrize(
    "cell",
    [
        '="290385921174839201"',
        '"290385921174839201"',
        "'290385921174839201",
        "\t290385921174839201",
        "290385921174839201\t",
        "290385921174839201.0",
        " 290385921174839201 ",
        290385921174839201,
    ],
    ids=["formula", "quotes only", "apostrophe", "tab", "tab after", "point zero", "blanks", "int"],
)
def test_an_order_number_loses_its_wrapping_and_no_digit(cell: Any) -> None:
    assert one(PAYLOADS["taobao_orders"], "order_id", cell) == "290385921174839201"


@pytest.mark.parametrize(
    "cell", ["2.90385921174839E+17", "2.90385921174839e+17", 2.9038592117484e17]
)
def test_scientific_notation_is_refused_because_digits_are_lost(cell: Any) -> None:
    assert "digits" in one(PAYLOADS["taobao_orders"], "order_id", cell)


@pytest.mark.parametrize("cell", ["合计", "订单编号", "2903-85"])
def test_what_is_no_number_of_the_platform_is_refused(cell: str) -> None:
    assert "not a number as this platform" in one(PAYLOADS["taobao_orders"], "order_id", cell)


@pytest.mark.parametrize(
    ("cell", "amount"),
    [
        ("12.00元", "12.00"),
        ("0元", "0"),
        ("¥12.00", "12.00"),
        ("￥12.00", "12.00"),
        ("1,234.50", "1234.50"),
        ("168.99\t", "168.99"),
        (12.5, "12.5"),
        ("", None),
        ("-", None),
        ("-3.00", "-3.00"),
    ],
)
def test_money_loses_its_marks_and_empty_is_not_zero(cell: Any, amount: str | None) -> None:
    assert one(PAYLOADS["taobao_orders"], "settled_amount", cell) == amount


def test_no_refund_asked_for_is_no_amount() -> None:
    assert one(PAYLOADS["taobao_orders"], "refund_amount", "无退款申请") is None
    assert one(PAYLOADS["taobao_order_details"], "refund_amount", "无退款申请") is None
    assert one(PAYLOADS["taobao_order_details"], "refund_amount", "3.50") == "3.50"


def test_an_order_that_is_not_closed_has_no_reason() -> None:
    assert one(PAYLOADS["taobao_orders"], "close_reason", "订单未关闭") is None
    assert one(PAYLOADS["taobao_orders"], "close_reason", "买家未付款") == "买家未付款"


@pytest.mark.parametrize(
    ("stream", "cell", "status"),
    [
        ("taobao_orders", "买家已付款，等待卖家发货", "买家已付款,等待卖家发货"),
        ("taobao_orders", "买家已付款,等待卖家发货", "买家已付款,等待卖家发货"),
        ("pdd_orders", "未发货，退款成功\t", "未发货,退款成功"),
        ("jd_orders", "（删除）等待出库", "(删除)等待出库"),
        ("taobao_refunds", "卖家已经同意退款，等待买家退货", "卖家已经同意退款,等待买家退货"),
    ],
)
def test_statuses_are_read_with_either_comma(stream: str, cell: str, status: str) -> None:
    assert one(PAYLOADS[stream], "status", cell) == status


def test_an_unknown_status_is_refused_and_shown_when_it_can_be_no_name() -> None:
    model = PAYLOADS["taobao_orders"]
    assert one(model, "status", "卖家已付款") == "status: '卖家已付款' is not a documented status"
    # Of the statuses' own characters, but short enough for a name.
    assert one(model, "status", "成交") == "status: *** (2 characters) is not a documented status"
    assert one(model, "status", "王小明") == "status: *** (3 characters) is not a documented status"


@pytest.mark.parametrize("name", ["paid_at", "discount_amount", "cancel_reason", "receiver_phone"])
def test_a_hyphen_is_an_empty_cell(name: str) -> None:
    assert one(PAYLOADS["douyin_orders"], name, "-") is None


def test_a_hyphen_where_something_is_required_refuses_the_row() -> None:
    assert one(PAYLOADS["douyin_orders"], "product_id", "-") == "product_id: required, but missing"


@pytest.mark.parametrize("cell", ["##Zm9vYmFy##", "$$YmFy$1$$", "\t##Zm9v\nYmFy"])
@pytest.mark.parametrize("name", ["receiver_address", "receiver_phone", "receiver_name"])
def test_ciphertext_of_a_protected_buyer_is_left_out(name: str, cell: str) -> None:
    assert one(PAYLOADS["douyin_orders"], name, cell) is None


def test_a_phone_loses_its_apostrophe() -> None:
    assert one(PAYLOADS["taobao_orders"], "receiver_phone", "'13800001111") == "13800001111"


@pytest.mark.parametrize("cell", ["6917265012345678902;6917265012345678903", "1；2"])
def test_sub_orders_joined_in_one_row_are_refused_with_what_to_do(cell: str) -> None:
    reason = one(PAYLOADS["douyin_orders"], "line_id", cell)
    assert reason == "line_id: several in one cell, joined by ';': deliver one row for each"
    assert "joined by ';'" in one(PAYLOADS["douyin_orders"], "product_id", cell)


@pytest.mark.parametrize(
    ("cell", "instant"),
    [
        ("2026/3/5 9:05", "2026-03-05 09:05:00"),
        ("2026-03-05 09:05:01", "2026-03-05 09:05:01"),
        ("2026-03-05", "2026-03-05 00:00:00"),
        ("", None),
    ],
)
def test_times_are_read_after_a_round_trip_through_a_spreadsheet(
    cell: str, instant: str | None
) -> None:
    assert one(PAYLOADS["taobao_orders"], "paid_at", cell) == instant


def test_a_spreadsheets_serial_number_is_no_time() -> None:
    assert "not a timestamp" in one(PAYLOADS["taobao_orders"], "paid_at", "46086.378")


def test_a_pinduoduo_number_begins_with_its_day() -> None:
    model = PAYLOADS["pdd_orders"]
    assert one(model, "order_id", "260305-123456789012345\t") == "260305-123456789012345"
    assert "not a number" in one(model, "order_id", "123456789012345")


@pytest.mark.parametrize("stream", PAYLOADS)
def test_no_header_means_two_columns(stream: str) -> None:
    fields = PAYLOADS[stream].fields
    headers = [header for item in fields for header in (item.name, *item.aliases)]
    assert len(headers) == len(set(headers))
    assert all(header == normal_name(header) for header in headers)


@pytest.mark.parametrize("stream", PAYLOADS)
def test_whoever_is_named_leaves_the_record(stream: str) -> None:
    model = PAYLOADS[stream]
    for item in model.fields:
        if any(part in item.name for part in ("receiver", "address", "nick", "alipay")):
            assert item.kind == "contact" or item.name == "alipay_trade_id", item.name


def test_every_stream_may_be_dropped_beside_the_contracts() -> None:
    models = droppable_models()
    assert models.keys() >= PAYLOADS.keys() | {"orders", "order_lines", "refunds"}
    assert "taobao_top" in source_names()
    assert {model.source for model in models.values()} == {"file", "exports"}


@pytest.mark.parametrize("stream", PAYLOADS)
def test_the_guide_names_every_required_column(stream: str) -> None:
    guide = (PROJECT_ROOT / DROP_GUIDE).read_text(encoding="utf-8").lower()
    (row,) = [line for line in guide.splitlines() if line.startswith(f"| `{stream}` |")]
    for item in PAYLOADS[stream].fields:
        if item.required:
            assert any(header in row for header in item.aliases), item.name
