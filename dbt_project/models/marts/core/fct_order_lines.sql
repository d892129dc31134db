{{ config(meta={'touched_relation': 'int_orders__touched', 'touched_key': 'order_key'}) }}

with orders as (
    select * from {{ ref('fct_orders') }}
    where {{ only_touched('order_key', 'int_orders__touched') }}
),

run_shops as (
    select * from {{ source('ops', 'run_shops') }}
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

-- Few orders are refunded: only their lines take part in what follows.
refunded_lines as (
    select
        lines.order_key,
        lines.line_no,
        lines.line_id,
        case when orders.is_paid then lines.payable_amount else 0 end as paid_amount
    from {{ ref('int_order_lines__current') }} as lines
    inner join orders on lines.order_key = orders.order_key
    where lines.order_key in (select visible_refunds.order_key from visible_refunds)
),

named_lines as (
    select
        order_key,
        line_id,
        min(line_no) as line_no
    from refunded_lines
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
        refunded_lines.order_key,
        refunded_lines.line_no,
        least(coalesce(refunds_of_lines.refunded_amount, 0), refunded_lines.paid_amount)
            as own_refunded_amount,
        refunded_lines.paid_amount
        - least(coalesce(refunds_of_lines.refunded_amount, 0), refunded_lines.paid_amount)
            as remaining_amount
    from refunded_lines
    left join refunds_of_lines
        on
            refunded_lines.order_key = refunds_of_lines.order_key
            and refunded_lines.line_no = refunds_of_lines.line_no
),

remaining as (
    select
        own_refunds.*,
        coalesce(refunds_of_orders.refunded_amount, 0) as shared_refund_amount,
        sum(own_refunds.remaining_amount) over (
            partition by own_refunds.order_key
            order by own_refunds.line_no asc nulls last
            rows between unbounded preceding and current row
        ) as remaining_so_far,
        sum(own_refunds.remaining_amount) over (
            partition by own_refunds.order_key
        ) as remaining_total
    from own_refunds
    left join refunds_of_orders on own_refunds.order_key = refunds_of_orders.order_key
),

-- Shared by what is left of each line; rounding the running sum keeps the total to the fen.
refunded as (
    select
        order_key,
        line_no,
        own_refunded_amount + coalesce(
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
        ) as refunded_amount
    from remaining
),

lines as (
    select
        lines.*,
        orders.customer_key,
        orders.created_date,
        orders.paid_date,
        orders.brand,
        orders.platform,
        orders.shop,
        cast(
            case when orders.is_paid then lines.payable_amount else 0 end as decimal(18, 2)
        ) as paid_amount
    from {{ ref('int_order_lines__current') }} as lines
    inner join orders on lines.order_key = orders.order_key
)

select
    lines.order_key,
    lines.line_no,
    lines.line_id,
    lines.customer_key,
    lines.product_key,
    lines.product_id,
    lines.sku_id,
    lines.title,
    lines.quantity,
    lines.list_price,
    lines.goods_amount,
    lines.discount_amount,
    lines.paid_amount,
    lines.is_payment_shared,
    cast(coalesce(refunded.refunded_amount, 0) as decimal(18, 2)) as refunded_amount,
    cast(lines.paid_amount - coalesce(refunded.refunded_amount, 0) as decimal(18, 2))
        as net_amount,
    lines.coupon_id,
    lines.campaign_id,
    lines.created_date,
    lines.paid_date,
    lines.brand,
    lines.platform,
    lines.shop
from lines
left join refunded
    on
        lines.order_key = refunded.order_key
        and lines.line_no = refunded.line_no
