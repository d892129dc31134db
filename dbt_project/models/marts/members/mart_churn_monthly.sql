{#- Of the size of the calendar: derived from the flows whole. -#}
{{ config(materialized='table') }}

with flows as (
    select
        flows.brand,
        flows.month_start_date,
        flows.is_complete,
        flows.member_count,
        flows.to_cell_code,
        coalesce(from_cells.customer_group, 'none') as from_group,
        to_cells.customer_group as to_group
    from {{ ref('mart_stage_flows') }} as flows
    left join {{ ref('lifecycle_actions') }} as from_cells
        on flows.from_cell_code = from_cells.cell_code
    inner join {{ ref('lifecycle_actions') }} as to_cells
        on flows.to_cell_code = to_cells.cell_code
),

counted as (
    select
        brand,
        month_start_date,
        is_complete,
        coalesce(sum(member_count) filter (where from_group in ('new', 'returning')), 0)
            as opening_kept_count,
        coalesce(
            sum(member_count) filter (
                where from_group in ('new', 'returning') and to_group = 'dormant_lost'
            ), 0
        ) as lost_count,
        coalesce(sum(member_count) filter (where from_group = 'dormant_lost'), 0)
            as opening_lost_count,
        coalesce(
            sum(member_count) filter (
                where from_group = 'dormant_lost' and to_group in ('new', 'returning')
            ), 0
        ) as regained_count,
        coalesce(
            sum(member_count) filter (
                where from_group in ('none', 'prospect') and to_group <> 'prospect'
            ), 0
        ) as won_count,
        coalesce(sum(member_count) filter (where to_group <> 'prospect'), 0)
            as closing_buyer_count,
        coalesce(sum(member_count) filter (where to_group = 'dormant_lost'), 0)
            as closing_lost_count,
        coalesce(sum(member_count) filter (where to_cell_code = 'dead'), 0) as closing_dead_count
    from flows
    group by brand, month_start_date, is_complete
)

select
    brand,
    month_start_date,
    is_complete,
    cast(opening_kept_count as bigint) as opening_kept_count,
    cast(lost_count as bigint) as lost_count,
    cast(lost_count as double) / nullif(opening_kept_count, 0) as churn_rate,
    cast(opening_lost_count as bigint) as opening_lost_count,
    cast(regained_count as bigint) as regained_count,
    cast(regained_count as double) / nullif(opening_lost_count, 0) as regain_rate,
    cast(won_count as bigint) as won_count,
    cast(closing_buyer_count as bigint) as closing_buyer_count,
    cast(closing_lost_count as bigint) as closing_lost_count,
    cast(closing_dead_count as bigint) as closing_dead_count,
    cast(closing_lost_count as double) / nullif(closing_buyer_count, 0) as lost_share
from counted
