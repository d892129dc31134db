"""The file contract: complete, and its reference page up to date."""

from regulars.settings import PROJECT_ROOT
from regulars.sources.file.contract import CONTRACT
from regulars.sources.file.reference import render_contract

REFERENCE = PROJECT_ROOT / "docs" / "reference" / "file-contract.md"


def test_the_reference_page_is_generated_from_the_contract() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == render_contract(), (
        "run `python -m regulars.sources.file.reference`"
    )


def test_every_promised_stream_is_there() -> None:
    assert list(CONTRACT) == [
        "orders",
        "order_lines",
        "refunds",
        "members",
        "products",
        "stores",
        "campaigns",
        "campaign_arms",
        "sends",
        "receipts",
        "visits",
        "coupons",
        "coupon_events",
        "reviews",
        "interactions",
        "agent_contacts",
        "store_services",
        "tags",
        "points",
        "traffic",
        "platform_totals",
        "business_daily",
        "industry_daily",
    ]


def test_members_carry_consent_and_products_their_cycle() -> None:
    assert {"sms_consent", "sms_consent_at", "email_consent", "consent_evidence"} <= CONTRACT[
        "members"
    ].names
    assert {"product_group", "cost_amount", "list_price", "cycle_days", "repurchase"} <= CONTRACT[
        "products"
    ].names


def test_names_follow_the_house() -> None:
    for model in CONTRACT.values():
        for item in model.fields:
            if item.kind == "timestamp":
                assert item.name.endswith("_at")
            if item.kind == "flag":
                assert item.name.startswith("is_")
            if item.name.endswith("_amount"):
                assert item.kind == "amount"
            if item.name.endswith("_id"):
                assert item.kind == "id"
