{{ config(meta={'touched_relation': 'int_members__recosted', 'touched_key': 'member_key'}) }}

with identities as (
    select *
    from {{ ref('dim_member_identities') }}
    where {{ only_touched('member_key', 'int_members__recosted') }}
),

run_shops as (
    select
        *,
        {{ parameter('cohort_grain', 'varchar') }} as cohort_grain
    from {{ source('ops', 'run_shops') }}
),

orders as (
    select
        identities.member_key,
        identities.brand,
        orders.order_key,
        orders.currency,
        {{ period_start('orders.paid_date', 'run_shops.cohort_grain') }} as period_start_date,
        orders.net_amount,
        -- A product's cost is told in the currency of its shop.
        orders.currency = run_shops.currency as is_in_currency
    from {{ ref('fct_orders') }} as orders
    inner join identities
        on orders.customer_key = identities.customer_key
    inner join run_shops
        on
            orders.brand = run_shops.brand
            and orders.platform = run_shops.platform
            and orders.shop = run_shops.shop
    where orders.is_valid_order
),

-- What was paid back in full has gone back to the shop, and cost nothing.
order_costs as (
    select
        lines.order_key,
        sum(lines.net_amount) as costed_net_amount,
        cast(
            sum(
                case
                    when lines.refunded_amount > 0 and lines.net_amount = 0 then 0
                    else products.cost_amount * lines.quantity
                end
            ) as decimal(18, 2)
        ) as cost_amount
    from {{ ref('fct_order_lines') }} as lines
    inner join {{ ref('dim_products') }} as products
        on lines.product_key = products.product_key
    where
        products.cost_amount is not null
        and lines.customer_key in (select identities.customer_key from identities)
    group by lines.order_key
),

periods as (
    select
        orders.member_key,
        orders.brand,
        orders.currency,
        orders.period_start_date,
        count(*) as order_count,
        sum(orders.net_amount) as net_amount,
        count(order_costs.order_key) as costed_order_count,
        coalesce(sum(order_costs.costed_net_amount), 0) as costed_net_amount,
        coalesce(sum(order_costs.cost_amount), 0) as cost_amount
    from orders
    left join order_costs
        on
            orders.order_key = order_costs.order_key
            and orders.is_in_currency
    group by orders.member_key, orders.brand, orders.currency, orders.period_start_date
)

select
    member_key,
    brand,
    currency,
    min(period_start_date) over (partition by member_key, currency) as cohort_start_date,
    period_start_date,
    order_count,
    cast(net_amount as decimal(18, 2)) as net_amount,
    costed_order_count,
    cast(costed_net_amount as decimal(18, 2)) as costed_net_amount,
    cast(cost_amount as decimal(18, 2)) as cost_amount
from periods
