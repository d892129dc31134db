{{ config(materialized='table') }}

{%- set no_trace_days = var('no_trace_days') -%}
{%- set receiver_max_shops = var('receiver_max_shops') %}

with recursive run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

pending_batches as (
    select * from {{ source('ops', 'pending_batches') }}
),

order_versions as (
    select
        order_key, customer_key, brand, platform, shop, _batch_id, created_at, paid_at, shipped_at,
        {%- if receiver_max_shops is not none %}
            receiver_phone_hash,
        {%- endif %}
        signed_at, ended_at, finished_at, closed_at, modified_at
    from {{ ref('int_orders__unioned') }}
),

refund_versions as (
    select
        refund_key, order_key, brand, platform, shop, _batch_id, created_at, refunded_at,
        modified_at
    from {{ ref('int_refunds__unioned') }}
),

-- Whatever a version says may be what shows tonight, so every version's instants count.
touched_by_order as (
    select order_versions.order_key
    from order_versions
    inner join run_shops
        on
            order_versions.brand = run_shops.brand
            and order_versions.platform = run_shops.platform
            and order_versions.shop = run_shops.shop
    where
        run_shops.previous_visible_until is null
        or order_versions._batch_id in (select pending_batches.batch_id from pending_batches)
        or {{ became_visible('order_versions.created_at') }}
        or {{ became_visible('order_versions.paid_at') }}
        or {{ became_visible('order_versions.shipped_at') }}
        or {{ became_visible('order_versions.signed_at') }}
        or {{ became_visible('order_versions.ended_at') }}
        or {{ became_visible('order_versions.finished_at') }}
        or {{ became_visible('order_versions.closed_at') }}
        or {{ became_visible('order_versions.modified_at') }}
),

touched_by_line as (
    select order_key
    from {{ ref('int_order_lines__unioned') }}
    where _batch_id in (select pending_batches.batch_id from pending_batches)
),

touched_refunds as (
    select refund_versions.refund_key
    from refund_versions
    inner join run_shops
        on
            refund_versions.brand = run_shops.brand
            and refund_versions.platform = run_shops.platform
            and refund_versions.shop = run_shops.shop
    where
        refund_versions._batch_id in (select pending_batches.batch_id from pending_batches)
        or {{ became_visible('refund_versions.created_at') }}
        or {{ became_visible('refund_versions.refunded_at') }}
        or {{ became_visible('refund_versions.modified_at') }}
),

-- A refund that named another order before must leave that one as well.
touched_by_refund as (
    select order_key
    from refund_versions
    where refund_key in (select touched_refunds.refund_key from touched_refunds)
),

touched_reviews as (
    select reviews.review_key
    from {{ ref('int_reviews__unioned') }} as reviews
    inner join run_shops
        on
            reviews.brand = run_shops.brand
            and reviews.platform = run_shops.platform
            and reviews.shop = run_shops.shop
    where
        reviews._batch_id in (select pending_batches.batch_id from pending_batches)
        or {{ became_visible('reviews.created_at') }}
),

-- So must a review.
touched_by_review as (
    select order_key
    from {{ ref('int_reviews__unioned') }}
    where
        order_id is not null
        and review_key in (select touched_reviews.review_key from touched_reviews)
),

touched_by_parcel as (
    select events.order_key
    from {{ ref('int_logistics_events__unioned') }} as events
    inner join run_shops
        on
            events.brand = run_shops.brand
            and events.platform = run_shops.platform
            and events.shop = run_shops.shop
    where
        events._batch_id in (select pending_batches.batch_id from pending_batches)
        or {{ became_visible('events.event_at') }}
),

-- Orders stop or start counting when their buyer becomes, or no longer is, one of the staff.
changed_employees as (
    select members.customer_key
    from {{ ref('stg_file__members') }} as members
    inner join run_shops
        on
            members.brand = run_shops.brand
            and members.platform = run_shops.platform
            and members.shop = run_shops.shop
    group by members.customer_key
    having
        bool_or(members.is_employee)
        and bool_or(
            members._batch_id in (select pending_batches.batch_id from pending_batches)
            or {{ became_visible('coalesce(members.modified_at, members.enrolled_at)') }}
        )
),

touched_by_employee as (
    select order_key
    from order_versions
    where customer_key in (select changed_employees.customer_key from changed_employees)
),

-- So do those that somebody has flagged, from the day on that the flag holds.
changed_flags as (
    select
        flags.subject,
        flags.subject_key
    from ({{ flags_by_hand() }}) as flags
    inner join {{ source('ops', 'run') }} as run
        on
            flags.valid_from > least(run.previous_as_of_date, run.as_of_date)
            and flags.valid_from <= greatest(run.previous_as_of_date, run.as_of_date)
),

touched_by_flag as (
    select subject_key as order_key
    from changed_flags
    where subject = 'order'
    union all
    select order_key
    from order_versions
    where customer_key in (
        select changed_flags.subject_key from changed_flags where changed_flags.subject = 'buyer'
    )
),
{%- if no_trace_days is not none %}

-- Nothing happens on the day on which a parcel has been missing for long enough.
touched_by_silence as (
    select order_versions.order_key
    from order_versions
    inner join run_shops
        on
            order_versions.brand = run_shops.brand
            and order_versions.platform = run_shops.platform
            and order_versions.shop = run_shops.shop
    where {{ became_visible(add_hours('order_versions.shipped_at', (no_trace_days * 24) | int)) }}
),
{%- endif %}
{%- if receiver_max_shops is not none %}

touched_by_receiver as (
    select order_key
    from order_versions
    where
        receiver_phone_hash in (
            select order_versions.receiver_phone_hash
            from order_versions
            inner join touched_by_order
                on order_versions.order_key = touched_by_order.order_key
        )
),
{%- endif %}

touched_services as (
    select services.store_service_key
    from {{ ref('stg_file__store_services') }} as services
    inner join run_shops
        on
            services.brand = run_shops.brand
            and services.platform = run_shops.platform
            and services.shop = run_shops.shop
    where
        services._batch_id in (select pending_batches.batch_id from pending_batches)
        or {{ became_visible('services.occurred_at') }}
),

-- Corrected, it may have been of other orders before.
touched_by_service as (
    select order_key
    from {{ ref('stg_file__store_services') }}
    where
        store_service_key in (
            select touched_services.store_service_key from touched_services
        )
    union all
    select replacement_order_key as order_key
    from {{ ref('stg_file__store_services') }}
    where
        replacement_order_key is not null
        and store_service_key in (
            select touched_services.store_service_key from touched_services
        )
    union all
    select refund_versions.order_key
    from {{ ref('stg_file__store_services') }} as services
    inner join touched_services
        on services.store_service_key = touched_services.store_service_key
    inner join refund_versions
        on services.refund_key = refund_versions.refund_key
),

touched_alone as (
    select order_key from touched_by_order
    union all
    select order_key from touched_by_line
    union all
    select order_key from touched_by_refund
    union all
    select order_key from touched_by_review
    union all
    select order_key from touched_by_parcel
    union all
    select order_key from touched_by_employee
    union all
    select order_key from touched_by_flag
    {%- if no_trace_days is not none %}
    union all
    select order_key from touched_by_silence
    {%- endif %}
    {%- if receiver_max_shops is not none %}
    union all
    select order_key from touched_by_receiver
    {%- endif %}
    union all
    select order_key from touched_by_service
),

-- What tills booked for an exchange, what that exchanged in turn and the refunds that they name are
-- looked at together: refunds of the one are the other's, or share an order that took their place.
exchanges as (
    select
        order_key,
        replacement_order_key as other_order_key,
        refund_key
    from {{ ref('int_orders__store_services') }}
    where
        kind = 'exchange'
        and replacement_order_key is not null
),

exchange_pairs as (
    select order_key, other_order_key
    from exchanges
    union
    select
        exchanges.order_key,
        refund_versions.order_key as other_order_key
    from exchanges
    inner join refund_versions
        on exchanges.refund_key = refund_versions.refund_key
),

exchange_links as (
    select order_key, other_order_key
    from exchange_pairs
    union
    select
        other_order_key as order_key,
        order_key as other_order_key
    from exchange_pairs
),

touched_exchanges as (
    select order_key
    from exchange_links
    where order_key in (select touched_alone.order_key from touched_alone)
    union
    select exchange_links.other_order_key as order_key
    from touched_exchanges
    inner join exchange_links
        on touched_exchanges.order_key = exchange_links.order_key
),

touched as (
    select order_key from touched_alone
    union all
    select order_key from touched_exchanges
)

select order_key
from touched
group by order_key
