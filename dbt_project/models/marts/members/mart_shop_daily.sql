{#- Rewritten every night: one changed order moves the stock of members on every later day, and the
    whole is a sum over the members' stays, so running sums cost less than finding what moved. -#}
{{ config(materialized='table') }}

with run_shops as (
    select
        run_shops.brand,
        run_shops.platform,
        run_shops.shop,
        run_shops.currency,
        run_shops.visible_until,
        run_shops.first_date,
        run.as_of_date
    from {{ source('ops', 'run_shops') }} as run_shops
    cross join {{ source('ops', 'run') }} as run
),

identities as (
    select * from {{ ref('dim_member_identities') }}
),

cells as (
    select
        cell_code,
        customer_group
    from {{ ref('lifecycle_actions') }}
),

customer_groups as (
    select customer_group
    from cells
    group by customer_group
),

-- A member is a shop's member from the first order there on.
shop_members as (
    select
        identities.member_key,
        customers.brand,
        customers.platform,
        customers.shop,
        min(customers.first_order_date) as first_order_date
    from {{ ref('dim_customers') }} as customers
    inner join identities
        on customers.customer_key = identities.customer_key
    where customers.first_order_date is not null
    group by identities.member_key, customers.brand, customers.platform, customers.shop
),

stays as (
    select
        shop_members.brand,
        shop_members.platform,
        shop_members.shop,
        cells.customer_group,
        greatest(history.valid_from, shop_members.first_order_date) as valid_from,
        history.valid_to
    from {{ ref('mart_member_lifecycle_history') }} as history
    inner join shop_members
        on history.member_key = shop_members.member_key
    inner join cells
        on history.cell_code = cells.cell_code
    where coalesce(history.valid_to, date '9999-12-31') > shop_members.first_order_date
),

movements as (
    select
        brand,
        platform,
        shop,
        customer_group,
        valid_from as day_date,
        1 as member_change
    from stays
    union all
    select
        brand,
        platform,
        shop,
        customer_group,
        valid_to as day_date,
        -1 as member_change
    from stays
    where valid_to is not null
),

daily_movements as (
    select
        brand,
        platform,
        shop,
        customer_group,
        day_date,
        sum(member_change) as member_change
    from movements
    group by brand, platform, shop, customer_group, day_date
),

-- An order belongs to the group its buyer came from: a first order makes a new customer, an order
-- after the lost window began wakes a sleeper, every other is a returning customer's.
orders as (
    select
        orders.order_key,
        orders.brand,
        orders.platform,
        orders.shop,
        identities.member_key,
        orders.paid_date,
        orders.paid_amount,
        -- Money in another currency than the shop's is not added to it.
        orders.currency = run_shops.currency as is_in_currency,
        case
            when coalesce(spans.previous_cell_code, 'prospect') = 'prospect' then 'new'
            when cells.customer_group = 'dormant_lost' then 'dormant_lost'
            else 'returning'
        end as customer_group
    from {{ ref('fct_orders') }} as orders
    inner join identities
        on orders.customer_key = identities.customer_key
    inner join run_shops
        on
            orders.brand = run_shops.brand
            and orders.platform = run_shops.platform
            and orders.shop = run_shops.shop
    left join {{ ref('int_members__stage_spans') }} as spans
        on
            identities.member_key = spans.member_key
            and orders.paid_date = spans.valid_from
    left join cells
        on spans.previous_cell_code = cells.cell_code
    where
        orders.is_paid
        and {{ is_countable_order('orders') }}
),

daily_orders as (
    select
        brand,
        platform,
        shop,
        customer_group,
        paid_date as day_date,
        count(*) as order_count,
        count(distinct member_key) as buyer_count,
        sum(paid_amount) filter (where is_in_currency) as paid_amount
    from orders
    group by brand, platform, shop, customer_group, paid_date
),

daily_refunds as (
    select
        orders.brand,
        orders.platform,
        orders.shop,
        orders.customer_group,
        refunds.refunded_date as day_date,
        sum(refunds.refund_amount) as refunded_amount
    from {{ ref('fct_refunds') }} as refunds
    inner join orders
        on refunds.order_key = orders.order_key
    where
        refunds.refunded_date is not null
        and orders.is_in_currency
    group by
        orders.brand, orders.platform, orders.shop, orders.customer_group, refunds.refunded_date
),

traffic as (
    select * from {{ ref('int_shops__traffic') }}
),

first_days as (
    select
        run_shops.brand,
        run_shops.platform,
        run_shops.shop,
        least(run_shops.first_date, min(shop_members.first_order_date)) as first_date,
        run_shops.as_of_date
    from run_shops
    left join shop_members
        on
            run_shops.brand = shop_members.brand
            and run_shops.platform = shop_members.platform
            and run_shops.shop = shop_members.shop
    group by
        run_shops.brand, run_shops.platform, run_shops.shop, run_shops.first_date,
        run_shops.as_of_date
),

days as (
    select
        brand,
        platform,
        shop,
        {{ explode(dates_between('first_date', 'as_of_date')) }} as day_date
    from first_days
    where first_date <= as_of_date
),

grouped as (
    select
        days.brand,
        days.platform,
        days.shop,
        days.day_date,
        customer_groups.customer_group,
        sum(coalesce(daily_movements.member_change, 0)) over (
            partition by days.brand, days.platform, days.shop, customer_groups.customer_group
            order by days.day_date asc nulls last
            rows between unbounded preceding and current row
        ) as member_count,
        coalesce(daily_orders.order_count, 0) as order_count,
        coalesce(daily_orders.buyer_count, 0) as buyer_count,
        coalesce(daily_orders.paid_amount, 0) as paid_amount,
        coalesce(daily_refunds.refunded_amount, 0) as refunded_amount
    from days
    cross join customer_groups
    left join daily_movements
        on
            days.brand = daily_movements.brand
            and days.platform = daily_movements.platform
            and days.shop = daily_movements.shop
            and days.day_date = daily_movements.day_date
            and customer_groups.customer_group = daily_movements.customer_group
    left join daily_orders
        on
            days.brand = daily_orders.brand
            and days.platform = daily_orders.platform
            and days.shop = daily_orders.shop
            and days.day_date = daily_orders.day_date
            and customer_groups.customer_group = daily_orders.customer_group
    left join daily_refunds
        on
            days.brand = daily_refunds.brand
            and days.platform = daily_refunds.platform
            and days.shop = daily_refunds.shop
            and days.day_date = daily_refunds.day_date
            and customer_groups.customer_group = daily_refunds.customer_group
),

-- On one day a buyer came from one group only, so the groups add up.
measured as (
    select * from grouped
    union all
    select
        brand,
        platform,
        shop,
        day_date,
        'total' as customer_group,
        sum(member_count) as member_count,
        sum(order_count) as order_count,
        sum(buyer_count) as buyer_count,
        sum(paid_amount) as paid_amount,
        sum(refunded_amount) as refunded_amount
    from grouped
    group by brand, platform, shop, day_date
),

with_traffic as (
    select
        measured.*,
        run_shops.currency,
        case when measured.customer_group = 'total' then traffic.visitor_count end as visitor_count,
        case
            when measured.customer_group <> 'total' then 'needs_identified_visits'
            when traffic.visitor_count is null then 'no_traffic_delivered'
        end as traffic_gap_reason
    from measured
    inner join run_shops
        on
            measured.brand = run_shops.brand
            and measured.platform = run_shops.platform
            and measured.shop = run_shops.shop
    left join traffic
        on
            measured.brand = traffic.brand
            and measured.platform = traffic.platform
            and measured.shop = traffic.shop
            and measured.day_date = traffic.traffic_date
)

select
    brand,
    platform,
    shop,
    day_date,
    customer_group,
    cast(member_count as bigint) as member_count,
    cast(order_count as bigint) as order_count,
    cast(buyer_count as bigint) as buyer_count,
    currency,
    cast(paid_amount as decimal(18, 2)) as paid_amount,
    cast(refunded_amount as decimal(18, 2)) as refunded_amount,
    cast(paid_amount / nullif(buyer_count, 0) as decimal(18, 2)) as buyer_average_amount,
    visitor_count,
    cast(buyer_count as double) / nullif(visitor_count, 0) as conversion_rate,
    traffic_gap_reason
from with_traffic
