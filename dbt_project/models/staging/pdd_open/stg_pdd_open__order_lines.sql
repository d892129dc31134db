{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with orders as (
    select *
    from {{ source('raw', 'pdd_open__orders') }}
    where {{ only_pending_batches() }}
),

exploded as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        order_sn as order_id,
        coalesce(
            {{ parse_instant('updated_at', "'Asia/Shanghai'") }},
            {{ parse_instant('created_time', "'Asia/Shanghai'") }}
        ) as modified_at,
        cast(
            {{ parse_amount('pay_amount') }} - coalesce({{ parse_amount('postage') }}, 0)
            as decimal(18, 2)
        ) as order_paid_amount,
        _batch_id,
        _line,
        _extracted_at,
        {{ explode('item_list') }} as item
    from orders
),

parsed as (
    select
        exploded.brand,
        exploded.platform,
        exploded.shop,
        exploded.order_id,
        exploded.modified_at,
        exploded.order_paid_amount,
        coalesce(exploded.item.goods_id, 'unknown') as product_id,
        exploded.item.sku_id,
        coalesce(exploded.item.sku_id, exploded.item.goods_id) as variant_id,
        exploded.item.goods_name as title,
        exploded.item.goods_spec,
        {{ parse_quantity('exploded.item.goods_count') }} as quantity,
        {{ parse_amount('exploded.item.goods_price') }} as list_price,
        exploded._batch_id,
        exploded._line,
        exploded._extracted_at
    from exploded
),

-- Items have no id and no order of their own. What they are, ids as numbers, gives every version
-- with the same items the same line numbers; items alike in all of it may change places.
numbered as (
    select
        *,
        cast(list_price * quantity as decimal(18, 2)) as goods_amount,
        row_number() over (
            partition by _batch_id, _line
            order by
                length(variant_id) asc nulls last,
                variant_id asc nulls last,
                product_id asc nulls last,
                goods_spec asc nulls last,
                list_price asc nulls last,
                quantity asc nulls last,
                title asc nulls last
        ) as line_no
    from parsed
),

added as (
    select
        *,
        row_number() over (
            partition by _batch_id, _line, variant_id
            order by line_no asc nulls last
        ) as occurrence,
        cast(sum(goods_amount) over (
            partition by _batch_id, _line
            order by line_no asc nulls last
            rows between unbounded preceding and current row
        ) as decimal(18, 2)) as goods_so_far,
        cast(
            sum(goods_amount) over (partition by _batch_id, _line) as decimal(18, 2)
        ) as order_goods_amount
    from numbered
),

-- The platform tells what was paid for the order alone. It is shared by price x quantity: shares
-- of the goods so far, rounded, whose differences add up to the order's amount to the fen. An
-- order of nothing but free items is the first line's.
shared as (
    select
        *,
        case
            when order_goods_amount <> 0
                then
                    {{ prorate('order_paid_amount', 'goods_so_far', 'order_goods_amount') }}
                    - {{ prorate(
                        'order_paid_amount', 'goods_so_far - goods_amount', 'order_goods_amount'
                    ) }}
            when line_no = 1 then order_paid_amount
            else 0
        end as shared_amount
    from added
),

paid as (
    select
        *,
        cast(shared_amount as decimal(18, 2)) as paid_amount
    from shared
)

-- What a line shares with its order (shop, order id) stays with the order.
select
    {{ shop_key('order_id') }} as order_key,
    cast(line_no as integer) as line_no,
    -- The variant is what a refund names, too; one that stands twice keeps its name the first time.
    variant_id || case when occurrence > 1 then '#' || occurrence else '' end as line_id,
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
    'pdd_open' as record_source,
    _batch_id,
    _line,
    _extracted_at
from paid
