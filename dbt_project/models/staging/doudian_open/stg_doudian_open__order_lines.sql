{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

-- What the lines share is the order's pay_amount without its shipping, to the fen:
--   lines whose pay_amounts, without their own post_amount, add up to it are taken so;
--   else lines whose pay_amounts add up to it as they stand;
--   else it is shared by the lines' pay_amounts (all 0: by their goods, else evenly), cumulated and
--   rounded, so that the differences add up exactly.

with records as (
    select *
    from {{ source('raw', 'doudian_open__orders') }}
    where {{ only_pending_batches() }}
),

exploded as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        order_id,
        coalesce(
            {{ parse_unix_seconds('update_time') }}, {{ parse_unix_seconds('create_time') }}
        ) as modified_at,
        cast(
            {{ parse_fen('pay_amount') }}
            - coalesce({{ parse_fen('post_amount') }}, 0)
            - coalesce({{ parse_fen('packing_amount') }}, 0) as decimal(18, 2)
        ) as order_amount,
        _batch_id,
        _line,
        _extracted_at,
        {{ explode('sku_order_list') }} as sku_order
    from records
),

parsed as (
    select
        exploded.brand,
        exploded.platform,
        exploded.shop,
        exploded.order_id,
        exploded.modified_at,
        exploded.order_amount,
        exploded.sku_order.order_id as line_id,
        coalesce(
            nullif(exploded.sku_order.product_id_str, '0'),
            nullif(exploded.sku_order.product_id, '0'),
            'unknown'
        ) as product_id,
        nullif(exploded.sku_order.sku_id, '0') as sku_id,
        exploded.sku_order.product_name as title,
        {{ parse_quantity('exploded.sku_order.item_num') }} as quantity,
        {{ parse_fen('exploded.sku_order.origin_amount') }} as list_price,
        {{ parse_fen('exploded.sku_order.sum_amount') }} as sum_amount,
        {{ parse_fen('exploded.sku_order.pay_amount') }} as pay_amount,
        coalesce({{ parse_fen('exploded.sku_order.post_amount') }}, 0) as post_amount,
        exploded._batch_id,
        exploded._line,
        exploded._extracted_at
    from exploded
),

numbered as (
    select
        *,
        {{ line_no_by_id() }} as line_no,
        coalesce(sum_amount, cast(list_price * quantity as decimal(18, 2))) as goods_amount
    from parsed
),

totalled as (
    select
        *,
        sum(pay_amount) over (partition by _batch_id, _line) as pay_total,
        sum(pay_amount - post_amount) over (partition by _batch_id, _line) as goods_pay_total,
        sum(goods_amount) over (partition by _batch_id, _line) as goods_total
    from numbered
),

weighed as (
    select
        *,
        cast(
            case
                when pay_total > 0 then pay_amount
                when goods_total > 0 then goods_amount
                else 1
            end as decimal(18, 2)
        ) as weight
    from totalled
),

cumulated as (
    select
        *,
        cast(sum(weight) over (
            partition by _batch_id, _line
            order by line_no asc nulls last
            rows between unbounded preceding and current row
        ) as decimal(18, 2)) as weight_so_far,
        cast(sum(weight) over (partition by _batch_id, _line) as decimal(18, 2)) as weight_total
    from weighed
),

paid as (
    select
        *,
        cast(
            case
                when goods_pay_total = order_amount then pay_amount - post_amount
                when pay_total = order_amount then pay_amount
                else
                    {{ prorate('order_amount', 'weight_so_far', 'weight_total') }}
                    - {{ prorate('order_amount', 'weight_so_far - weight', 'weight_total') }}
            end as decimal(18, 2)
        ) as paid_amount
    from cumulated
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
    cast(null as varchar) as coupon_id,
    cast(null as varchar) as campaign_id,
    modified_at,
    'doudian_open' as record_source,
    _batch_id,
    _line,
    _extracted_at
from paid
