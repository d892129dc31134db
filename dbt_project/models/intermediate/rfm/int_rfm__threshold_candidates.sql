{#- A view: it costs a night nothing and is read only when cut points are about to be recorded. -#}
{{ config(materialized='view') }}

with buyers as (
    select
        member_values.brand,
        member_values.currency,
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

-- Money is cut by currency: amounts of two of them have no order.
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
        'monetary:' || currency as dimension,
        cast(window_net_amount as double) as measure
    from buyers
),

-- Ties share their value, so it does not matter which of them stands where.
placed as (
    select
        *,
        row_number() over (
            partition by brand, dimension order by measure asc nulls last
        ) as place,
        row_number() over (
            partition by brand, dimension order by measure desc nulls last
        ) as place_from_above,
        count(*) over (partition by brand, dimension) as customer_count
    from measures
),

-- Rounded, because interpolation leaves a trace of the binary fraction: a cut point of 32 that
-- reads 31.999999999999996 would lift everybody with exactly 32 into the next bin.
interpolated as (
    select
        brand,
        dimension,
        {%- for share in [20, 40, 60, 80] %}
            round({{ quantile('measure', share / 100) }}, 6) as q{{ share }},
        {%- endfor %}
        count(*) as customer_count
    from measures
    group by brand, dimension
),

-- The score by lower rank is 1 + least(4, floor(5 x members below / members)): as many fifths as
-- lie wholly below. The value that ends a fifth is its cut; of days, which count from the other
-- end, the day before.
lower_ranked as (
    select
        brand,
        dimension,
        {%- for share in [20, 40, 60, 80] %}
            case
                when dimension = 'recency'
                    then max(measure) filter (
                        where place_from_above * 100 >= {{ 100 - share }} * customer_count
                    ) - 1
                else min(measure) filter (where place * 100 >= {{ share }} * customer_count)
            end as q{{ share }},
        {%- endfor %}
        count(*) as customer_count
    from placed
    group by brand, dimension
)

select
    brand,
    dimension,
    q20,
    q40,
    q60,
    q80,
    customer_count
from interpolated
where {{ parameter('cut_method', 'varchar') }} <> 'lower_rank'
union all
select
    brand,
    dimension,
    q20,
    q40,
    q60,
    q80,
    customer_count
from lower_ranked
where {{ parameter('cut_method', 'varchar') }} = 'lower_rank'
