{#- Rewritten every night: a cohort's window closes with the calendar. -#}
{{ config(materialized='table') }}

with run as (
    select
        as_of_date,
        {{ parameter('cohort_grain', 'varchar') }} as cohort_grain
    from {{ source('ops', 'run') }}
),

first_orders as (
    select
        behaviour.brand,
        run.cohort_grain,
        {{ period_start('behaviour.first_order_date', 'run.cohort_grain') }} as cohort_start_date,
        {{ days_between('behaviour.first_order_date', 'behaviour.second_order_date') }}
            as days_to_second
    from {{ ref('mart_member_behaviour') }} as behaviour
    cross join run
    where behaviour.first_order_date is not null
),

counted as (
    select
        first_orders.brand,
        first_orders.cohort_grain,
        first_orders.cohort_start_date,
        case
            when first_orders.cohort_grain = 'week'
                then {{ add_days('first_orders.cohort_start_date', '6') }}
            else {{ add_days(
                'make_date('
                ~ 'year(' ~ add_days('first_orders.cohort_start_date', '31') ~ '), '
                ~ 'month(' ~ add_days('first_orders.cohort_start_date', '31') ~ '), 1)',
                '-1',
            ) }}
        end as cohort_end_date,
        horizons.horizon_days,
        count(*) as member_count,
        count(*) filter (where first_orders.days_to_second <= horizons.horizon_days)
            as returned_count
    from first_orders
    cross join {{ ref('cohort_horizons') }} as horizons
    group by
        first_orders.brand,
        first_orders.cohort_grain,
        first_orders.cohort_start_date,
        horizons.horizon_days
),

-- Until the cohort's last member has had the whole horizon nobody can tell.
watched as (
    select
        counted.*,
        {{ add_days('counted.cohort_end_date', 'counted.horizon_days') }} <= run.as_of_date
            as is_complete
    from counted
    cross join run
)

select
    brand,
    cohort_start_date,
    cohort_grain,
    horizon_days,
    is_complete,
    member_count,
    case when is_complete then member_count - returned_count end as one_time_count,
    case when is_complete then cast(member_count - returned_count as double) end
    / nullif(member_count, 0) as one_time_rate
from watched
