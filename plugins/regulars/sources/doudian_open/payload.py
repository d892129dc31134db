"""Records of the Douyin Shop open platform: orders with their lines, and after-sales requests.

Money is whole fen and time unix seconds (0: not yet), as the platform writes them; staging
converts. Names are the platform's; a member of a nested object stands as ``outer_inner`` or, where
that is unique, under its own name (see ``flattening``). Only statuses that decide what an order or
a refund counts as are closed sets; other enumerations grow without notice and stay text.
"""

from regulars.sources.payloads import Field, Kind, PayloadModel
from regulars.vault.contacts import ContactKind

SOURCE = "doudian_open"

ORDER_STATUSES = ("1", "105", "2", "101", "3", "4", "5")
AFTERSALE_STATUSES = (
    *("0", "3", "6", "7", "8", "11", "12", "13", "14"),
    *("27", "28", "29", "51", "53"),
)
REFUND_STATUSES = ("0", "1", "2", "3", "4", "5")


def _fields(kind: Kind, *names: str) -> tuple[Field, ...]:
    return tuple(Field(name.rstrip("*"), kind, required=name.endswith("*")) for name in names)


def _contact(name: str, kind: ContactKind) -> Field:
    return Field(name, "contact", contact=kind)


def _fen(*names: str) -> tuple[Field, ...]:
    return tuple(
        Field(name.rstrip("*"), "integer", required=name.endswith("*"), note="fen")
        for name in names
    )


def _seconds(*names: str) -> tuple[Field, ...]:
    return tuple(
        Field(
            name.rstrip("*"), "integer", required=name.endswith("*"), note="unix seconds, 0: none"
        )
        for name in names
    )


# Orders and lines carry the same promotions.
_PROMOTIONS = _fen(
    "promotion_amount",
    "promotion_shop_amount",
    "promotion_platform_amount",
    "promotion_talent_amount",
    "promotion_pay_amount",
    "promotion_redpack_amount",
    "promotion_redpack_platform_amount",
    "promotion_redpack_talent_amount",
    "shop_cost_amount",
    "platform_cost_amount",
    "only_platform_cost_amount",
    "author_cost_amount",
)

_SKU_ORDER = (
    *_fields("id", "order_id*", "parent_order_id"),
    *_fields("id", "product_id", "product_id_str", "sku_id"),
    *_fields("text", "product_name", "spec"),
    *_fields("integer", "item_num*"),
    *_fen("origin_amount*", "sum_amount", "order_amount", "pay_amount*"),
    *_fen("post_amount", "post_insurance_amount", "modify_amount", "modify_post_amount"),
    *_fen("tax_amount"),
    *_PROMOTIONS,
    *_fields("text", "order_status", "main_status"),
    *_fields("text", "order_type", "trade_type", "goods_type", "pre_sale_type", "pay_type"),
    *_seconds("create_time", "update_time", "pay_time", "ship_time", "exp_ship_time"),
    *_seconds("finish_time", "logistics_receipt_time", "confirm_receipt_time"),
    *_fields("id", "code", "out_sku_id", "out_product_id", "supplier_id"),
    *_fields("id", "first_cid", "second_cid", "third_cid", "fourth_cid"),
    *_fields("text", "is_comment", "given_product_type", "master_sku_order_ids"),
    # Who and what brought the buyer: influencer, live room, video, creative, traffic.
    *_fields("id", "author_id", "room_id", "room_id_str", "content_id", "video_id"),
    *_fields("id", "origin_id", "cid", "page_id"),
    *_fields("text", "author_name", "c_biz", "theme_type", "ad_env_type", "send_pay"),
    *_fields("text", "after_sale_status", "after_sale_type", "refund_status"),
    *_fields("id", "store_id"),
    *_fields("text", "store_name", "promise_info"),
)

_PARCEL = (
    *_fields("id", "tracking_no", "delivery_id"),
    *_fields("text", "company", "company_name"),
    *_seconds("ship_time"),
)

_PHASE = (
    *_fields("id", "phase_order_id", "sku_order_id", "campaign_id"),
    *_fields("integer", "total_phase", "current_phase"),
    *_fields("flag", "pay_success"),
    *_fields("text", "phase_pay_type"),
    *_fen("phase_payable_price", "phase_order_amount", "phase_sum_amount", "phase_post_amount"),
    *_fen("phase_pay_amount", "phase_promotion_amount", "sku_price"),
    *_seconds("phase_open_time", "phase_pay_time", "phase_close_time"),
)

_TAG = _fields("text", "key", "text")

ORDERS = PayloadModel(
    SOURCE,
    "orders",
    (
        *_fields("id", "order_id*", "shop_id"),
        *_fields("text", "shop_name"),
        Field("order_status", "enum", required=True, values=ORDER_STATUSES),
        *_fields("text", "main_status", "order_type", "trade_type", "biz", "b_type", "sub_b_type"),
        *_fields("text", "pay_type", "cancel_reason", "accept_order_status"),
        *_fields("id", "app_id", "channel_payment_no"),
        *_seconds("create_time*", "update_time*", "pay_time", "ship_time", "exp_ship_time"),
        *_seconds("finish_time", "order_expire_time"),
        *_fields("id", "doudian_open_id", "open_id"),
        *_fen("order_amount", "pay_amount*", "post_amount", "post_origin_amount"),
        *_fen("post_promotion_amount", "post_insurance_amount", "modify_amount"),
        *_fen("modify_post_amount", "packing_amount", "tax_amount"),
        *_PROMOTIONS,
        *_fen("total_promotion_amount", "actual_receive_amount"),
        # Plain for the few apps that may see them, and empty otherwise.
        _contact("post_receiver", "name"),
        _contact("post_tel", "phone"),
        _contact("post_addr_detail", "address"),
        _contact("mask_post_receiver", "name"),
        _contact("mask_post_tel", "phone"),
        _contact("mask_post_addr_detail", "address"),
        *_fields("text", "post_addr_province", "post_addr_city", "post_addr_town"),
        *_fields("text", "seller_remark_stars", "promise_info"),
        Field("logistics_info", "records", members=_PARCEL),
        Field("order_phase_list", "records", members=_PHASE),
        Field("shop_order_tag_ui", "records", members=_TAG),
        Field("user_tag_ui", "records", members=_TAG),
        Field("sku_order_list", "records", required=True, members=_SKU_ORDER),
    ),
    "One record per order and version.",
    key=("order_id",),
    modified="update_time",
    refers={"order_id": "order", "doudian_open_id": "buyer"},
    defines="order",
)

_RELATED_ORDER = (
    *_fields("id", "sku_order_id*", "product_id", "shop_sku_code", "logistics_code"),
    *_fields("text", "product_name", "order_status"),
    *_fields("integer", "item_num", "aftersale_item_num"),
    *_fen("price", "pay_amount", "post_amount", "tax_amount", "promotion_pay_amount"),
    *_fen("aftersale_pay_amount", "aftersale_post_amount", "aftersale_tax_amount"),
    *_seconds("create_time"),
)

REFUNDS = PayloadModel(
    SOURCE,
    "refunds",
    (
        *_fields("id", "aftersale_id*", "shop_order_id*", "related_id"),
        *_fields("text", "aftersale_order_type"),
        *_fields("text", "aftersale_type*", "aftersale_sub_type"),
        Field("aftersale_status", "enum", required=True, values=AFTERSALE_STATUSES),
        Field("refund_status", "enum", values=REFUND_STATUSES),
        *_seconds("create_time", "apply_time", "update_time*", "status_deadline"),
        Field("refund_amount", "integer", required=True, note="fen, what was asked for"),
        Field("refund_post_amount", "integer", note="fen, what was asked for"),
        Field("real_refund_amount", "integer", note="fen, what really went back"),
        Field("refund_total_amount", "integer", note="fen, of the detail, with postage"),
        *_fen("refund_tax_amount", "return_promotion_amount"),
        *_seconds("refund_time"),
        *_fields("integer", "aftersale_num"),
        *_fields("text", "part_type", "got_pkg", "refund_type", "aftersale_refund_type"),
        *_fields("text", "arbitrate_status", "arbitrate_blame", "is_agree_refuse_sign"),
        *_fields("text", "reason_text", "remark"),
        *_fields("id", "return_logistics_code", "store_id"),
        *_fields("text", "return_logistics_company_name", "store_name"),
        Field("related_order_info", "records", members=_RELATED_ORDER),
    ),
    "One record per after-sales request and version.",
    key=("aftersale_id",),
    modified="update_time",
    refers={"shop_order_id": "order"},
)

PAYLOADS = {model.stream: model for model in (ORDERS, REFUNDS)}
