{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'shopify_admin__orders') }}
    where {{ only_pending_batches() }}
),

allocations as (
    select
        _batch_id,
        _line,
        {{ explode('discount_allocations') }} as allocation
    from records
),

-- Discounts of the line and of the order alike, as the platform shared them out.
discounts as (
    select
        allocations._batch_id,
        allocations._line,
        allocations.allocation.line_item_id as line_id,
        cast(
            sum({{ parse_amount('allocations.allocation.allocated_amount_set') }})
            as decimal(18, 2)
        ) as allocated_amount,
        -- A line with several codes cannot be credited to one of them.
        case
            when count(distinct allocations.allocation.discount_application_code) = 1
                then max(allocations.allocation.discount_application_code)
        end as coupon_id
    from allocations
    group by allocations._batch_id, allocations._line, allocations.allocation.line_item_id
),

exploded as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        legacy_resource_id as order_id,
        {{ parse_instant('updated_at', "'UTC'") }} as modified_at,
        {{ parse_amount('total_price_set') }} as order_amount,
        coalesce({{ parse_amount('total_shipping_price_set') }}, 0) as shipping_amount,
        _batch_id,
        _line,
        _extracted_at,
        {{ explode('line_items') }} as item
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
        exploded.shipping_amount,
        exploded.item.id as line_id,
        coalesce(exploded.item.product_legacy_resource_id, 'unknown') as product_id,
        coalesce(exploded.item.variant_legacy_resource_id, exploded.item.sku) as sku_id,
        exploded.item.title,
        {{ parse_quantity('exploded.item.quantity') }} as quantity,
        {{ parse_amount('exploded.item.original_unit_price_set') }} as list_price,
        {{ parse_amount('exploded.item.original_total_set') }} as goods_amount,
        exploded._batch_id,
        exploded._line,
        exploded._extracted_at
    from exploded
),

-- Lines come in any order; their ids, as numbers, give every version the same line numbers.
numbered as (
    select
        parsed.*,
        discounts.coupon_id,
        cast(
            parsed.goods_amount - coalesce(discounts.allocated_amount, 0) as decimal(18, 2)
        ) as net_amount,
        row_number() over (
            partition by parsed._batch_id, parsed._line
            order by length(parsed.line_id) asc nulls last, parsed.line_id asc nulls last
        ) as line_no
    from parsed
    left join discounts
        on
            parsed._batch_id = discounts._batch_id
            and parsed._line = discounts._line
            and parsed.line_id = discounts.line_id
),

summed as (
    select
        *,
        cast(
            sum(net_amount) over (partition by _batch_id, _line) as decimal(18, 2)
        ) as whole_amount,
        cast(
            sum(net_amount) over (
                partition by _batch_id, _line
                order by line_no asc nulls last
                rows between unbounded preceding and current row
            ) as decimal(18, 2)
        ) as running_amount
    from numbered
),

-- What the total has beyond lines and postage (taxes that are not in the prices, tips, duties,
-- fees, edits) falls to the lines by what they cost. Shares of running sums, so that they add up.
rested as (
    select
        *,
        cast(order_amount - shipping_amount - whole_amount as decimal(18, 2)) as rest_amount,
        cast(running_amount - net_amount as decimal(18, 2)) as previous_amount
    from summed
),

paid as (
    select
        *,
        cast(
            net_amount
            + case
                when whole_amount > 0
                    then
                        {{ prorate('rest_amount', 'running_amount', 'whole_amount') }}
                        - {{ prorate('rest_amount', 'previous_amount', 'whole_amount') }}
                when line_no = 1 then rest_amount
                else 0
            end as decimal(18, 2)
        ) as paid_amount
    from rested
)

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
    coupon_id,
    cast(null as varchar) as campaign_id,
    modified_at,
    'shopify_admin' as record_source,
    _batch_id,
    _line,
    _extracted_at
from paid
