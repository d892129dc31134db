{{ config(materialized='table') }}

with run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

pending_batches as (
    select * from {{ source('ops', 'pending_batches') }}
),

-- Everything that names a buyer beside orders, with the instants at which it shows.
mentions as (
    select
        customer_key, brand, platform, shop, _batch_id, enrolled_at as happened_at
    from {{ ref('stg_file__members') }}
    union all
    select
        customer_key, brand, platform, shop, _batch_id, modified_at as happened_at
    from {{ ref('stg_file__members') }}
    union all
    select
        customer_key, brand, platform, shop, _batch_id, created_at as happened_at
    from {{ ref('int_reviews__unioned') }}
    where customer_key is not null
    union all
    select
        customer_key, brand, platform, shop, _batch_id, occurred_at as happened_at
    from {{ ref('stg_file__interactions') }}
    union all
    select
        customer_key, brand, platform, shop, _batch_id, sent_at as happened_at
    from {{ ref('stg_file__sends') }}
    union all
    select
        customer_key, brand, platform, shop, _batch_id, occurred_at as happened_at
    from {{ ref('stg_file__coupon_events') }}
    where customer_key is not null
    union all
    select
        customer_key, brand, platform, shop, _batch_id, occurred_at as happened_at
    from {{ ref('stg_file__points') }}
),

touched_by_mention as (
    select mentions.customer_key
    from mentions
    inner join run_shops
        on
            mentions.brand = run_shops.brand
            and mentions.platform = run_shops.platform
            and mentions.shop = run_shops.shop
    where
        run_shops.previous_visible_until is null
        or mentions._batch_id in (select pending_batches.batch_id from pending_batches)
        or {{ became_visible('mentions.happened_at') }}
),

-- Buyers of touched orders, old owners included: int_orders__current hands them on.
touched_by_order as (
    select key as customer_key
    from {{ source('ops', 'touched_keys') }}
    where subject = 'customers'
),

touched_by_new_shop as (
    select orders.customer_key
    from {{ ref('int_orders__current') }} as orders
    inner join run_shops
        on
            orders.brand = run_shops.brand
            and orders.platform = run_shops.platform
            and orders.shop = run_shops.shop
    where run_shops.previous_visible_until is null
),

-- Recorded decisions have no batch. A night begins after its business date has ended everywhere, so
-- what the last good night did not know was decided after the end of its date.
known_decisions as (
    select
        brand,
        case
            when count(previous_visible_until) = count(*)
                then min(least(previous_visible_until, visible_until))
        end as decided_before
    from run_shops
    group by brand
),

fresh_decisions as (
    select
        decisions.customer_key,
        decisions.other_customer_key
    from {{ source('raw', 'state__identity_decisions') }} as decisions
    left join known_decisions as known
        on decisions.brand = known.brand
    where coalesce(decisions.decided_at >= known.decided_before, true)
),

touched_by_decision as (
    select customer_key from fresh_decisions
    union
    select other_customer_key as customer_key from fresh_decisions
),

touched as (
    select customer_key from touched_by_mention
    union all
    select customer_key from touched_by_order
    union all
    select customer_key from touched_by_new_shop
    union all
    select customer_key from touched_by_decision
)

select customer_key
from touched
group by customer_key
