{#- A view: read when a fit is due and by nothing else. -#}
{{ config(materialized='view') }}

select
    identities.member_key,
    identities.brand,
    orders.currency,
    orders.paid_date
from {{ ref('fct_orders') }} as orders
inner join {{ ref('dim_member_identities') }} as identities
    on orders.customer_key = identities.customer_key
where orders.is_valid_order
group by identities.member_key, identities.brand, orders.currency, orders.paid_date
