"""The contract of file drops, as data.

``docs/reference/file-contract.md`` is generated from it (``regulars.sources.file.reference``).
"""

from typing import Any

from regulars.sources.payloads import Field, Kind, PayloadModel, Refers

SOURCE = "file"

_KINDS: dict[str, Kind] = {
    "id": "id",
    "text": "text",
    "amt": "amount",
    "dec": "decimal",
    "int": "integer",
    "bool": "flag",
    "ts": "timestamp",
    "date": "date",
}

_PEOPLE = frozenset({"buyer_id", "member_id"})
_REFERS: dict[str, Refers] = {
    "buyer_id": "buyer",
    "order_id": "order",
    "replacement_order_id": "order",
    "send_id": "message",
}

_DEFINES: dict[str, Refers] = {"orders": "order", "sends": "message"}


def _field(name: str, kind: str = "text", note: str = "", **more: Any) -> Field:
    plain = name.rstrip("*")
    return Field(
        plain,
        _KINDS[kind],
        required=name != plain,
        note=note,
        refers=_REFERS.get(plain),
        is_opaque=plain in _PEOPLE,
        **more,
    )


def _one_of(name: str, *values: str, note: str = "") -> Field:
    return Field(name.rstrip("*"), "enum", required=name.endswith("*"), values=values, note=note)


def _phone(name: str, note: str) -> Field:
    return Field(name, "contact", contact="phone", note=note)


_BUYER = "the platform's stable buyer id (Taobao: `buyer_open_uid`)"
_ORDER = "the platform's order id (Taobao: `tid`)"
_LINE = "the platform's line id (Taobao: `oid`)"
_MODIFIED = "when the record last changed; of two versions the newer counts"
_CONSENT = ("granted", "refused", "unknown")

# The business advisor's four groups: traffic, trade, service, the rest. PC stands beside the total.
_BUSINESS_FIGURES: tuple[tuple[str, ...], ...] = (
    ("visitors", "int", "访客数"),
    ("visitors_change", "int", "访客数较前一天变化量"),
    ("page_views", "int", "浏览量"),
    ("page_views_change", "int", "浏览量较前一天变化", "浏览量较前一天变化量"),
    ("home_visitors", "int", "店铺首页访客数"),
    ("home_page_views", "int", "店铺首页浏览量"),
    ("viewed_products", "int", "被浏览商品数"),
    ("returning_visitors", "int", "老访客数"),
    ("returning_visitor_pct", "dec", "老访客数占比"),
    ("pc_visitors", "int", "PC端访客数"),
    ("pc_page_views", "int", "PC端浏览数", "pc端浏览量"),
    ("pc_viewed_products", "int", "PC端浏览商品数"),
    ("pc_returning_visitors", "int", "PC端老访客数"),
    ("spend_per_buyer_amount", "amt", "客单价"),
    ("pc_spend_per_buyer_amount", "amt", "PC端客单价"),
    ("returning_buyers", "int", "老买家数"),
    ("low_rating_buyers", "int", "DSR综合低评分买家数"),
    ("service_rating", "dec", "服务态度DSR"),
    ("description_rating", "dec", "描述相符评分"),
    ("shop_favorites", "int", "店铺收藏次数"),
)

_STREAMS: dict[str, tuple[str, tuple[Field, ...]]] = {
    "orders": (
        "One row per order and version.",
        (
            _field("order_id*", "id", _ORDER),
            _field("buyer_id", "id", f"{_BUYER}; empty when nobody asked who buys: a guest"),
            _one_of("status*", "created", "paid", "shipped", "signed", "finished", "closed"),
            _field("created_at*", "ts"),
            _field("paid_at", "ts", "empty while unpaid"),
            _field("shipped_at", "ts"),
            _field("signed_at", "ts"),
            _field("finished_at", "ts"),
            _field("closed_at", "ts"),
            _field("modified_at", "ts", _MODIFIED),
            _field("currency", "text", "ISO 4217; the shop's when empty"),
            _field("goods_amount", "amt", "list prices times quantities"),
            _field("discount_amount", "amt", "positive"),
            _field("shipping_amount", "amt"),
            _field("paid_amount*", "amt", "what the buyer paid, shipping included"),
            _field("store_id", "id", "`store_id` of the stream stores"),
            _field("channel"),
            _field("is_gift", "bool", "ticked as one, of a gift category, or with a note inside"),
            _field("is_test", "bool", "a test order never counts"),
            _phone("payer_phone", "who paid"),
            _phone("receiver_phone", "who received"),
        ),
    ),
    "order_lines": (
        "One row per line of an order and version.",
        (
            _field("order_id*", "id", _ORDER),
            _field("line_no*", "int", "position within the order, from 1"),
            _field("line_id", "id", _LINE),
            _field("product_id*", "id"),
            _field("sku_id", "id"),
            _field("title"),
            _field("quantity*", "dec"),
            _field("list_price", "amt", "of one piece"),
            _field("goods_amount", "amt", "list price times quantity"),
            _field("discount_amount", "amt", "positive"),
            _field("paid_amount*", "amt", "after every discount, shipping left out"),
            _field("coupon_id", "id"),
            _field("campaign_id", "id"),
            _field("modified_at", "ts", _MODIFIED),
        ),
    ),
    "refunds": (
        "One row per refund and version.",
        (
            _field("refund_id*", "id"),
            _field("order_id*", "id", _ORDER),
            _field("line_id", "id", f"{_LINE}; empty when the whole order is refunded"),
            _field("buyer_id", "id", _BUYER),
            _one_of("status*", "requested", "agreed", "succeeded", "refused", "cancelled"),
            _field("created_at*", "ts"),
            _field("refunded_at", "ts", "when the money went back"),
            _field("modified_at", "ts", _MODIFIED),
            _field("refund_amount*", "amt", "what the buyer gets back, positive"),
            _field("reason"),
            _field("is_return_goods", "bool"),
        ),
    ),
    "members": (
        "One row per member and version.",
        (
            _field("member_id*", "id"),
            _field("buyer_id*", "id", _BUYER),
            _field("enrolled_at", "ts"),
            _field("enrol_source"),
            _phone("phone", "for messages"),
            Field("email", "contact", contact="email", note="for messages"),
            _field("birthday", "date"),
            _field("gender"),
            _field("city"),
            _field("province"),
            _field("age_band"),
            _one_of("sms_consent", *_CONSENT),
            _field("sms_consent_at", "ts"),
            _one_of("email_consent", *_CONSENT),
            _field("email_consent_at", "ts"),
            _field("consent_evidence", "text", "where and how consent was given"),
            _field("is_employee", "bool"),
            _field("is_blacklisted", "bool"),
            _field("modified_at", "ts", _MODIFIED),
        ),
    ),
    "products": (
        "One row per product and version.",
        (
            _field("product_id*", "id"),
            _field("title"),
            _field("product_group"),
            _field("category"),
            _field("brand_name"),
            _field("cost_amount", "amt", "of one piece"),
            _field("list_price", "amt", "of one piece"),
            _field("cycle_days", "int", "days until it is usually bought again"),
            _one_of("repurchase", "yes", "none", note="`none`: durable goods, bought once"),
            _field("modified_at", "ts", _MODIFIED),
        ),
    ),
    "stores": (
        "One row per store.",
        (
            _field("store_id*", "id"),
            _field("name"),
            _field("city"),
            _field("province"),
            _field("opened_on", "date"),
        ),
    ),
    "campaigns": (
        "One row per campaign and version.",
        (
            _field("campaign_id*", "id"),
            _field("name"),
            _one_of("campaign_type", "one_off", "triggered"),
            _field("channel*"),
            _field("started_on*", "date"),
            _field("ended_on*", "date", "its last day"),
            _field("cost_amount", "amt"),
            _field("holdout_share", "dec", "0..1"),
            _field("modified_at", "ts", _MODIFIED),
        ),
    ),
    "campaign_arms": (
        "One row per campaign and buyer.",
        (
            _field("campaign_id*", "id"),
            _field("buyer_id*", "id", _BUYER),
            _one_of("arm*", "treatment", "holdout"),
            _field("assigned_at", "ts"),
        ),
    ),
    "sends": (
        "One row per message sent.",
        (
            _field("send_id*", "id"),
            _field("campaign_id*", "id"),
            _field("buyer_id*", "id", _BUYER),
            _field("channel*"),
            _field("planned_at", "ts"),
            _field("sent_at*", "ts"),
            _one_of("status", "sent", "delivered", "failed", "intercepted"),
            _field("coupon_id", "id"),
            _field("cost_amount", "amt", "of this message"),
        ),
    ),
    "receipts": (
        "One row per event of a message.",
        (
            _field("receipt_id*", "id"),
            _field("send_id*", "id"),
            _one_of(
                "event*",
                "accepted",
                "delivered",
                "failed",
                "intercepted",
                "opened",
                "clicked",
                "bounced",
                "complained",
                "unsubscribed",
            ),
            _field("occurred_at*", "ts"),
            _field("code", "text", "the channel's own code"),
        ),
    ),
    "visits": (
        "One row per visit.",
        (
            _field("visit_id*", "id"),
            _field("buyer_id", "id", f"{_BUYER}; empty when not logged in"),
            _field("visited_at*", "ts"),
            _field("channel"),
            _field("page"),
        ),
    ),
    "coupons": (
        "One row per coupon.",
        (
            _field("coupon_id*", "id"),
            _field("campaign_id", "id"),
            _field("name"),
            _field("face_amount", "amt"),
            _field("threshold_amount", "amt", "smallest order it may be used on"),
            _field("valid_from", "date"),
            _field("valid_to", "date", "its last day"),
        ),
    ),
    "coupon_events": (
        "One row per event of a coupon in a buyer's hands.",
        (
            _field("event_id*", "id"),
            _field("coupon_id*", "id"),
            _field("buyer_id*", "id", _BUYER),
            _one_of("event*", "issued", "claimed", "used", "expired"),
            _field("occurred_at*", "ts"),
            _field("order_id", "id", _ORDER),
            _field("campaign_id", "id"),
        ),
    ),
    "reviews": (
        "One row per review.",
        (
            _field("review_id*", "id"),
            _field("order_id*", "id", _ORDER),
            _field("buyer_id*", "id", _BUYER),
            _field("product_id", "id"),
            _one_of("result", "good", "neutral", "bad"),
            _field("content"),
            _field("photo_count", "int"),
            _field("created_at*", "ts"),
        ),
    ),
    "interactions": (
        "One row per interaction.",
        (
            _field("interaction_id*", "id"),
            _field("buyer_id*", "id", _BUYER),
            _one_of(
                "kind*", "share", "follow", "referral", "referral_ordered", "survey", "question"
            ),
            _field("occurred_at*", "ts"),
            _field("detail"),
        ),
    ),
    "agent_contacts": (
        "One row per contact between an agent and a buyer.",
        (
            _field("contact_id*", "id"),
            _field("buyer_id*", "id", _BUYER),
            _field("order_id", "id", _ORDER),
            _field("agent"),
            _field("contacted_at*", "ts"),
            _field("kind"),
            _field("outcome"),
        ),
    ),
    "store_services": (
        "One row per exchange or return that a store took in, whichever store sold the goods.",
        (
            _field("service_id*", "id"),
            _field("order_id*", "id", "the order that the goods were bought with"),
            _field("line_id", "id", f"{_LINE}; empty when it is the whole order"),
            _one_of("kind*", "exchange", "return"),
            _field("store_id*", "id", "the store that took them in"),
            _field("occurred_at*", "ts"),
            _field("refund_id", "id", "the refund that the till booked with it, if it did"),
            _field(
                "replacement_order_id",
                "id",
                "of an exchange: the order that the till booked for the goods handed out, if it "
                "did. It is no purchase, and a refund of it is one of `order_id`",
            ),
        ),
    ),
    "tags": (
        "One row per buyer and tag.",
        (
            _field("buyer_id*", "id", _BUYER),
            _field("tag*"),
            _field("value"),
            _field("tagged_at*", "ts"),
            _field("removed_at", "ts"),
        ),
    ),
    "points": (
        "One row per entry of the points ledger.",
        (
            _field("entry_id*", "id"),
            _field("buyer_id*", "id", _BUYER),
            _field("kind*"),
            _field("points*", "int", "negative when they leave the account"),
            _field("occurred_at*", "ts"),
            _field("order_id", "id", _ORDER),
            _field("expires_at", "ts"),
        ),
    ),
    "traffic": (
        "One row per day and channel.",
        (
            _field("date*", "date", "the shop's local day"),
            _one_of("channel", "all", "pc", "wireless", note="`all` when empty"),
            _field("visitors*", "int"),
            _field("new_visitors", "int"),
            _field("returning_visitors", "int"),
            _field("page_views", "int"),
        ),
    ),
    "platform_totals": (
        "One row per day: what the platform's own reports say, to be compared with ours.",
        (
            _field("date*", "date", "the shop's local day"),
            _field("created_order_count", "int", "orders created on the day"),
            _field("paid_order_count*", "int", "orders paid on the day"),
            _field("paid_amount*", "amt", "paid for them, shipping included, refunds not deducted"),
            _field("refund_count", "int", "refunds that succeeded on the day"),
            _field("refund_amount", "amt", "paid back with them"),
            _field("currency", "text", "ISO 4217; the shop's when empty"),
            _field("exported_at", "ts", "when the report was made; the newest of a day counts"),
        ),
    ),
    "business_daily": (
        "One row per day of the business advisor (生意参谋); the Chinese headers are read as well.",
        (
            _field("date*", "date", "the shop's local day", aliases=("日期", "统计日期")),
            *(
                _field(name, kind, label, aliases=(label.lower(), *more))
                for name, kind, label, *more in _BUSINESS_FIGURES
            ),
        ),
    ),
    "industry_daily": (
        "One row per day, category and figure: the average of the shop's industry.",
        (
            _field("date*", "date", "the day"),
            _field("category", "text", "the industry, as the platform names it"),
            _field("figure*", "text", "a column of business_daily, or a metric of ours"),
            _field("average*", "dec", "unit of the figure"),
        ),
    ),
}

# What the versions of one record share.
_KEYS: dict[str, tuple[str, ...]] = {
    "orders": ("order_id",),
    "order_lines": ("order_id", "line_no"),
    "refunds": ("refund_id",),
    "members": ("member_id",),
    "products": ("product_id",),
    "stores": ("store_id",),
    "campaigns": ("campaign_id",),
    "sends": ("send_id",),
    "receipts": ("receipt_id",),
    "visits": ("visit_id",),
    "coupons": ("coupon_id",),
    "coupon_events": ("event_id",),
    "reviews": ("review_id",),
    "interactions": ("interaction_id",),
    "agent_contacts": ("contact_id",),
    "store_services": ("service_id",),
    "points": ("entry_id",),
    "traffic": ("date", "channel"),
    "platform_totals": ("date",),
    "business_daily": ("date",),
    "industry_daily": ("date", "category", "figure"),
    "campaign_arms": ("campaign_id", "buyer_id"),
    "tags": ("buyer_id", "tag"),
}
_AGES = {"modified_at", "exported_at"}

CONTRACT: dict[str, PayloadModel] = {
    stream: PayloadModel(
        SOURCE,
        stream,
        fields,
        note,
        defines=_DEFINES.get(stream),
        key=_KEYS.get(stream, ()),
        modified=next((one.name for one in fields if one.name in _AGES), ""),
    )
    for stream, (note, fields) in _STREAMS.items()
}
"""Payload model of every stream that may be dropped as a file, in landing order."""
