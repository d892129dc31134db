{{ config(meta={'touched_relation': 'int_customers__touched', 'touched_key': 'customer_key'}) }}

with customers as (
    select * from {{ ref('int_customers__identified') }}
    where {{ only_touched('customer_key', 'int_customers__touched') }}
),

order_dates as (
    select
        customer_key,
        min(created_date) as first_order_date,
        min(paid_date) as first_paid_date,
        max(paid_date) as last_paid_date,
        bool_or(is_guest) as is_guest
    from {{ ref('fct_orders') }}
    where {{ only_touched('customer_key', 'int_customers__touched') }}
    group by customer_key
)

select
    customers.customer_key,
    customers.brand,
    customers.platform,
    customers.shop,
    customers.buyer_id,
    order_dates.first_order_date,
    order_dates.first_paid_date,
    order_dates.last_paid_date,
    coalesce(order_dates.is_guest, false) as is_guest
from customers
left join order_dates on customers.customer_key = order_dates.customer_key
