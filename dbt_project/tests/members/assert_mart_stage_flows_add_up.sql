-- Nobody gets lost between two months: what leaves a cell is its opening stock, what arrives in it
-- the next month's, and the last month's end is today's.
with flows as (
    select * from {{ ref('mart_stage_flows') }}
),

outflows as (
    select
        brand,
        month_start_date,
        from_cell_code as cell_code,
        max(opening_count) as opening_count,
        sum(member_count) as member_count
    from flows
    group by brand, month_start_date, from_cell_code
),

inflows as (
    select
        brand,
        month_start_date,
        to_cell_code as cell_code,
        sum(member_count) as member_count
    from flows
    group by brand, month_start_date, to_cell_code
),

followed as (
    select
        inflows.brand,
        inflows.cell_code,
        inflows.member_count,
        lead(outflows.opening_count) over (
            partition by outflows.brand, outflows.cell_code
            order by outflows.month_start_date asc nulls last
        ) as next_opening_count,
        row_number() over (
            partition by outflows.brand, outflows.cell_code
            order by outflows.month_start_date desc nulls last
        ) = 1 as is_last
    from inflows
    inner join outflows
        on
            inflows.brand = outflows.brand
            and inflows.month_start_date = outflows.month_start_date
            and inflows.cell_code = outflows.cell_code
),

today as (
    select
        brand,
        cell_code,
        count(*) as member_count
    from {{ ref('mart_member_lifecycle') }}
    group by brand, cell_code
),

violations as (
    select 'mart_stage_flows: a way is listed twice' as violation
    from flows
    group by brand, month_start_date, from_cell_code, to_cell_code
    having count(*) > 1
    union all
    select 'mart_stage_flows: fewer than nobody went a way' as violation
    from flows
    where member_count < 0
    union all
    select 'mart_stage_flows: a cell loses others than it had' as violation
    from outflows
    where cell_code <> 'none' and opening_count <> member_count
    union all
    select 'mart_stage_flows: a month opens with others than the last one ended with' as violation
    from followed
    where not is_last and member_count <> next_opening_count
    union all
    select 'mart_stage_flows: the last month does not end with the members of today' as violation
    from followed
    left join today
        on
            followed.brand = today.brand
            and followed.cell_code = today.cell_code
    where followed.is_last and followed.member_count <> coalesce(today.member_count, 0)
)

select
    violation,
    count(*) as violation_count
from violations
group by violation
