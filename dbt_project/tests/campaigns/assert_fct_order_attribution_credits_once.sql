-- An order is credited once, and to the fen.
select
    'fct_order_attribution: an order is credited twice or not to the fen' as violation,
    count(*) as violation_count
from (
    select order_key
    from {{ ref('fct_order_attribution') }}
    where
        customer_key in (
            select touched.customer_key from {{ ref('int_campaigns__settled') }} as touched
        )
    group by order_key
    having
        count(*) > 1
        or sum(credited_amount + organic_amount) <> sum(net_amount)
) as broken_orders
having count(*) > 0
