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
        refunds.refund_key,
        refunds.refund_id,
        refunds.order_key,
        refunds.line_id,
        orders.customer_key,
        orders.paid_amount,
        orders.currency,
        refunds.newest_status,
        refunds.created_at,
        {{ as_of('refunds.refunded_at', 'run_shops.visible_until') }} as refunded_at,
        refunds.modified_at < run_shops.visible_until as is_newest_visible,
        refunds.refund_amount,
        refunds.reason,
        refunds.is_return_goods,
        run_shops.zone,
        orders.brand,
        orders.platform,
        orders.shop,
        refunds.record_source,
        refunds._batch_id,
        refunds._line
    from {{ ref('int_refunds__current') }} as refunds
    inner join orders on refunds.order_key = orders.order_key
    inner join run_shops
        on
            orders.brand = run_shops.brand
            and orders.platform = run_shops.platform
            and orders.shop = run_shops.shop
    where least(refunds.created_at, refunds.refunded_at) < run_shops.visible_until
),

cumulated as (
    select
        *,
        sum(case when refunded_at is not null then refund_amount else 0 end) over (
            partition by order_key
            order by refunded_at asc nulls last, refund_key asc nulls last
            rows between unbounded preceding and current row
        ) as refunded_so_far
    from visible_refunds
)

select
    refund_key,
    refund_id,
    order_key,
    line_id,
    customer_key,
    -- Only the success has an instant; what else a refund went through shows by its last change.
    case
        when refunded_at is not null then 'succeeded'
        when is_newest_visible and newest_status in ('agreed', 'refused', 'cancelled')
            then newest_status
        else 'requested'
    end as refund_status,
    created_at,
    refunded_at,
    {{ to_local_date('refunded_at', 'zone') }} as refunded_date,
    refund_amount,
    currency,
    reason,
    is_return_goods,
    refunded_at is not null and refunded_so_far > paid_amount as is_over_refund,
    brand,
    platform,
    shop,
    record_source,
    _batch_id,
    _line
from cumulated
