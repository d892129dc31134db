{#- Cut points are recorded, never drawn anew from today's customers: a score changes because the
    member changed, not because others did. -#}
{{ config(materialized='view') }}

select
    brand,
    version,
    max(q20) filter (where dimension = 'recency') as recency_q20,
    max(q40) filter (where dimension = 'recency') as recency_q40,
    max(q60) filter (where dimension = 'recency') as recency_q60,
    max(q80) filter (where dimension = 'recency') as recency_q80,
    max(q20) filter (where dimension = 'frequency') as frequency_q20,
    max(q40) filter (where dimension = 'frequency') as frequency_q40,
    max(q60) filter (where dimension = 'frequency') as frequency_q60,
    max(q80) filter (where dimension = 'frequency') as frequency_q80,
    max(q20) filter (where dimension = 'monetary') as monetary_q20,
    max(q40) filter (where dimension = 'monetary') as monetary_q40,
    max(q60) filter (where dimension = 'monetary') as monetary_q60,
    max(q80) filter (where dimension = 'monetary') as monetary_q80
from {{ source('raw', 'state__threshold_versions') }}
where valid_from <= {{ as_of_date() }}
group by brand, version
qualify row_number() over (
    partition by brand
    order by max(valid_from) desc nulls last, version desc nulls last
) = 1
