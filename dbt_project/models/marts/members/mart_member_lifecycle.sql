{#- Rewritten every night: days since the last order change for everyone. Therefore narrow. -#}
{{ config(materialized='table') }}

with run as (
    select * from {{ source('ops', 'run') }}
),

spans as (
    select spans.*
    from {{ ref('int_members__stage_spans') }} as spans
    inner join run
        on
            spans.valid_from <= run.as_of_date
            and coalesce(spans.valid_to, date '9999-12-31') > run.as_of_date
),

stays as (
    select *
    from {{ ref('mart_member_lifecycle_history') }}
    where valid_to is null
),

windows as (
    select
        max(last_day) filter (where activity_stage = 'active') as active_last_day,
        max(last_day) filter (where activity_stage = 'silent') as silent_last_day,
        max(last_day) filter (where activity_stage = 'lost') as lost_last_day
    from (
        select *
        from {{ ref('lifecycle_windows') }}
        where valid_from <= {{ as_of_date() }}
        qualify valid_from = max(valid_from) over ()
    ) as in_force
),

actions as (
    select * from {{ ref('lifecycle_actions') }}
),

order_values as (
    select * from {{ ref('int_rfm__member_values') }}
)

select
    stays.member_key,
    stays.brand,
    run.as_of_date,
    stays.count_stage,
    stays.activity_stage,
    stays.cell_code,
    actions.label_zh as cell_label_zh,
    actions.customer_group,
    actions.next_action,
    actions.next_action_zh,
    spans.valid_order_count,
    spans.is_advocate,
    order_values.first_valid_order_date,
    spans.last_valid_order_date,
    {{ days_between('spans.last_valid_order_date', 'run.as_of_date') }}
        as days_since_last_valid_order,
    {{ add_days('spans.last_valid_order_date', 'windows.active_last_day + 1') }} as silent_on,
    {{ add_days('spans.last_valid_order_date', 'windows.silent_last_day + 1') }} as lost_on,
    {{ add_days('spans.last_valid_order_date', 'windows.lost_last_day + 1') }} as dead_on,
    stays.valid_from as stage_since,
    stays.previous_cell_code
from stays
inner join spans
    on stays.member_key = spans.member_key
inner join actions
    on stays.cell_code = actions.cell_code
left join order_values
    on stays.member_key = order_values.member_key
cross join windows
cross join run
