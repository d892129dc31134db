{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with trades as (
    select *
    from {{ source('raw', 'taobao_top__orders') }}
    where {{ only_pending_batches() }}
),

exploded as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        tid as order_id,
        coalesce(
            {{ parse_instant('modified', "'Asia/Shanghai'") }},
            {{ parse_instant('created', "'Asia/Shanghai'") }}
        ) as modified_at,
        coalesce({{ parse_amount('post_fee') }}, 0) as shipping_amount,
        _batch_id,
        _line,
        _extracted_at,
        {{ explode('orders') }} as suborder
    from trades
),

parsed as (
    select
        exploded.brand,
        exploded.platform,
        exploded.shop,
        exploded.order_id,
        exploded.modified_at,
        exploded.shipping_amount,
        exploded.suborder.oid as line_id,
        coalesce(exploded.suborder.num_iid, 'unknown') as product_id,
        exploded.suborder.sku_id,
        exploded.suborder.title,
        {{ parse_quantity('exploded.suborder.num') }} as quantity,
        {{ parse_amount('exploded.suborder.price') }} as list_price,
        {{ parse_amount('exploded.suborder.payment') }} as payment,
        {{ parse_amount('exploded.suborder.divide_order_fee') }} as divided_payment,
        coalesce({{ parse_amount('exploded.suborder.part_mjz_discount') }}, 0) as promotion_share,
        exploded._batch_id,
        exploded._line,
        exploded._extracted_at
    from exploded
),

-- Sub-orders come in any order; their ids, as numbers, give every version the same line numbers.
numbered as (
    select
        *,
        row_number() over (
            partition by _batch_id, _line
            order by
                length(line_id) asc nulls last,
                line_id asc nulls last,
                product_id asc nulls last
        ) as line_no,
        count(*) over (partition by _batch_id, _line) as line_count,
        cast(list_price * quantity as decimal(18, 2)) as goods_amount
    from parsed
),

-- A single sub-order's payment includes the postage; several leave the promotion still to share.
paid as (
    select
        *,
        cast(coalesce(
            divided_payment,
            payment - case when line_count = 1 then shipping_amount else promotion_share end
        ) as decimal(18, 2)) as paid_amount
    from numbered
)

-- What a line shares with its order (shop, order id) stays with the order.
select
    {{ shop_key('order_id') }} as order_key,
    cast(line_no as integer) as line_no,
    line_id,
    {{ shop_key('product_id') }} as product_key,
    product_id,
    sku_id,
    title,
    quantity,
    list_price,
    goods_amount,
    cast(goods_amount - paid_amount as decimal(18, 2)) as discount_amount,
    paid_amount,
    -- The platform names neither the coupon nor the campaign behind a line's discount.
    cast(null as varchar) as coupon_id,
    cast(null as varchar) as campaign_id,
    modified_at,
    'taobao_top' as record_source,
    _batch_id,
    _line,
    _extracted_at
from paid
