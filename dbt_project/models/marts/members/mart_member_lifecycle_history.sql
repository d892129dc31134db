{{ config(meta={'touched_relation': 'int_members__stage_changes', 'touched_key': 'member_key'}) }}

with run as (
    select * from {{ source('ops', 'run') }}
),

-- Spans that differ in nothing but their newest order are one stay in a stage.
stays as (
    select
        spans.member_key,
        spans.count_stage,
        spans.activity_stage,
        spans.cell_code,
        spans.previous_cell_code,
        spans.entered_by,
        spans.valid_from
    from {{ ref('int_members__stage_spans') }} as spans
    inner join run
        on spans.valid_from <= run.as_of_date
    where
        spans.is_stay_start
        and {{ only_touched('spans.member_key', 'int_members__stage_changes') }}
),

brands as (
    select
        member_key,
        min(brand) as brand
    from {{ ref('dim_member_identities') }}
    where {{ only_touched('member_key', 'int_members__stage_changes') }}
    group by member_key
),

neighboured as (
    select
        *,
        lead(valid_from) over history as valid_to,
        lag(valid_from) over history as previous_valid_from
    from stays
    window history as (partition by member_key order by valid_from asc nulls last)
),

placed as (
    select
        *,
        {{ month_number('valid_from') }} as month_number,
        coalesce(
            {{ month_number('previous_valid_from') }} <> {{ month_number('valid_from') }}, true
        ) as is_first_of_month,
        coalesce({{ month_number('valid_to') }} <> {{ month_number('valid_from') }}, true)
            as is_last_of_month
    from neighboured
),

-- Few months see a member enter more than one stage.
openings as (
    select
        member_key,
        month_number,
        previous_cell_code
    from placed
    where is_first_of_month and not is_last_of_month
)

select
    placed.member_key,
    brands.brand,
    placed.count_stage,
    placed.activity_stage,
    placed.cell_code,
    placed.previous_cell_code,
    placed.entered_by,
    placed.valid_from,
    placed.valid_to,
    case
        when placed.is_first_of_month then placed.previous_cell_code
        else openings.previous_cell_code
    end as month_opening_cell_code,
    placed.is_last_of_month
from placed
inner join brands
    on placed.member_key = brands.member_key
left join openings
    on
        -- A condition beside the equations would compare every row with every other.
        openings.member_key = case when not placed.is_first_of_month then placed.member_key end
        and placed.month_number = openings.month_number
