{{ config(meta={'touched_relation': 'int_orders__touched', 'touched_key': 'order_key'}) }}

with orders as (
    select * from {{ ref('fct_orders') }}
    where {{ only_touched('order_key', 'int_orders__touched') }}
),

run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

lines as (
    select
        lines.*,
        orders.customer_key,
        orders.created_date,
        orders.paid_date,
        cast(
            case when orders.is_paid then lines.payable_amount else 0 end as decimal(18, 2)
        ) as paid_amount
    from {{ ref('int_order_lines__current') }} as lines
    inner join orders on lines.order_key = orders.order_key
),

visible_refunds as (
    select
        refunds.order_key,
        refunds.line_id,
        refunds.refund_amount
    from {{ ref('int_refunds__current') }} as refunds
    inner join orders on refunds.order_key = orders.order_key
    inner join run_shops
        on
            orders.brand = run_shops.brand
            and orders.platform = run_shops.platform
            and orders.shop = run_shops.shop
    where refunds.refunded_at < run_shops.visible_until
),

named_lines as (
    select
        order_key,
        line_id,
        min(line_no) as line_no
    from lines
    where line_id is not null
    group by order_key, line_id
),

refunds_of_lines as (
    select
        named_lines.order_key,
        named_lines.line_no,
        sum(visible_refunds.refund_amount) as refunded_amount
    from visible_refunds
    inner join named_lines
        on
            visible_refunds.order_key = named_lines.order_key
            and visible_refunds.line_id = named_lines.line_id
    group by named_lines.order_key, named_lines.line_no
),

-- Money that went back for the order as a whole, or for a line nobody knows.
refunds_of_orders as (
    select
        visible_refunds.order_key,
        sum(visible_refunds.refund_amount) as refunded_amount
    from visible_refunds
    left join named_lines
        on
            visible_refunds.order_key = named_lines.order_key
            and visible_refunds.line_id = named_lines.line_id
    where named_lines.order_key is null
    group by visible_refunds.order_key
),

own_refunds as (
    select
        lines.*,
        least(coalesce(refunds_of_lines.refunded_amount, 0), lines.paid_amount)
            as own_refunded_amount
    from lines
    left join refunds_of_lines
        on
            lines.order_key = refunds_of_lines.order_key
            and lines.line_no = refunds_of_lines.line_no
),

remaining as (
    select
        own_refunds.*,
        coalesce(refunds_of_orders.refunded_amount, 0) as shared_refund_amount,
        sum(own_refunds.paid_amount - own_refunds.own_refunded_amount) over (
            partition by own_refunds.order_key
            order by own_refunds.line_no asc nulls last
            rows between unbounded preceding and current row
        ) as remaining_so_far,
        own_refunds.paid_amount - own_refunds.own_refunded_amount as remaining_amount,
        sum(own_refunds.paid_amount - own_refunds.own_refunded_amount) over (
            partition by own_refunds.order_key
        ) as remaining_total
    from own_refunds
    left join refunds_of_orders on own_refunds.order_key = refunds_of_orders.order_key
),

-- Shared by what is left of each line; rounding the running sum keeps the total to the fen.
shared as (
    select
        remaining.*,
        coalesce(
            {{ prorate(
                'least(shared_refund_amount, remaining_total)',
                'remaining_so_far',
                'remaining_total',
            ) }}
            - {{ prorate(
                'least(shared_refund_amount, remaining_total)',
                'remaining_so_far - remaining_amount',
                'remaining_total',
            ) }},
            0
        ) as shared_refunded_amount
    from remaining
)

select
    order_key,
    line_no,
    line_id,
    customer_key,
    product_key,
    product_id,
    sku_id,
    title,
    quantity,
    list_price,
    goods_amount,
    discount_amount,
    paid_amount,
    cast(own_refunded_amount + shared_refunded_amount as decimal(18, 2)) as refunded_amount,
    cast(
        paid_amount - own_refunded_amount - shared_refunded_amount as decimal(18, 2)
    ) as net_amount,
    coupon_id,
    campaign_id,
    created_date,
    paid_date,
    brand,
    platform,
    shop
from shared
