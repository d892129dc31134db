{#- A view: read when a fit is due and by nothing else. -#}
{{ config(materialized='view') }}

with sizes as (
    select
        brand,
        currency,
        count(*) as member_count
    from {{ ref('int_value__purchases') }}
    group by brand, currency
),

-- The members that the orders are counted of.
purchases as (
    select purchases.*
    from {{ ref('int_value__purchases') }} as purchases
    inner join sizes
        on
            purchases.brand = sizes.brand
            and purchases.currency = sizes.currency
    where {{ is_in_fit_sample('purchases.member_key', 'sizes.member_count') }}
)

-- Whoever paid nothing on the days after the first has no average that the model could hold.
select
    brand,
    currency,
    repeat_day_count,
    repeat_net_amount,
    count(*) as member_count
from purchases
where
    repeat_day_count > 0
    and repeat_net_amount > 0
group by brand, currency, repeat_day_count, repeat_net_amount
