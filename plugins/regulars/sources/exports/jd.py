"""JD: 订单导出, one row per SKU with the order's own columns repeated on each."""

from regulars.sources.exports.columns import SOURCE, column, columns, number, person
from regulars.sources.payloads import PayloadModel

_RUNNING = (
    "等待付款",
    "未付款",
    "等待付款确认",
    "等待出库",
    "等待发货",
    "等待确认收货",
    "完成",
    "锁定",
    "暂停",
)
ORDER_STATUSES = (
    *_RUNNING,
    "锁定订单",
    "暂停订单",
    "已完成",
    "已取消",
    "配送退货",
    # A mark in front of the state: (删除) has been cancelled, (锁定) is about to be.
    *(f"(删除){state}" for state in _RUNNING),
    *(f"(锁定){state}" for state in _RUNNING if state not in ("锁定", "完成")),
)

ORDERS = PayloadModel(
    SOURCE,
    "jd_orders",
    (
        number("order_id*", "订单号", "订单编号"),
        column("status*", "enum", "订单状态", values=ORDER_STATUSES),
        number("product_id*", "商品ID"),
        column("title", "text", "商品名称"),
        column("quantity*", "decimal", "订购数量"),
        column("price*", "amount", "京东价"),
        column("created_at*", "timestamp", "下单时间"),
        column("paid_at", "timestamp", "付款确认时间"),
        column("finished_at", "timestamp", "订单完成时间"),
        # Of the order, whatever the row: taken once.
        column("order_amount", "amount", "订单金额"),
        column("payable_amount*", "amount", "应付金额"),
        column("balance_amount", "amount", "余额支付"),
        column("settled_amount", "amount", "结算金额"),
        column("shipping_amount", "amount", "运费金额"),
        column("service_fee", "amount", "服务费"),
        # The buyer's account (pin), an id of the platform; a phone number in it is masked.
        column("buyer_account", "text", "下单帐号", "下单账号"),
        *columns(
            "text",
            payment_kind="支付方式",
            order_kind="订单类型",
            order_note="订单备注",
            invoice_kind="发票类型",
            invoice_content="发票内容",
            vat_invoice="增值税发票",
            tax_number="普通发票纳税编号",
            seller_note="商家备注",
            seller_note_rank="商家备注等级（等级1-5为由高到低）",
            product_code="货号",
            seller_sku_id="商家SKUID",
            origin="订单来源",
            channel="订单渠道",
            delivery_service="送装服务",
            warehouse_id="仓库id",
            warehouse_name="仓库名称",
            shop_name="店铺名称",
        ),
        person("receiver_name", "name", "客户姓名"),
        person("receiver_address", "address", "客户地址"),
        person("receiver_phone", "phone", "联系电话"),
        person("receiver_email", "email", "邮箱地址"),
        person("invoice_title", "other", "发票抬头"),
    ),
    "One row per SKU of an order: 订单导出.",
    defines="order",
    # No key: a gift may be a row of the same SKU beside the one that was bought.
)
