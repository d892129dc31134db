{#- Rewritten every night: few rows, and what comes back changes days of long ago. -#}
{{ config(materialized='table') }}

with run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

-- Money in another currency than the shop's is not added to it.
orders as (
    select
        orders.brand,
        orders.platform,
        orders.shop,
        orders.store_id,
        orders.paid_date as day_date,
        orders.is_valid_order,
        case when orders.currency = run_shops.currency then orders.paid_amount else 0 end
            as paid_amount,
        case when orders.currency = run_shops.currency then orders.net_amount else 0 end
            as net_amount
    from {{ ref('fct_orders') }} as orders
    inner join run_shops
        on
            orders.brand = run_shops.brand
            and orders.platform = run_shops.platform
            and orders.shop = run_shops.shop
    where
        orders.is_paid
        and orders.store_id is not null
        and {{ is_countable_order('orders') }}
),

sold as (
    select
        brand,
        platform,
        shop,
        store_id,
        day_date,
        count(*) as order_count,
        count(*) filter (where is_valid_order) as valid_order_count,
        0 as exchange_count,
        0 as return_count,
        sum(paid_amount) as gross_amount,
        sum(net_amount) as net_amount
    from orders
    group by brand, platform, shop, store_id, day_date
),

-- Goods of any store: taking them in costs the one that does, the money is the seller's.
taken_in as (
    select
        services.brand,
        services.platform,
        services.shop,
        services.store_id,
        {{ to_local_date('services.occurred_at', 'run_shops.zone') }} as day_date,
        0 as order_count,
        0 as valid_order_count,
        count(*) filter (where services.kind = 'exchange') as exchange_count,
        count(*) filter (where services.kind = 'return') as return_count,
        0 as gross_amount,
        0 as net_amount
    from {{ ref('int_orders__store_services') }} as services
    inner join run_shops
        on
            services.brand = run_shops.brand
            and services.platform = run_shops.platform
            and services.shop = run_shops.shop
    where services.occurred_at < run_shops.visible_until
    group by services.brand, services.platform, services.shop, services.store_id, day_date
),

days as (
    select * from sold
    union all
    select * from taken_in
)

select
    days.brand,
    days.platform,
    days.shop,
    days.store_id,
    days.day_date,
    cast(sum(days.order_count) as bigint) as order_count,
    cast(sum(days.valid_order_count) as bigint) as valid_order_count,
    cast(sum(days.exchange_count) as bigint) as exchange_count,
    cast(sum(days.return_count) as bigint) as return_count,
    run_shops.currency,
    cast(sum(days.gross_amount) as decimal(18, 2)) as gross_amount,
    cast(sum(days.net_amount) as decimal(18, 2)) as net_amount
from days
inner join run_shops
    on
        days.brand = run_shops.brand
        and days.platform = run_shops.platform
        and days.shop = run_shops.shop
group by
    days.brand, days.platform, days.shop, days.store_id, days.day_date, run_shops.currency
