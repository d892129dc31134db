{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'file__order_lines') }}
    where {{ only_pending_batches() }}
),

run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

parsed as (
    select
        records._brand as brand,
        records._platform as platform,
        records._shop as shop,
        records.order_id,
        try_cast(records.line_no as integer) as line_no,
        records.line_id,
        records.product_id,
        records.sku_id,
        records.title,
        {{ parse_quantity('records.quantity') }} as quantity,
        {{ parse_amount('records.list_price') }} as list_price,
        {{ parse_amount('records.goods_amount') }} as goods_amount,
        {{ parse_amount('records.discount_amount') }} as discount_amount,
        {{ parse_amount('records.paid_amount') }} as paid_amount,
        records.coupon_id,
        records.campaign_id,
        {{ parse_instant('records.modified_at', 'run_shops.zone') }} as modified_at,
        records._batch_id,
        records._line,
        records._extracted_at
    from records
    inner join run_shops
        on
            records._brand = run_shops.brand
            and records._platform = run_shops.platform
            and records._shop = run_shops.shop
)

-- A million rows: what a line shares with its order (shop, order id) stays with the order.
select
    {{ shop_key('order_id') }} as order_key,
    line_no,
    line_id,
    {{ shop_key('product_id') }} as product_key,
    product_id,
    sku_id,
    title,
    quantity,
    list_price,
    goods_amount,
    discount_amount,
    paid_amount,
    coupon_id,
    campaign_id,
    modified_at,
    'file' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
