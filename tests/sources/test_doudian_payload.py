"""Flat records: what stays, what leaves, and what the payload models accept."""

import json
from typing import Any

import pytest

from regulars.sources.doudian_open.flattening import aftersale_record, order_record
from regulars.sources.doudian_open.payload import ORDERS, REFUNDS
from tests.sources.doudian_calls import ID, aftersale, line, order

EMOJI = "👨‍👩‍👧 茶叶「好评」𠮷 \u200bé"


def test_an_order_passes_its_model_without_an_unknown_field() -> None:
    checked = ORDERS.check(order_record(order(1)))
    assert checked.reasons == []
    assert checked.unknown == {}
    assert checked.unknown_nested == []
    assert checked.values["order_id"] == str(ID + 100)
    assert checked.values["pay_amount"] == "1800"
    assert checked.values["create_time"] == "1506870000"
    assert checked.values["doudian_open_id"] == "1@#C+4xqqdZ/l1IOzT+=="


def test_a_refund_passes_its_model_without_an_unknown_field() -> None:
    checked = REFUNDS.check(aftersale_record(aftersale(1)))
    assert (checked.reasons, checked.unknown, checked.unknown_nested) == ([], {}, [])
    assert checked.values["shop_order_id"] == str(ID + 100)
    assert checked.values["related_order_info"][0]["sku_order_id"] == str(ID + 101)
    assert checked.values["reason_text"] == "不想要了 😀"


def test_no_ciphertext_and_no_identity_stays_anywhere() -> None:
    native = order(1, encrypt_new="##new##")
    native["sku_order_list"][0]["contract_info"] = {"mobile_no": "x", "encrypt_mobile_no": "##m##"}
    native["something_new"] = {"inner": [{"encrypt_deep": "##deep##", "kept": 1}]}
    text = json.dumps(order_record(native))
    for trace in ("encrypt_", "##", "$abc$", "id_card", "longitude", "mobile_no"):
        assert trace not in text
    assert '"kept": 1' in text


def test_the_consignee_of_a_line_leaves_and_that_of_the_order_is_a_contact() -> None:
    flat = order_record(order(1, post_tel="12912345678", post_receiver="王小明"))
    assert {"mask_post_tel", "post_tel"}.isdisjoint(flat["sku_order_list"][0])
    for name in ("post_tel", "post_receiver", "post_addr_detail"):
        assert name in ORDERS.contacts
    for name in ("mask_post_tel", "mask_post_receiver", "mask_post_addr_detail"):
        assert name in ORDERS.contacts
    assert flat["mask_post_addr_detail"] == "中山路**号"
    assert (flat["post_addr_province"], flat["post_addr_city"]) == ("上海", "上海市")


def test_influencer_attribution_stays_with_the_line() -> None:
    (one,) = ORDERS.check(order_record(order(1))).values["sku_order_list"]
    assert one["author_id"] == "98000000000001"
    assert one["room_id"] == "7000000000000000001"
    assert one["c_biz"] == "2"
    assert one["author_name"] == "主播"


def test_nested_objects_of_a_line_are_flat() -> None:
    lines = [line(1, after_sale_info={"after_sale_status": 12, "refund_status": 3})]
    lines += [line(1, 2, given_product_type="FREE", master_sku_order_id_list=["1", "2"])]
    first, second = order_record(order(1, sku_order_list=lines))["sku_order_list"]
    assert (first["after_sale_status"], first["refund_status"]) == (12, 3)
    assert first["spec"] == "颜色:红;尺码:M"
    assert (first["store_id"], first["store_name"]) == ("88", "店")
    assert second["master_sku_order_ids"] == "1,2"
    assert ORDERS.check(order_record(order(1, sku_order_list=lines))).unknown_nested == []


def test_the_merchants_income_is_flat() -> None:
    native = order(1, actual_receive_amount_info={"actual_receive_amount": 1700})
    assert order_record(native)["actual_receive_amount"] == 1700


def test_texts_that_repeat_a_code_leave_and_others_stay() -> None:
    flat = order_record(order(1, new_desc="x"))
    assert "order_status_desc" not in flat
    assert flat["new_desc"] == "x"


def test_new_fields_stay_and_are_counted_as_unknown() -> None:
    native = order(1, brand_new="x")
    native["sku_order_list"][0]["new_of_line"] = 1
    checked = ORDERS.check(order_record(native))
    assert checked.reasons == []
    assert checked.unknown == {"brand_new": "x"}
    assert checked.unknown_nested == ["sku_order_list.new_of_line"]
    refund = aftersale(1, brand_new="x")
    refund["new_part"] = {"a": 1, "encrypt_b": "##b##"}
    refund["encrypt_part"] = "##p##"
    refund["order_info"]["new"] = 2
    assert REFUNDS.check(aftersale_record(refund)).unknown == {
        "brand_new": "x",
        "new_part": {"a": 1},
        "order_new": 2,
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"order_id": None}, "order_id: required, but missing"),
        ({"order_status": None}, "order_status: required, but missing"),
        ({"order_status": 77}, "order_status: '77' is not a documented status"),
        ({"update_time": ""}, "update_time: required, but missing"),
        ({"pay_amount": "18.00x"}, "pay_amount: not a number"),
        ({"pay_amount": "18.5"}, "pay_amount: not a whole number"),
        ({"create_time": "yesterday"}, "create_time: not a number"),
        ({"sku_order_list": []}, "sku_order_list: required, but missing"),
        ({"sku_order_list": "x"}, "sku_order_list: not a list of records"),
        ({"sku_order_list": ["x"]}, "sku_order_list: not a list of records"),
        (
            {"sku_order_list": [line(1, pay_amount=None)]},
            "sku_order_list.pay_amount: required, but missing",
        ),
    ],
)
def test_a_bad_order_is_refused_with_its_reason(changes: dict[str, Any], reason: str) -> None:
    assert ORDERS.check(order_record(order(1, **changes))).reasons == [reason]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"aftersale_id": None}, "aftersale_id: required, but missing"),
        ({"aftersale_status": 99}, "aftersale_status: '99' is not a documented status"),
        ({"refund_status": 9}, "refund_status: '9' is not a documented status"),
        ({"refund_amount": None}, "refund_amount: required, but missing"),
    ],
)
def test_a_bad_refund_is_refused_with_its_reason(changes: dict[str, Any], reason: str) -> None:
    assert REFUNDS.check(aftersale_record(aftersale(1, **changes))).reasons == [reason]


def test_an_item_without_its_parts_is_refused_by_name() -> None:
    checked = REFUNDS.check(aftersale_record({"aftersale_info": None, "text_part": "x"}))
    assert "aftersale_id: required, but missing" in checked.reasons
    assert "shop_order_id: required, but missing" in checked.reasons


@pytest.mark.parametrize("buyer", ["", None])
def test_an_order_without_a_buyer_passes(buyer: Any) -> None:
    checked = ORDERS.check(order_record(order(1, doudian_open_id=buyer)))
    assert checked.reasons == []
    assert "doudian_open_id" not in checked.values


def test_emoji_and_cjk_survive_in_every_text_field() -> None:
    texts = {f.name: EMOJI for f in ORDERS.fields if f.kind == "text"}
    members = next(f.members for f in ORDERS.fields if f.name == "sku_order_list")
    of_line = {f.name: EMOJI for f in members if f.kind == "text"}
    checked = ORDERS.check(
        {
            **order_record(order(1)),
            **texts,
            "sku_order_list": [{**order_record(order(1))["sku_order_list"][0], **of_line}],
        }
    )
    assert checked.reasons == []
    assert all(checked.values[name] == EMOJI.strip() for name in texts)
    assert all(checked.values["sku_order_list"][0][name] == EMOJI for name in of_line)
    reasons = {f.name: EMOJI for f in REFUNDS.fields if f.kind == "text"}
    refund = REFUNDS.check({**aftersale_record(aftersale(1)), **reasons})
    assert all(refund.values[name] == EMOJI for name in reasons)


@pytest.mark.slow
def test_an_order_of_ten_thousand_lines_passes() -> None:
    lines = [line(1, position) for position in range(10_000)]
    checked = ORDERS.check(order_record(order(1, sku_order_list=lines)))
    assert checked.reasons == []
    assert len(checked.values["sku_order_list"]) == 10_000


def test_a_record_nested_beyond_reason_is_cut() -> None:
    deep: Any = "x"
    for _ in range(500):
        deep = {"a": deep}
    assert "x" not in json.dumps(order_record(order(1, new={"b": deep}))["new"])
