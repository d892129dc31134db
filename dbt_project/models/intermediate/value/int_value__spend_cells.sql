{#- A view: read when a fit is due and by nothing else. -#}
{{ config(materialized='view') }}

-- Whoever paid nothing on the days after the first has no average that the model could hold.
select
    brand,
    currency,
    repeat_day_count,
    repeat_net_amount,
    count(*) as member_count
from {{ ref('int_value__purchases') }}
where
    repeat_day_count > 0
    and repeat_net_amount > 0
group by brand, currency, repeat_day_count, repeat_net_amount
