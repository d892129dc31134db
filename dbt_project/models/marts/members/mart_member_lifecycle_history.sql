{{ config(meta={'touched_relation': 'int_members__stage_changes', 'touched_key': 'member_key'}) }}

with spans as (
    select *
    from {{ ref('int_members__stage_spans') }}
    where
        valid_from <= {{ as_of_date() }}
        and {{ only_touched('member_key', 'int_members__stage_changes') }}
),

brands as (
    select
        member_key,
        min(brand) as brand
    from {{ ref('dim_member_identities') }}
    group by member_key
),

compared as (
    select
        *,
        lag(count_stage) over history as previous_count_stage,
        lag(activity_stage) over history as previous_activity_stage,
        row_number() over history as position
    from spans
    window history as (partition by member_key order by valid_from asc nulls last)
),

-- Spans that differ in nothing but their newest order are one stay in a stage.
stays as (
    select *
    from compared
    where
        position = 1
        or count_stage is distinct from previous_count_stage
        or activity_stage is distinct from previous_activity_stage
)

select
    stays.member_key,
    brands.brand,
    stays.count_stage,
    stays.activity_stage,
    stays.cell_code,
    stays.previous_cell_code,
    stays.entered_by,
    stays.valid_from,
    lead(stays.valid_from) over (
        partition by stays.member_key order by stays.valid_from asc nulls last
    ) as valid_to,
    first_value(stays.previous_cell_code) over (
        partition by stays.member_key, {{ month_number('stays.valid_from') }}
        order by stays.valid_from asc nulls last
    ) as month_opening_cell_code,
    row_number() over (
        partition by stays.member_key, {{ month_number('stays.valid_from') }}
        order by stays.valid_from desc nulls last
    ) = 1 as is_last_of_month
from stays
inner join brands
    on stays.member_key = brands.member_key
