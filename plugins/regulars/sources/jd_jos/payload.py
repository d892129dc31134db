"""Records of the JD open platform: orders with their lines and coupons, and after-sales refunds.

The order's state is a closed set: a new one changes what an order counts as, so it must be looked
at. A refund's status is documented as "13 success, 14 failure, others": numbers, not a set.
Amounts are yuan.
"""

from regulars.sources.payloads import Field, Kind, PayloadModel
from regulars.vault.contacts import ContactKind

SOURCE = "jd_jos"

ORDER_STATES = (
    "NOT_PAY",
    "WAIT_SELLER_STOCK_OUT",
    "DengDaiChuKu",
    "WAIT_SELLER_DELIVERY",
    "DengDaiFaHuo",
    "WAIT_GOODS_RECEIVE_CONFIRM",
    "DengDaiQueRenShouHuo",
    "FINISHED_L",
    "WanCheng",
    "TRADE_CANCELED",
    "LOCKED",
    "PAUSE",
    "ZanTing",
    "POP_ORDER_PAUSE",
    "POP",
    "DELIVERY_RETURN",
    "PeiSongTuiHuo",
    "WAIT_SEND_CODE",
)


def _fields(kind: Kind, *names: str) -> tuple[Field, ...]:
    return tuple(Field(name.rstrip("*"), kind, required=name.endswith("*")) for name in names)


def _contact(name: str, kind: ContactKind) -> Field:
    return Field(name, "contact", contact=kind)


_ITEM = (
    *_fields("id", "skuId*", "wareId", "outerSkuId", "productNo"),
    *_fields("text", "skuName"),
    *_fields("amount", "jdPrice"),
    *_fields("integer", "itemTotal*"),
    *_fields("text", "giftPoint", "serviceName"),
    *_fields("id", "newStoreId"),
)

_COUPON = (
    *_fields("id", "orderId", "skuId"),
    *_fields("text", "couponType"),
    *_fields("amount", "couponPrice*"),
)

CONSIGNEE = (
    _contact("fullname", "name"),
    _contact("mobile", "phone"),
    _contact("telephone", "phone"),
    _contact("fullAddress", "address"),
    *_fields("text", "province", "city", "county", "town"),
    *_fields("id", "provinceId", "cityId", "countyId", "townId"),
)
"""Members of ``consigneeInfo``, which stand in the record itself."""

# Account names of old apps. Not asked for; were one to come nevertheless it would be no plain text.
_ACCOUNTS = (_contact("pin", "name"), _contact("realPin", "name"))

ORDERS = PayloadModel(
    SOURCE,
    "orders",
    (
        *_fields("id", "orderId*", "venderId", "parentOrderId"),
        Field("orderState", "enum", required=True, values=ORDER_STATES),
        *_fields("text", "orderStateRemark", "orderType", "payType"),
        *_fields("amount", "orderTotalPrice*", "orderSellerPrice", "sellerDiscount"),
        *_fields("amount", "freightPrice", "serviceFee", "taxFee", "balanceUsed", "orderPayment*"),
        # "0001-01-01 00:00:00" and "1970-01-01 00:00:00" stand where there is no instant.
        *_fields("timestamp", "orderStartTime*", "orderEndTime", "modified*"),
        *_fields("timestamp", "paymentConfirmTime"),
        *_fields("id", "open_id_buyer", "xid_buyer"),
        Field("itemInfoList", "records", required=True, members=_ITEM),
        Field("couponDetailList", "records", members=_COUPON),
        *CONSIGNEE,
        *_ACCOUNTS,
        *_fields("text", "orderSource", "storeOrder", "returnOrder", "idSopShipmenttype"),
        *_fields("id", "storeId"),
    ),
    "One record per order and version; the members of consigneeInfo stand in the record itself.",
    key=("orderId",),
    modified="modified",
    refers={"orderId": "order", "open_id_buyer": "buyer", "xid_buyer": "buyer"},
    defines="order",
)

REFUNDS = PayloadModel(
    SOURCE,
    "refunds",
    (
        *_fields("id", "serviceId*", "orderId*", "afsRefundId", "afsApplyId", "wareId"),
        *_fields("text", "wareName"),
        *_fields("integer", "status"),
        *_fields("timestamp", "afsApplyTime", "approveDate", "completeTime"),
        Field("refoundAmount", "amount", note="yuan by all that is known; not documented"),
        Field("actualRefundAmount", "amount", note="yuan; of afsActualRefundDetail"),
        Field("maxRefundAmount", "amount", note="yuan; of afsEstimateRefundDetail"),
        *_fields("text", "applyReason", "questionDesc", "approveNotes"),
        *(
            _contact(name, "name")
            for name in ("customerPin", "customerName", "approvePin", "approveName")
        ),
        *(_contact(name, "name") for name in ("processPin", "processName")),
    ),
    "One record per after-sales service and version: the members of sameOrderServiceBill and the "
    "amounts of the refund's details stand in the record itself.",
    key=("serviceId",),
    refers={"orderId": "order"},
)

PAYLOADS = {model.stream: model for model in (ORDERS, REFUNDS)}

_NOT_ASKED = frozenset(one.name for one in (*CONSIGNEE, *_ACCOUNTS))

OPTIONAL_FIELDS = ",".join(
    [*(one.name for one in ORDERS.fields if one.name not in _NOT_ASKED), "consigneeInfo"]
)
"""The ``optional_fields`` parameter that asks for what the model knows, accounts left out."""
