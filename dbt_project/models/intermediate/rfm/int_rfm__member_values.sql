{{ config(meta={'touched_relation': 'int_members__touched', 'touched_key': 'member_key'}) }}

with identities as (
    select *
    from {{ ref('dim_member_identities') }}
    where {{ only_touched('member_key', 'int_members__touched') }}
),

run as (
    select
        as_of_date,
        {{ add_days('as_of_date', '-' ~ parameter('rfm_window_days', 'integer')) }}
            as window_after_date
    from {{ source('ops', 'run') }}
),

orders as (
    select
        identities.member_key,
        identities.brand,
        orders.order_key,
        orders.currency,
        orders.paid_date,
        orders.net_amount,
        orders.is_valid_order,
        orders.is_valid_order and orders.paid_date > run.window_after_date as is_in_window,
        {{ ordering(['orders.paid_at', 'orders.order_key']) }} as sequence
    from {{ ref('fct_orders') }} as orders
    inner join identities
        on orders.customer_key = identities.customer_key
    cross join run
    where
        orders.paid_date is not null
        and {{ is_countable_order('orders') }}
),

-- Money of different currencies is never added: amounts are in the currency of the newest order.
currencies as (
    select
        member_key,
        max_by(currency, sequence) as currency
    from orders
    where is_valid_order
    group by member_key
)

select
    orders.member_key,
    orders.brand,
    currencies.currency,
    min_by(orders.order_key, orders.sequence) as first_paid_order_key,
    min(orders.paid_date) as first_paid_date,
    min(orders.paid_date) filter (where orders.is_valid_order) as first_valid_order_date,
    max(orders.paid_date) filter (where orders.is_valid_order) as last_valid_order_date,
    max_by(orders.order_key, orders.sequence) filter (where orders.is_valid_order)
        as last_valid_order_key,
    count(*) filter (where orders.is_valid_order) as lifetime_order_count,
    count(distinct orders.paid_date) filter (where orders.is_valid_order)
        as lifetime_order_day_count,
    cast(
        coalesce(
            sum(orders.net_amount) filter (
                where orders.is_valid_order and orders.currency = currencies.currency
            ),
            0
        ) as decimal(18, 2)
    ) as lifetime_net_amount,
    count(*) filter (where orders.is_in_window) as window_order_count,
    count(*) filter (where orders.is_in_window and orders.currency = currencies.currency)
        as window_money_order_count,
    count(distinct orders.paid_date) filter (where orders.is_in_window) as window_order_day_count,
    cast(
        coalesce(
            sum(orders.net_amount) filter (
                where orders.is_in_window and orders.currency = currencies.currency
            ),
            0
        ) as decimal(18, 2)
    ) as window_net_amount,
    count(*) filter (where orders.is_valid_order and orders.currency <> currencies.currency)
        as other_currency_order_count
from orders
left join currencies
    on orders.member_key = currencies.member_key
group by orders.member_key, orders.brand, currencies.currency
