"""Records of the Shopify Admin API: orders with their lines and transactions, and refunds.

The states that decide what an order counts as are closed sets: a new one must be looked at. Names
are the platform's own, flattened (see ``flatten``). Money has the currency ``currency_code``.
"""

from regulars.sources.payloads import Field, Kind, PayloadModel
from regulars.vault.contacts import ContactKind

SOURCE = "shopify_admin"

FINANCIAL_STATUSES = (
    "AUTHORIZED",
    "EXPIRED",
    "PAID",
    "PARTIALLY_PAID",
    "PARTIALLY_REFUNDED",
    "PENDING",
    "REFUNDED",
    "VOIDED",
)
FULFILLMENT_STATUSES = (
    "FULFILLED",
    "FULFILLMENT_NOT_REQUIRED",
    "IN_PROGRESS",
    "ON_HOLD",
    "OPEN",
    "PARTIALLY_FULFILLED",
    "PENDING_FULFILLMENT",
    "REQUEST_DECLINED",
    "RESTOCKED",
    "SCHEDULED",
    "UNFULFILLED",
)
TRANSACTION_STATUSES = (
    "AWAITING_RESPONSE",
    "ERROR",
    "FAILURE",
    "PENDING",
    "SUCCESS",
    "UNKNOWN",
)
TRANSACTION_KINDS = (
    "AUTHORIZATION",
    "CAPTURE",
    "CHANGE",
    "EMV_AUTHORIZATION",
    "REFUND",
    "SALE",
    "SUGGESTED_REFUND",
    "VOID",
)


def _fields(kind: Kind, *names: str) -> tuple[Field, ...]:
    return tuple(Field(name.rstrip("*"), kind, required=name.endswith("*")) for name in names)


def _contact(name: str, kind: ContactKind) -> Field:
    return Field(name, "contact", contact=kind)


_LINE = (
    *_fields("id", "id*"),
    *_fields("text", "title", "variant_title", "sku", "vendor"),
    *_fields("integer", "quantity*", "current_quantity"),
    *_fields("flag", "is_gift_card"),
    *_fields("amount", "original_unit_price_set*", "original_total_set*"),
    *_fields("id", "product_legacy_resource_id", "variant_legacy_resource_id"),
)

_ALLOCATION = (
    *_fields("id", "line_item_id*"),
    *_fields("amount", "allocated_amount_set*"),
    *_fields("integer", "discount_application_index"),
    *_fields("text", "discount_application_code"),
)

_TRANSACTION = (
    *_fields("id", "id*"),
    Field("kind", "enum", required=True, values=TRANSACTION_KINDS),
    Field("status", "enum", required=True, values=TRANSACTION_STATUSES),
    *_fields("text", "gateway"),
    *_fields("timestamp", "processed_at"),
    *_fields("amount", "amount_set*"),
)

_FULFILLMENT = (
    *_fields("id", "id*"),
    *_fields("text", "status", "display_status"),
    *_fields("timestamp", "created_at*", "delivered_at"),
)

ORDERS = PayloadModel(
    SOURCE,
    "orders",
    (
        *_fields("id", "legacy_resource_id*"),
        *_fields("text", "name"),
        *_fields("timestamp", "created_at*", "processed_at", "updated_at*"),
        *_fields("timestamp", "closed_at", "cancelled_at"),
        *_fields("text", "cancel_reason"),
        Field("display_financial_status", "enum", values=FINANCIAL_STATUSES),
        Field("display_fulfillment_status", "enum", required=True, values=FULFILLMENT_STATUSES),
        *_fields("text", "return_status"),
        *_fields("flag", "test*", "edited", "taxes_included"),
        *_fields("text", "source_name", "currency_code*", "presentment_currency_code"),
        *_fields("text", "discount_codes", "payment_gateway_names", "tags", "customer_locale"),
        _contact("email", "email"),
        _contact("phone", "phone"),
        *_fields("amount", "original_total_price_set*", "total_price_set*"),
        Field("total_price_set_presentment", "amount", note="in presentment_currency_code"),
        *_fields("amount", "current_total_price_set", "total_shipping_price_set"),
        *_fields("amount", "total_tax_set", "total_discounts_set", "total_refunded_set"),
        *_fields("id", "retail_location_legacy_resource_id", "customer_legacy_resource_id"),
        _contact("customer_first_name", "name"),
        _contact("customer_last_name", "name"),
        _contact("customer_default_email_address_email_address", "email"),
        *_fields("text", "customer_default_email_address_marketing_state"),
        _contact("customer_default_phone_number_phone_number", "phone"),
        _contact("shipping_address_name", "name"),
        _contact("shipping_address_phone", "phone"),
        _contact("shipping_address_address1", "address"),
        *_fields("text", "shipping_address_city", "shipping_address_province"),
        *_fields("text", "shipping_address_country_code_v2"),
        Field("line_items", "records", required=True, members=_LINE),
        Field("discount_allocations", "records", members=_ALLOCATION),
        Field("transactions", "records", members=_TRANSACTION),
        Field("fulfillments", "records", members=_FULFILLMENT),
    ),
    "One record per order and version.",
    key=("legacy_resource_id",),
    modified="updated_at",
    refers={"legacy_resource_id": "order", "customer_legacy_resource_id": "buyer"},
    defines="order",
)

REFUNDS = PayloadModel(
    SOURCE,
    "refunds",
    (
        *_fields("id", "legacy_resource_id*", "order_legacy_resource_id*"),
        *_fields("id", "order_customer_legacy_resource_id"),
        *_fields("timestamp", "created_at", "processed_at*", "updated_at*", "order_updated_at"),
        *_fields("text", "note", "order_currency_code*"),
        *_fields("amount", "total_refunded_set*"),
        Field("transactions", "records", members=_TRANSACTION),
        Field(
            "refund_line_items",
            "records",
            members=(
                *_fields("id", "id", "line_item_id*"),
                *_fields("integer", "quantity*"),
                *_fields("text", "restock_type"),
                *_fields("amount", "subtotal_set*", "total_tax_set"),
            ),
        ),
    ),
    "One record per refund and version of its order.",
    key=("legacy_resource_id",),
    modified="order_updated_at",
    refers={"order_legacy_resource_id": "order", "order_customer_legacy_resource_id": "buyer"},
)

PAYLOADS = {model.stream: model for model in (ORDERS, REFUNDS)}
