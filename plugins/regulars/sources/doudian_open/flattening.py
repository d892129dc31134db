"""The platform's nested records as flat ones, without what must not or need not be kept.

Ciphertext (``encrypt_*``) and what only identifies a person (identity card, coordinates, account
of a top-up) leave here. So do documented members nobody needs, texts that repeat a code
(``b_type_desc`` beside ``b_type``), and the copies of the consignee in every line. Whatever the
platform adds beyond its documentation stays and is counted as unknown.
"""

from collections.abc import Iterable
from typing import Any

Record = dict[str, Any]

_DEEPEST = 12

_PERSONAL = frozenset(
    {
        *("user_id_info", "user_coordinate", "account_list", "contract_info"),
        *("d_car_shop_biz_data", "sku_customization_info", "address_tag_ui"),
    }
)
_UNUSED_OF_ORDER = frozenset(
    {
        # Free text of buyers and sellers about buyers.
        *("buyer_words", "seller_words"),
        *("order_level", "serial_number_list", "appointment_ship_time", "earliest_receipt_time"),
        *("latest_receipt_time", "early_arrival", "target_arrival_time"),
        *("supermarket_order_serial_no",),
    }
)
_UNUSED_OF_LINE = frozenset(
    {
        *("order_level", "biz", "b_type", "sub_b_type", "app_id", "channel_payment_no"),
        *("order_expire_time", "cancel_reason", "warehouse_ids", "out_warehouse_ids"),
        *("inventory_type", "reduce_stock_type", "has_tax", "source_platform", "product_pic"),
        *("inventory_list", "receive_type", "need_serial_number", "sku_order_tag_ui"),
        *("appointment_ship_time", "master_sku_order_id", "card_voucher", "bundle_sku_info"),
        *("given_product_activity_info", "quality_check_info", "sku_yun_warehouse_info"),
        *("packing_amount", "post_origin_amount", "post_promotion_amount"),
        *("total_promotion_amount", "shop_id", "shop_name", "buyer_words", "seller_words"),
        # The order has them.
        *("post_tel", "post_receiver", "post_addr"),
        *("mask_post_tel", "mask_post_receiver", "mask_post_addr"),
    }
)
_UNUSED_OF_PARCEL = frozenset({"product_info", "hour_up_pickup_code"})
_UNUSED_OF_TAG = frozenset({"help_doc", "hover_text"})
_UNUSED_OF_AFTERSALE = frozenset(
    {
        *("left_urge_sms_count", "risk_decision_code", "risk_decision_reason"),
        *("risk_decision_description", "exchange_sku_info", "exchange_logistics_company_name"),
        *("order_logistics", "reason_second_labels", "aftersale_tags"),
    }
)
_PARTS_OF_ITEM = ("aftersale_info", "order_info", "text_part")
_KNOWN_OF_ITEM = frozenset({*_PARTS_OF_ITEM, "seller_logs"})
_KNOWN_OF_ORDER_INFO = frozenset({"shop_order_id", "related_order_info", "order_flag"})
_UNUSED_OF_RELATED = frozenset(
    {
        *("is_oversea_order", "product_image", "tags", "sku_spec", "given_sku_order_ids"),
        "logistics_company_name",
    }
)


def order_record(native: Record) -> Record:
    """One order of ``order.searchList`` as its payload model knows it."""
    order = _kept(native, _UNUSED_OF_ORDER)
    for name in ("post_addr", "mask_post_addr"):
        address = order.pop(name, None)
        if isinstance(address, dict):
            order[f"{name}_detail"] = address.get("detail")
            if name == "post_addr":
                for part in ("province", "city", "town"):
                    order[f"{name}_{part}"] = _name(address.get(part))
    income = order.pop("actual_receive_amount_info", None)
    if isinstance(income, dict):
        order["actual_receive_amount"] = income.get("actual_receive_amount")
    order["logistics_info"] = _each(order, "logistics_info", _UNUSED_OF_PARCEL)
    for name in ("shop_order_tag_ui", "user_tag_ui"):
        order[name] = _each(order, name, _UNUSED_OF_TAG)
    order["order_phase_list"] = _each(order, "order_phase_list", frozenset())
    lines = _each(order, "sku_order_list", _UNUSED_OF_LINE)
    if isinstance(lines, list):
        lines = [_line(one) if isinstance(one, dict) else one for one in lines]
    order["sku_order_list"] = lines
    return order


def aftersale_record(native: Record) -> Record:
    """One item of ``afterSale.List`` as its payload model knows it."""
    info, order, texts = (_object(native.get(name)) for name in _PARTS_OF_ITEM)
    record = _kept(info, _UNUSED_OF_AFTERSALE)
    record["shop_order_id"] = order.get("shop_order_id")
    record["related_order_info"] = _each(order, "related_order_info", _UNUSED_OF_RELATED)
    record["reason_text"] = texts.get("reason_text")
    beside = {name: value for name, value in native.items() if name not in _KNOWN_OF_ITEM}
    beside |= {f"order_{name}": order[name] for name in order.keys() - _KNOWN_OF_ORDER_INFO}
    return {**_kept(beside, ()), **record}


def _object(value: Any) -> Record:
    return value if isinstance(value, dict) else {}


def _line(line: Record) -> Record:
    state = line.pop("after_sale_info", None)
    if isinstance(state, dict):
        for name in ("after_sale_status", "after_sale_type", "refund_status"):
            line[name] = state.get(name)
    store = line.pop("store_info", None)
    if isinstance(store, dict):
        line["store_id"], line["store_name"] = store.get("store_id"), store.get("store_name")
    masters = line.pop("master_sku_order_id_list", None)
    if isinstance(masters, list):
        line["master_sku_order_ids"] = ",".join(map(str, masters)) or None
    spec = line.get("spec")
    if isinstance(spec, list):
        line["spec"] = ";".join(_property(one) for one in spec) or None
    return line


def _property(one: Any) -> str:
    return f"{one.get('name')}:{one.get('value')}" if isinstance(one, dict) else str(one)


def _name(place: Any) -> Any:
    return place.get("name") if isinstance(place, dict) else place


def _each(record: Record, name: str, unused: frozenset[str]) -> Any:
    """A list of the record, each of its objects without what is unused; anything else as it is."""
    found = record.get(name)
    if not isinstance(found, list):
        return found
    return [_kept(one, unused) if isinstance(one, dict) else one for one in found] or None


def _kept(record: Record, unused: Iterable[str]) -> Record:
    dropped = {name for name in record if name.endswith("_desc") and name[:-5] in record}
    dropped.update(unused)
    return {
        name: _without_ciphertext(value, 1)
        for name, value in record.items()
        if name not in dropped and name not in _PERSONAL and not name.startswith("encrypt_")
    }


def _without_ciphertext(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        return None
    if isinstance(value, dict):
        return {
            name: _without_ciphertext(item, depth + 1)
            for name, item in value.items()
            if name not in _PERSONAL and not name.startswith("encrypt_")
        }
    if isinstance(value, list):
        return [_without_ciphertext(item, depth + 1) for item in value]
    return value
