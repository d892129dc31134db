{#- Rewritten every night: a late order restates its months. The members are counted once, by the
    last stay of each month; stocks and those who stayed put follow by sums. -#}
{{ config(materialized='table') }}

with run as (
    select * from {{ source('ops', 'run') }}
),

cells as (
    select cell_code from {{ ref('lifecycle_actions') }}
),

moves as (
    select
        brand,
        {{ month_number('valid_from') }} as month_no,
        coalesce(month_opening_cell_code, 'none') as from_cell_code,
        cell_code as to_cell_code,
        min(valid_from) as first_date,
        count(*) as moved_count
    from {{ ref('mart_member_lifecycle_history') }}
    where is_last_of_month
    group by brand, {{ month_number('valid_from') }}, month_opening_cell_code, cell_code
),

brand_days as (
    select
        moves.brand,
        {{ explode(dates_between('min(moves.first_date)', 'max(run.as_of_date)')) }} as day_date
    from moves
    cross join run
    group by moves.brand
),

months as (
    select
        brand_days.brand,
        {{ month_number('brand_days.day_date') }} as month_no,
        min(make_date(year(brand_days.day_date), month(brand_days.day_date), 1))
            as month_start_date,
        {{ month_number('min(run.as_of_date)') }} <> {{ month_number('brand_days.day_date') }}
        or {{ month_number(add_days('min(run.as_of_date)', '1')) }}
        <> {{ month_number('brand_days.day_date') }} as is_complete
    from brand_days
    cross join run
    group by brand_days.brand, {{ month_number('brand_days.day_date') }}
),

cell_movements as (
    select
        brand,
        month_no,
        to_cell_code as cell_code,
        sum(moved_count) as in_count,
        0 as out_count
    from moves
    group by brand, month_no, to_cell_code
    union all
    select
        brand,
        month_no,
        from_cell_code as cell_code,
        0 as in_count,
        sum(moved_count) as out_count
    from moves
    where from_cell_code <> 'none'
    group by brand, month_no, from_cell_code
),

cell_months as (
    select
        months.brand,
        months.month_no,
        cells.cell_code,
        coalesce(sum(cell_movements.in_count), 0) as in_count,
        coalesce(sum(cell_movements.out_count), 0) as out_count
    from months
    cross join cells
    left join cell_movements
        on
            months.brand = cell_movements.brand
            and months.month_no = cell_movements.month_no
            and cells.cell_code = cell_movements.cell_code
    group by months.brand, months.month_no, cells.cell_code
),

stocks as (
    select
        brand,
        month_no,
        cell_code,
        coalesce(
            sum(in_count - out_count) over (
                partition by brand, cell_code order by month_no asc nulls last
                rows between unbounded preceding and 1 preceding
            ),
            0
        ) as opening_count,
        out_count
    from cell_months
),

from_cells as (
    select cell_code from cells
    union all
    select 'none' as cell_code
),

flows as (
    select
        months.brand,
        months.month_start_date,
        months.is_complete,
        from_cells.cell_code as from_cell_code,
        cells.cell_code as to_cell_code,
        stocks.opening_count,
        coalesce(moves.moved_count, 0)
        + case
            when from_cells.cell_code = cells.cell_code
                then stocks.opening_count - stocks.out_count
            else 0
        end as member_count
    from months
    cross join from_cells
    cross join cells
    left join stocks
        on
            months.brand = stocks.brand
            and months.month_no = stocks.month_no
            and from_cells.cell_code = stocks.cell_code
    left join moves
        on
            months.brand = moves.brand
            and months.month_no = moves.month_no
            and from_cells.cell_code = moves.from_cell_code
            and cells.cell_code = moves.to_cell_code
),

-- What the twelve months before would let expect of this month's stock.
compared as (
    select
        *,
        cast(
            sum(member_count) over past as double
        ) / nullif(sum(opening_count) over past, 0) as past_rate
    from flows
    window past as (
        partition by brand, from_cell_code, to_cell_code order by month_start_date asc nulls last
        rows between 12 preceding and 1 preceding
    )
)

select
    brand,
    month_start_date,
    from_cell_code,
    to_cell_code,
    is_complete,
    cast(member_count as bigint) as member_count,
    cast(opening_count as bigint) as opening_count,
    case when is_complete then opening_count * past_rate end as expected_members,
    case
        when is_complete
            then
                (member_count - opening_count * past_rate)
                / nullif(sqrt(opening_count * past_rate * (1 - past_rate)), 0)
    end as deviation_z
from compared
