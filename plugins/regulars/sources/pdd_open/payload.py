"""Records of the Pinduoduo open platform: orders with their items, and after-sales cases.

Closed sets are those that decide what an order or refund counts as: a new value must be looked at.
Other enumerations grow without notice. Amounts are yuan, as number or as text; times are the wall
clock of GMT+8. There is no buyer id of any kind.
"""

from regulars.sources.payloads import Field, Kind, PayloadModel
from regulars.vault.contacts import ContactKind

SOURCE = "pdd_open"

ORDER_STATUSES = ("1", "2", "3")
CONFIRM_STATUSES = ("0", "1", "2")
GROUP_STATUSES = ("0", "1", "2")
REFUND_STATUSES = ("1", "2", "3", "4")
AFTER_SALES_STATUSES = (
    "0",
    *map(str, range(2, 19)),
    *("21", "22", "24", "25", "27", "31", "32", "33"),
)

REMOVED = frozenset(
    {
        # Numbers and passwords of what was bought.
        "card_info_list",
        # Free text of buyers and sellers about buyers.
        "buyer_memo",
        "remark",
        "remark_tag_name",
        # Documented, and read by nobody here.
        "pay_no",
        "inner_transaction_id",
        "country_id",
        "province_id",
        "city_id",
        "town_id",
        "extra_delivery_list",
        "gift_delivery_list",
        "resend_delivery_list",
        "gift_list",
        "order_depot_info",
        "store_info",
        "service_fee_detail",
        "delivery_install_value",
        "delivery_home_value",
        "home_install_value",
        "home_delivery_type",
        "shipping_type",
        "yyps_date",
        "yyps_time",
        "urge_shipping_time",
        "promise_delivery_time",
        "group_order_id",
        "group_role",
        "delivery_one_day",
        "duoduo_wholesale",
        "free_sf",
        "self_contained",
        "return_freight_payer",
        "only_support_replace",
        "support_nationwide_warranty",
    }
)
"""Documented members of an order that never land. What is not named here and not in the model is
counted as unknown."""


def _fields(kind: Kind, *names: str) -> tuple[Field, ...]:
    return tuple(Field(name.rstrip("*"), kind, required=name.endswith("*")) for name in names)


def _enum(name: str, values: tuple[str, ...], *, required: bool = False) -> Field:
    return Field(name, "enum", required=required, values=values)


def _contact(name: str, kind: ContactKind) -> Field:
    return Field(name, "contact", contact=kind)


CONTACTS = (
    _contact("receiver_phone", "phone"),
    _contact("receiver_name", "name"),
    _contact("address", "address"),
    _contact("receiver_address", "address"),
    _contact("receiver_phone_mask", "phone"),
    _contact("receiver_name_mask", "name"),
    _contact("address_mask", "address"),
    _contact("receiver_address_mask", "address"),
)

_ITEM = (
    *_fields("id", "goods_id", "sku_id", "outer_id", "outer_goods_id"),
    *_fields("text", "goods_name", "goods_spec", "goods_img"),
    *_fields("amount", "goods_price*"),
    *_fields("integer", "goods_count*"),
)

_STEP = (
    *_fields("amount", "advanced_paid_fee", "step_paid_fee", "step_discount_amount"),
    _enum("step_trade_status", ("0", "1", "2")),
)

ORDERS = PayloadModel(
    SOURCE,
    "orders",
    (
        *_fields("id", "order_sn*"),
        _enum("order_status", ORDER_STATUSES, required=True),
        _enum("confirm_status", CONFIRM_STATUSES),
        _enum("group_status", GROUP_STATUSES),
        _enum("refund_status", REFUND_STATUSES, required=True),
        *_fields("integer", "after_sales_status", "risk_control_status", "mkt_biz_type"),
        _enum("trade_type", ("0", "1")),
        *_fields("timestamp", "created_time*", "updated_at*", "pay_time", "confirm_time"),
        *_fields("timestamp", "shipping_time", "receive_time", "last_ship_time", "pre_sale_time"),
        *_fields("amount", "pay_amount*", "goods_amount", "discount_amount", "postage"),
        *_fields("amount", "platform_discount", "seller_discount", "capital_free_discount"),
        *_fields("amount", "order_change_amount"),
        *_fields("text", "pay_type", "country", "province", "city", "town"),
        *CONTACTS,
        *_fields("id", "logistics_id", "tracking_number"),
        *_fields("id", "cat_id_1", "cat_id_2", "cat_id_3", "cat_id_4"),
        *_fields("integer", "is_lucky_flag", "is_pre_sale", "is_stock_out", "invoice_status"),
        *_fields("integer", "stock_out_handle_status", "remark_tag"),
        Field("item_list", "records", required=True, members=_ITEM),
        Field(
            "step_order_info", "records", members=_STEP, note="one at most: a deposit order's steps"
        ),
        Field("order_tag_list", "records", members=_fields("text", "name", "value")),
    ),
    "One record per order and version.",
    key=("order_sn",),
    modified="updated_at",
    refers={"order_sn": "order"},
    defines="order",
)

REFUNDS = PayloadModel(
    SOURCE,
    "refunds",
    (
        *_fields("id", "id*", "order_sn*"),
        _enum("after_sales_status", AFTER_SALES_STATUSES, required=True),
        *_fields("integer", "after_sales_type*"),
        *_fields("text", "after_sale_reason"),
        *_fields("amount", "refund_amount*", "order_amount", "discount_amount"),
        *_fields("id", "goods_id", "sku_id", "outer_id", "outer_goods_id"),
        *_fields("text", "goods_name", "good_image"),
        *_fields("amount", "goods_price"),
        *_fields("integer", "goods_number"),
        *_fields("timestamp", "created_time*", "updated_time*", "confirm_time"),
        *_fields("id", "tracking_number"),
        *_fields("text", "shipping_name"),
        *_fields("integer", "speed_refund_flag", "speed_refund_status", "dispute_refund_status"),
        *_fields("integer", "user_shipping_status", "refund_operator_role"),
    ),
    "One record per after-sales case and version.",
    key=("id",),
    modified="updated_time",
    refers={"order_sn": "order"},
)

PAYLOADS = {model.stream: model for model in (ORDERS, REFUNDS)}
