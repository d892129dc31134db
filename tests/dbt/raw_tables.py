"""Empty raw, ops and config tables for the tests of the models."""

import sys
import types

import duckdb

CONTACTS = ("ref", "hash", "masked")


def _contact(field: str) -> str:
    return " ".join(f"{field}_{part}" for part in CONTACTS)


FILE_COLUMNS = {
    "orders": "order_id buyer_id status created_at paid_at shipped_at signed_at finished_at"
    " closed_at modified_at currency goods_amount discount_amount shipping_amount paid_amount"
    f" store_id channel is_gift is_test {_contact('payer_phone')} {_contact('receiver_phone')}"
    " _key_id",
    "order_lines": "order_id line_no line_id product_id sku_id title quantity list_price"
    " goods_amount discount_amount paid_amount coupon_id campaign_id modified_at",
    "refunds": "refund_id order_id line_id buyer_id status created_at refunded_at modified_at"
    " refund_amount reason is_return_goods",
    "members": f"member_id buyer_id enrolled_at enrol_source {_contact('phone')}"
    f" {_contact('email')} birthday gender city province age_band sms_consent sms_consent_at"
    " email_consent email_consent_at consent_evidence is_employee is_blacklisted modified_at"
    " _key_id",
    "products": "product_id title product_group category brand_name cost_amount list_price"
    " cycle_days repurchase modified_at",
    "stores": "store_id name city province opened_on",
    "campaigns": "campaign_id name campaign_type channel started_on ended_on cost_amount"
    " holdout_share modified_at",
    "campaign_arms": "campaign_id buyer_id arm assigned_at",
    "sends": "send_id campaign_id buyer_id channel planned_at sent_at status coupon_id cost_amount",
    "receipts": "receipt_id send_id event occurred_at code",
    "visits": "visit_id buyer_id visited_at channel page",
    "coupons": "coupon_id campaign_id name face_amount threshold_amount valid_from valid_to",
    "coupon_events": "event_id coupon_id buyer_id event occurred_at order_id campaign_id",
    "reviews": "review_id order_id buyer_id product_id result content photo_count created_at",
    "interactions": "interaction_id buyer_id kind occurred_at detail",
    "agent_contacts": "contact_id buyer_id order_id agent contacted_at kind outcome",
    "tags": "buyer_id tag value tagged_at removed_at",
    "points": "entry_id buyer_id kind points occurred_at order_id expires_at",
    "traffic": "date channel visitors new_visitors returning_visitors page_views",
}
SUBORDER = (
    "oid num_iid sku_id title price num total_fee discount_fee adjust_fee payment"
    " divide_order_fee part_mjz_discount status refund_status refund_id cid outer_iid"
    " outer_sku_id end_time consign_time"
)
TAOBAO_COLUMNS = {
    "orders": "tid status type created modified pay_time consign_time end_time sign_time"
    " buyer_open_uid buyer_nick_masked payment total_fee discount_fee adjust_fee post_fee"
    " received_payment num receiver_state receiver_city receiver_name_masked"
    f" {_contact('receiver_mobile')} receiver_address_masked oaid trade_from seller_flag"
    " step_trade_status shipping_type _key_id orders",
    "refunds": "refund_id tid oid buyer_open_uid total_fee refund_fee payment status created"
    " modified good_status has_good_return reason refund_phase order_status num dispute_type",
}


def _literal_columns(source: str, stream: str) -> dict[str, str]:
    names = {"file": FILE_COLUMNS, "taobao_top": TAOBAO_COLUMNS}[source][stream].split()
    columns = dict.fromkeys(names, "varchar")
    if (source, stream) == ("taobao_top", "orders"):
        fields = ", ".join(f'"{name}" varchar' for name in SUBORDER.split())
        columns["orders"] = f"struct({fields})[]"
    return columns


try:
    import regulars.sources  # noqa: F401
except ImportError:
    stand_in = types.ModuleType("regulars.sources")
    stand_in.raw_columns = _literal_columns  # type: ignore[attr-defined]
    stand_in.raw_streams = lambda source: list(  # type: ignore[attr-defined]
        {"file": FILE_COLUMNS, "taobao_top": TAOBAO_COLUMNS}[source]
    )
    sys.modules["regulars.sources"] = stand_in

from regulars.warehouse.tables import create_tables  # noqa: E402


def create_source_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Create every table that a dbt source names, as the night creates them."""
    create_tables(connection)
