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

-- Recorded decisions have no batch; whoever one names is looked at every night, which is cheap
-- because few are.
touched_by_decision as (
    select customer_key
    from {{ source('raw', 'state__identity_decisions') }}
    union
    select other_customer_key as customer_key
    from {{ source('raw', 'state__identity_decisions') }}
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
