"""Records of the push database: trades with their sub-orders, and refunds.

They are the open platform's records, whole, so the statuses are closed sets here as there. The
buyer's id is not required: rows of older authorisations carry none.
"""

from regulars.sources.payloads import Field, Kind, PayloadModel
from regulars.vault.contacts import ContactKind

SOURCE = "taobao_rds"

ORDER_STATUSES = (
    "TRADE_NO_CREATE_PAY",
    "WAIT_BUYER_PAY",
    "PAY_PENDING",
    "WAIT_SELLER_SEND_GOODS",
    "WAIT_BUYER_CONFIRM_GOODS",
    "TRADE_BUYER_SIGNED",
    "TRADE_FINISHED",
    "TRADE_CLOSED",
    "TRADE_CLOSED_BY_TAOBAO",
)
TRADE_STATUSES = (
    *ORDER_STATUSES,
    "WAIT_PRE_AUTH_CONFIRM",
    "PAID_FORBID_CONSIGN",
    "SELLER_CONSIGNED_PART",
)
REFUND_STATUSES = (
    "WAIT_SELLER_AGREE",
    "WAIT_BUYER_RETURN_GOODS",
    "WAIT_SELLER_CONFIRM_GOODS",
    "SELLER_REFUSE_BUYER",
    "CLOSED",
    "SUCCESS",
    "WAIT_BUYER_CONFIRM_EXCHANGE_SELLER_SEND_GOODS",
    "EXCHANGE_TRANSFORM_TO_REFUND",
    "WAIT_SELLER_CONSIGN_GOODS",
)


def _fields(kind: Kind, *names: str) -> tuple[Field, ...]:
    return tuple(Field(name.rstrip("*"), kind, required=name.endswith("*")) for name in names)


def _contact(name: str, kind: ContactKind) -> Field:
    return Field(name, "contact", contact=kind)


_SUB_ORDER = (
    *_fields("id", "oid*", "num_iid", "sku_id"),
    *_fields("text", "title"),
    *_fields("amount", "price"),
    *_fields("integer", "num*"),
    *_fields("amount", "total_fee", "discount_fee", "adjust_fee", "payment*"),
    *_fields("amount", "divide_order_fee", "part_mjz_discount"),
    Field("status", "enum", values=ORDER_STATUSES),
    Field("refund_status", "enum", values=(*REFUND_STATUSES, "NO_REFUND")),
    *_fields("id", "refund_id", "cid", "outer_iid", "outer_sku_id"),
    *_fields("timestamp", "end_time", "consign_time"),
)

_PUSHED = Field("jdp_modified", "timestamp", note="when the platform pushed the row, GMT+8")

ORDERS = PayloadModel(
    SOURCE,
    "orders",
    (
        *_fields("id", "tid*"),
        Field("status", "enum", required=True, values=TRADE_STATUSES),
        *_fields("text", "type"),
        *_fields("timestamp", "created*", "modified*", "pay_time", "consign_time", "end_time"),
        *_fields("timestamp", "sign_time"),
        *_fields("id", "buyer_open_uid"),
        _contact("buyer_nick", "name"),
        *_fields("amount", "payment*", "total_fee", "discount_fee", "adjust_fee", "post_fee"),
        *_fields("amount", "received_payment"),
        *_fields("integer", "num"),
        *_fields("text", "receiver_state", "receiver_city"),
        _contact("receiver_name", "name"),
        _contact("receiver_mobile", "phone"),
        _contact("receiver_phone", "phone"),
        _contact("receiver_address", "address"),
        *_fields("id", "oaid"),
        *_fields("text", "trade_from"),
        *_fields("integer", "seller_flag"),
        *_fields("text", "step_trade_status", "shipping_type"),
        Field("orders", "records", required=True, members=_SUB_ORDER),
        _PUSHED,
    ),
    "One record per trade and push.",
    key=("tid",),
    modified="modified",
    refers={"tid": "order", "buyer_open_uid": "buyer"},
    defines="order",
)

REFUNDS = PayloadModel(
    SOURCE,
    "refunds",
    (
        *_fields("id", "refund_id*", "tid*", "oid", "buyer_open_uid"),
        *_fields("amount", "total_fee", "refund_fee*", "payment"),
        Field("status", "enum", required=True, values=REFUND_STATUSES),
        *_fields("timestamp", "created*", "modified*"),
        *_fields("text", "good_status"),
        *_fields("flag", "has_good_return"),
        *_fields("text", "reason", "refund_phase", "order_status"),
        *_fields("integer", "num"),
        *_fields("text", "dispute_type"),
        _PUSHED,
    ),
    "One record per refund and push.",
    key=("refund_id",),
    modified="modified",
    refers={"tid": "order", "buyer_open_uid": "buyer"},
)

PAYLOADS = {model.stream: model for model in (ORDERS, REFUNDS)}
