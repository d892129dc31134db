{#- A view: it costs a night nothing and is read only when cut points are about to be recorded. -#}
{{ config(materialized='view') }}

with buyers as (
    select
        member_values.brand,
        {{ days_between('member_values.last_valid_order_date', 'run.as_of_date') }} as recency_days,
        case
            when {{ parameter('frequency_grain', 'varchar') }} = 'day'
                then member_values.window_order_day_count
            else member_values.window_order_count
        end as frequency_count,
        member_values.window_net_amount
    from {{ ref('int_rfm__member_values') }} as member_values
    cross join {{ source('ops', 'run') }} as run
    where member_values.window_order_count > 0
),

measures as (
    select
        brand,
        'recency' as dimension,
        cast(recency_days as double) as measure
    from buyers
    union all
    select
        brand,
        'frequency' as dimension,
        cast(frequency_count as double) as measure
    from buyers
    union all
    select
        brand,
        'monetary' as dimension,
        cast(window_net_amount as double) as measure
    from buyers
)

-- Rounded, because interpolation leaves a trace of the binary fraction: a cut point of 32 that
-- reads 31.999999999999996 would lift everybody with exactly 32 into the next bin.
select
    brand,
    dimension,
    round({{ quantile('measure', 0.2) }}, 6) as q20,
    round({{ quantile('measure', 0.4) }}, 6) as q40,
    round({{ quantile('measure', 0.6) }}, 6) as q60,
    round({{ quantile('measure', 0.8) }}, 6) as q80,
    count(*) as customer_count
from measures
group by brand, dimension
