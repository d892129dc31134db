"""Records of the Taobao open platform: trades with their sub-orders, refunds, reviews, parcels.

Only the statuses are closed sets: a new one changes what an order counts as, so it must be looked
at. Other enumerations grow without notice and stay text.
"""

from regulars.sources.payloads import Field, Kind, PayloadModel, Refers
from regulars.vault.contacts import ContactKind

SOURCE = "taobao_top"

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

_REFERS: dict[str, Refers] = {"buyer_open_uid": "buyer", "tid": "order"}


def _fields(kind: Kind, *names: str) -> tuple[Field, ...]:
    plain = {name.rstrip("*"): name.endswith("*") for name in names}
    return tuple(
        Field(name, kind, required=is_required, refers=_REFERS.get(name))
        for name, is_required in plain.items()
    )


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

ORDERS = PayloadModel(
    SOURCE,
    "orders",
    (
        *_fields("id", "tid*"),
        Field("status", "enum", required=True, values=TRADE_STATUSES),
        *_fields("text", "type"),
        *_fields("timestamp", "created*", "modified*", "pay_time", "consign_time", "end_time"),
        *_fields("timestamp", "sign_time"),
        *_fields("id", "buyer_open_uid*"),
        _contact("buyer_nick", "name"),
        *_fields("amount", "payment*", "total_fee", "discount_fee", "adjust_fee", "post_fee"),
        *_fields("amount", "received_payment"),
        *_fields("integer", "num"),
        *_fields("text", "receiver_state", "receiver_city"),
        _contact("receiver_name", "name"),
        _contact("receiver_mobile", "phone"),
        # Asked for because the platform gives oaid only together with it.
        _contact("receiver_phone", "phone"),
        _contact("receiver_address", "address"),
        *_fields("id", "oaid"),
        *_fields("text", "trade_from"),
        *_fields("integer", "seller_flag"),
        *_fields("text", "step_trade_status", "shipping_type"),
        Field("orders", "records", required=True, members=_SUB_ORDER),
    ),
    "One record per trade and version.",
    defines="order",
    key=("tid",),
    modified="modified",
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
    ),
    "One record per refund and version.",
    key=("refund_id",),
    modified="modified",
)

REVIEWS = PayloadModel(
    SOURCE,
    "reviews",
    (
        *_fields("id", "tid*", "oid*", "num_iid"),
        _contact("nick", "name"),
        Field("result", "enum", required=True, values=("good", "neutral", "bad")),
        *_fields("timestamp", "created*"),
        *_fields("text", "role", "content", "reply"),
        *_fields("flag", "valid_score"),
        *_fields("id", "ouid"),
    ),
    "One record per review of a sub-order by its buyer, each time it was read.",
    key=(
        "tid",
        "oid",
    ),
    modified="created",
)

LOGISTICS = PayloadModel(
    SOURCE,
    "logistics",
    (
        *_fields("id", "tid*", "out_sid"),
        *_fields("text", "company_name", "status"),
        Field(
            "trace_list",
            "records",
            required=True,
            members=(
                *_fields("timestamp", "status_time*"),
                *_fields("text", "status_desc", "action"),
            ),
        ),
    ),
    "One record per parcel and reading, with its whole way so far.",
    key=(
        "tid",
        "out_sid",
    ),
)

PAYLOADS = {model.stream: model for model in (ORDERS, REFUNDS, REVIEWS, LOGISTICS)}

OPTIONAL_STREAMS = ("reviews", "logistics")
"""Asked for only where a shop names them: each needs a permission of its own, parcels a call each.
"""


def field_list(model: PayloadModel) -> str:
    """The ``fields`` parameter that asks for exactly what the model knows."""
    names: list[str] = []
    for item in model.fields:
        if item.members:
            names.extend(f"{item.name}.{member.name}" for member in item.members)
        else:
            names.append(item.name)
    return ",".join(names)
