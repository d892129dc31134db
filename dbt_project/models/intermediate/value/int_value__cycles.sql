{#- A view: read when a fit is due and by nothing else. -#}
{{ config(materialized='view') }}

with gaps as (
    select
        brand,
        currency,
        paid_date,
        {{ days_between(
            'paid_date',
            'lead(paid_date) over (partition by member_key, currency order by paid_date asc nulls last)',
        ) }} as gap_days
    from {{ ref('int_value__order_days') }}
),

-- Only order days that have been watched for the whole horizon: among younger ones the quick
-- returns alone are known, and their median would be too short.
watched as (
    select
        gaps.brand,
        gaps.currency,
        gaps.gap_days
    from gaps
    cross join {{ source('ops', 'run') }} as run
    where
        gaps.gap_days <= {{ value_parameter('cycle_horizon_days', 'integer') }}
        and gaps.paid_date
        <= {{ add_days('run.as_of_date', '-' ~ value_parameter('cycle_horizon_days', 'integer')) }}
)

select
    brand,
    currency,
    count(*) as gap_count,
    case
        when count(*) >= {{ value_parameter('cycle_min_gaps', 'bigint') }}
            then round({{ quantile('gap_days', 0.5) }}, 6)
        else {{ value_parameter('cycle_fallback_days', 'double') }}
    end as cycle_days
from watched
group by brand, currency
