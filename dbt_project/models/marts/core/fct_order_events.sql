{{ config(meta={'touched_relation': 'int_orders__touched', 'touched_key': 'order_key'}) }}

-- Its instants are as of the business date already.
with orders as (
    select * from {{ ref('fct_orders') }}
    where {{ only_touched('order_key', 'int_orders__touched') }}
),

run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

refunds as (
    select * from {{ ref('int_refunds__current') }}
    where {{ only_touched('order_key', 'int_orders__touched') }}
),

-- All versions of a review are weighed together, even those that named another order.
newest_reviews as (
    select review_key, order_key, created_at, record_source
    from {{ ref('int_reviews__unioned') }}
    where
        review_key in (
            select reviews.review_key
            from {{ ref('int_reviews__unioned') }} as reviews
            where {{ only_touched('reviews.order_key', 'int_orders__touched') }}
        )
    qualify
        row_number() over (
            partition by review_key
            order by _extracted_at desc nulls last, _batch_id desc nulls last, _line desc nulls last
        ) = 1
),

events_of_orders as (
    select order_key, 'created' as event, created_at as event_at, 'order' as told_by, record_source
    from orders
    union all
    select order_key, 'paid' as event, paid_at as event_at, 'order' as told_by, record_source
    from orders
    union all
    select order_key, 'shipped' as event, shipped_at as event_at, 'order' as told_by, record_source
    from orders
    union all
    select order_key, 'signed' as event, signed_at as event_at, 'order' as told_by, record_source
    from orders
    union all
    select
        order_key, 'finished' as event, finished_at as event_at, 'order' as told_by, record_source
    from orders
    union all
    select order_key, 'closed' as event, closed_at as event_at, 'order' as told_by, record_source
    from orders
),

-- What may happen to an order more than once.
repeated_events as (
    select
        order_key, 'refund_requested' as event, created_at as event_at, 'refund' as told_by,
        record_source
    from refunds
    union all
    select
        order_key, 'refunded' as event, refunded_at as event_at, 'refund' as told_by, record_source
    from refunds
    union all
    select order_key, 'rated' as event, created_at as event_at, 'review' as told_by, record_source
    from newest_reviews
    union all
    select order_key, event, event_at, 'parcel' as told_by, record_source
    from {{ ref('int_logistics_events__unioned') }}
    where event = 'in_city' and {{ only_touched('order_key', 'int_orders__touched') }}
),

first_events as (
    select order_key, event, event_at, told_by, record_source
    from repeated_events
    qualify
        row_number() over (
            partition by order_key, event
            order by event_at asc nulls last, record_source asc nulls last
        ) = 1
),

events as (
    select * from events_of_orders
    union all
    select * from first_events
)

select
    events.order_key,
    events.event,
    events.event_at,
    {{ to_local_date('events.event_at', 'run_shops.zone') }} as event_date,
    events.told_by,
    events.record_source,
    orders.customer_key,
    orders.brand,
    orders.platform,
    orders.shop
from events
inner join orders on events.order_key = orders.order_key
inner join run_shops
    on
        orders.brand = run_shops.brand
        and orders.platform = run_shops.platform
        and orders.shop = run_shops.shop
where events.event_at < run_shops.visible_until
