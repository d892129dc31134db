"""Douyin Shop: 订单管理导出, one row per sub-order."""

from regulars.sources.exports.columns import SOURCE, column, columns, number, person
from regulars.sources.payloads import PayloadModel

ORDER_STATUSES = ("待支付", "待发货", "已发货", "已完成", "已关闭")

ORDERS = PayloadModel(
    SOURCE,
    "douyin_orders",
    (
        number("order_id*", "主订单编号"),
        # Some templates join the sub-orders of an order in one row; such a row says nothing of
        # what each of them cost, so it is refused.
        number("line_id*", "子订单编号"),
        column("status*", "enum", "订单状态", values=ORDER_STATUSES),
        column("created_at*", "timestamp", "订单提交时间"),
        column("paid_at", "timestamp", "支付完成时间"),
        column("shipped_at", "timestamp", "发货时间"),
        column("finished_at", "timestamp", "订单完成时间"),
        column("promised_at", "timestamp", "承诺发货时间"),
        number("product_id*", "商品ID"),
        column("title", "text", "选购商品"),
        column("quantity*", "decimal", "商品数量"),
        # Of one piece. 商品单价 of older templates is the same.
        column("price", "amount", "商品金额", "商品单价"),
        column("payable_amount*", "amount", "订单应付金额"),
        column("shipping_amount", "amount", "运费"),
        *columns(
            "amount",
            discount_amount="优惠总金额",
            platform_discount_amount="平台优惠",
            shop_discount_amount="商家优惠",
            talent_discount_amount="达人优惠",
            platform_cost_amount="平台实际承担优惠金额",
            shop_cost_amount="商家实际承担优惠金额",
            talent_cost_amount="达人实际承担优惠金额",
            income_amount="商家收入金额",
        ),
        *columns(
            "text",
            sku_text="商品规格",
            outer_sku_id="商家编码 货号",
            payment_kind="支付方式",
            after_sale_status="售后状态",
            cancel_reason="取消原因",
            seller_note="商家备注",
            buyer_message="买家留言",
            delivery="快递信息",
            talent_id="达人ID",
            talent_name="达人昵称",
            traffic_content="流量体裁",
            traffic_channel="流量渠道",
            traffic_origin="流量来源",
            traffic_kind="流量类型",
            app_channel="APP渠道",
            is_safe_purchase="是否安全购",
            order_kind="订单类型",
            province="省",
            city="市",
            district="区",
        ),
        person("receiver_name", "name", "收件人"),
        person("receiver_phone", "phone", "收件人手机号"),
        person("receiver_address", "address", "详细地址"),
        person("receiver_street", "address", "街道"),
    ),
    "One row per sub-order: 订单管理导出.",
    defines="order",
    key=("order_id", "line_id"),
)
