{{ config(meta={'touched_relation': 'int_members__touched', 'touched_key': 'member_key'}) }}

with identities as (
    select *
    from {{ ref('dim_member_identities') }}
    where {{ only_touched('member_key', 'int_members__touched') }}
),

-- What the models count is days, not orders: two orders of one day are one decision to buy.
order_days as (
    select
        identities.member_key,
        identities.brand,
        orders.currency,
        orders.paid_date,
        count(*) as order_count,
        sum(orders.net_amount) as net_amount
    from {{ ref('fct_orders') }} as orders
    inner join identities
        on orders.customer_key = identities.customer_key
    where orders.is_valid_order
    group by identities.member_key, identities.brand, orders.currency, orders.paid_date
)

select
    member_key,
    brand,
    currency,
    min(paid_date) as first_order_date,
    max(paid_date) as last_order_date,
    cast(sum(order_count) as bigint) as order_count,
    count(*) as order_day_count,
    count(*) - 1 as repeat_day_count,
    cast(sum(net_amount) as decimal(18, 2)) as net_amount,
    cast(sum(net_amount) - min_by(net_amount, paid_date) as decimal(18, 2)) as repeat_net_amount
from order_days
group by member_key, brand, currency
