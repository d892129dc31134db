{#- Cut points are recorded, never drawn anew from today's customers: a score changes because the
    member changed, not because others did. -#}
{{ config(materialized='view') }}

with in_force as (
    select *
    from {{ source('raw', 'state__threshold_versions') }}
    where valid_from <= {{ as_of_date() }}
    qualify rank() over (
        partition by brand order by valid_from desc nulls last, version desc nulls last
    ) = 1
),

-- Days and orders are everybody's, money is a currency's; '*' is what was recorded without one.
by_currency as (
    select
        *,
        case
            when dimension like 'monetary:%' then substr(dimension, length('monetary:') + 1)
            else '*'
        end as currency
    from in_force
)

select
    brand,
    currency,
    version,
    valid_from,
    max(customer_count) as customer_count,
    max(q20) filter (where dimension = 'recency') as recency_q20,
    max(q40) filter (where dimension = 'recency') as recency_q40,
    max(q60) filter (where dimension = 'recency') as recency_q60,
    max(q80) filter (where dimension = 'recency') as recency_q80,
    max(q20) filter (where dimension = 'frequency') as frequency_q20,
    max(q40) filter (where dimension = 'frequency') as frequency_q40,
    max(q60) filter (where dimension = 'frequency') as frequency_q60,
    max(q80) filter (where dimension = 'frequency') as frequency_q80,
    max(q20) filter (where dimension like 'monetary%') as monetary_q20,
    max(q40) filter (where dimension like 'monetary%') as monetary_q40,
    max(q60) filter (where dimension like 'monetary%') as monetary_q60,
    max(q80) filter (where dimension like 'monetary%') as monetary_q80
from by_currency
group by brand, currency, version, valid_from
