"""The platform's nested records as flat ones, without what must not or need not be kept.

Ciphertext (``encrypt_*``) and what only identifies a person (identity card, coordinates, account
of a top-up) leave here. So do documented members nobody needs, texts that repeat a code
(``b_type_desc`` beside ``b_type``), and the copies of the consignee in every line. Whatever the
platform adds beyond its documentation stays and is counted as unknown.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

Record = dict[str, Any]
Dropped = Callable[[tuple[str, ...]], tuple[str, ...]]
"""Told the names of a record, which of them do not stay."""

_DEEPEST = 12
_PARTS = (dict, list)
_LAYOUTS = 1_000
"""Layouts that are remembered: names that nobody knows must not fill the memory."""

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


def _dropped(unused: frozenset[str]) -> Dropped:
    # Records of one kind come in few layouts: what leaves is worked out once for each.
    @lru_cache(_LAYOUTS)
    def dropped(names: tuple[str, ...]) -> tuple[str, ...]:
        gone = unused | _PERSONAL | {f"{name}_desc" for name in names}
        return tuple(name for name in names if name in gone or name.startswith("encrypt_"))

    return dropped


_NOTHING = _dropped(frozenset())
_LISTS_OF_ORDER = {
    "logistics_info": _dropped(_UNUSED_OF_PARCEL),
    "shop_order_tag_ui": _dropped(_UNUSED_OF_TAG),
    "user_tag_ui": _dropped(_UNUSED_OF_TAG),
    "order_phase_list": _NOTHING,
    "sku_order_list": _dropped(_UNUSED_OF_LINE),
}
_OF_ORDER = _dropped(_UNUSED_OF_ORDER)
_OF_AFTERSALE = _dropped(_UNUSED_OF_AFTERSALE)
_OF_RELATED = _dropped(_UNUSED_OF_RELATED)


def order_record(native: Record) -> Record:
    """One order of ``order.searchList`` as its payload model knows it; ``native`` is used up."""
    lists = {name: native.pop(name, None) for name in _LISTS_OF_ORDER}
    order = _kept(native, _OF_ORDER)
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
    for name, dropped in _LISTS_OF_ORDER.items():
        order[name] = _each(lists[name], dropped, _line if name == "sku_order_list" else _as_is)
    return order


def aftersale_record(native: Record) -> Record:
    """One item of ``afterSale.List`` as its payload model knows it; ``native`` is used up."""
    info, order, texts = (_object(native.get(name)) for name in _PARTS_OF_ITEM)
    record = _kept(info, _OF_AFTERSALE)
    record["shop_order_id"] = order.get("shop_order_id")
    record["related_order_info"] = _each(order.get("related_order_info"), _OF_RELATED)
    record["reason_text"] = texts.get("reason_text")
    beside = {name: value for name, value in native.items() if name not in _KNOWN_OF_ITEM}
    beside |= {f"order_{name}": order[name] for name in order.keys() - _KNOWN_OF_ORDER_INFO}
    return {**_kept(beside, _NOTHING), **record}


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


def _as_is(record: Record) -> Record:
    return record


def _each(
    found: Any,
    dropped: Dropped,
    changed: Callable[[Record], Record] = _as_is,
) -> Any:
    """A list, each of its objects without what is dropped; anything else without ciphertext."""
    if not isinstance(found, list):
        return _without_ciphertext(found, 1)
    return [
        changed(_kept(one, dropped)) if isinstance(one, dict) else _without_ciphertext(one, 1)
        for one in found
    ] or None


def _kept(record: Record, dropped: Dropped) -> Record:
    """The record itself, without what is dropped."""
    for name in dropped(tuple(record)):
        del record[name]
    for name, value in record.items():
        if type(value) in _PARTS:
            record[name] = _without_ciphertext(value, 1)
    return record


def _without_ciphertext(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        return None
    if isinstance(value, dict):
        return {
            name: _without_ciphertext(item, depth + 1) if type(item) in _PARTS else item
            for name, item in value.items()
            if name not in _PERSONAL and not name.startswith("encrypt_")
        }
    if isinstance(value, list):
        return [_without_ciphertext(item, depth + 1) for item in value]
    return value
