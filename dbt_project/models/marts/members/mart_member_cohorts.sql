{#- Rewritten every night: a late order or refund restates its cells, and a period closes with the
    calendar. Made of one narrow row per member and period. -#}
{{ config(materialized='table') }}

with run as (
    select
        as_of_date,
        {{ parameter('cohort_grain', 'varchar') }} as cohort_grain,
        -- The period of tomorrow is not over, and neither is any behind it.
        {{ period_start(
            add_days('as_of_date', '1'), parameter('cohort_grain', 'varchar')
        ) }} as open_start_date
    from {{ source('ops', 'run') }}
),

cells as (
    select
        brand,
        currency,
        cohort_start_date,
        period_start_date,
        count(*) as active_member_count,
        sum(order_count) as order_count,
        sum(net_amount) as net_amount,
        sum(costed_order_count) as costed_order_count,
        sum(costed_net_amount) as costed_net_amount,
        sum(cost_amount) as cost_amount
    from {{ ref('int_members__order_periods') }}
    group by brand, currency, cohort_start_date, period_start_date
),

cohorts as (
    select
        brand,
        currency,
        cohort_start_date,
        active_member_count as member_count
    from cells
    where period_start_date = cohort_start_date
),

days as (
    select {{ explode(dates_between('first_date', 'as_of_date')) }} as day_date
    from (
        select
            min(cohorts.cohort_start_date) as first_date,
            min(run.as_of_date) as as_of_date
        from cohorts
        cross join run
    ) as bounds
),

periods as (
    select
        {{ period_start('days.day_date', 'run.cohort_grain') }} as period_start_date,
        row_number() over (
            order by {{ period_start('days.day_date', 'run.cohort_grain') }} asc nulls last
        ) as position
    from days
    cross join run
    group by {{ period_start('days.day_date', 'run.cohort_grain') }}
),

-- A period in which nobody of the cohort bought is there as well: with nothing, not without a row.
filled as (
    select
        cohorts.brand,
        cohorts.currency,
        cohorts.cohort_start_date,
        run.cohort_grain,
        periods.period_start_date,
        periods.position - first_periods.position + 1 as period_number,
        periods.period_start_date < run.open_start_date as is_complete,
        cohorts.member_count,
        coalesce(cells.active_member_count, 0) as active_member_count,
        coalesce(cells.order_count, 0) as order_count,
        coalesce(cells.net_amount, 0) as net_amount,
        coalesce(cells.costed_order_count, 0) as costed_order_count,
        coalesce(cells.costed_net_amount, 0) as costed_net_amount,
        coalesce(cells.cost_amount, 0) as cost_amount
    from cohorts
    cross join run
    inner join periods as first_periods
        on cohorts.cohort_start_date = first_periods.period_start_date
    inner join periods
        on cohorts.cohort_start_date <= periods.period_start_date
    left join cells
        on
            cohorts.brand = cells.brand
            and cohorts.currency = cells.currency
            and cohorts.cohort_start_date = cells.cohort_start_date
            and periods.period_start_date = cells.period_start_date
),

accumulated as (
    select
        *,
        sum(order_count) over so_far as cumulative_order_count,
        sum(net_amount) over so_far as cumulative_net_amount,
        sum(costed_order_count) over so_far as cumulative_costed_order_count,
        sum(costed_net_amount - cost_amount) over so_far as cumulative_margin_amount
    from filled
    window so_far as (
        partition by brand, currency, cohort_start_date order by period_number asc nulls last
        rows between unbounded preceding and current row
    )
)

select
    brand,
    currency,
    cohort_start_date,
    cohort_grain,
    cast(period_number as integer) as period_number,
    period_start_date,
    is_complete,
    member_count,
    case when is_complete then active_member_count end as active_member_count,
    case when is_complete then cast(active_member_count as double) / nullif(member_count, 0) end
        as retention_rate,
    case when is_complete then cast(order_count as bigint) end as order_count,
    case when is_complete then cast(net_amount as decimal(18, 2)) end as net_amount,
    case when is_complete then cast(cumulative_net_amount as decimal(18, 2)) end
        as cumulative_net_amount,
    case
        when is_complete
            then cast(cumulative_net_amount / nullif(member_count, 0) as decimal(18, 2))
    end as cumulative_member_average_amount,
    case
        when is_complete and (order_count = 0 or costed_order_count > 0)
            then cast(costed_net_amount - cost_amount as decimal(18, 2))
    end as margin_amount,
    case
        when is_complete and (cumulative_order_count = 0 or cumulative_costed_order_count > 0)
            then cast(cumulative_margin_amount as decimal(18, 2))
    end as cumulative_margin_amount,
    case when is_complete then cast(costed_net_amount as double) / nullif(net_amount, 0) end
        as margin_coverage_rate,
    case
        when not is_complete then 'period_not_complete'
        when order_count > 0 and costed_order_count = 0 then 'no_costs_known'
    end as margin_gap_reason
from accumulated
