{{ config(materialized='view') }}

with run as (
    select
        previous_as_of_date is null as is_first,
        least(previous_as_of_date, as_of_date) as after_date,
        greatest(previous_as_of_date, as_of_date) as until_date
    from {{ source('ops', 'run') }}
),

truths as (
    select * from {{ ref('int_segments__truths') }}
),

begun_versions as (
    select segments.base_condition_id
    from {{ source('config', 'segments') }} as segments
    inner join run
        on
            segments.valid_from > run.after_date
            and segments.valid_from <= run.until_date
    group by segments.base_condition_id
)

select touched.member_key
from {{ ref('int_members__touched') }} as touched
union
select truths.member_key
from truths
inner join run
    on
        run.is_first
        or (truths.valid_from > run.after_date and truths.valid_from <= run.until_date)
        or (truths.valid_to > run.after_date and truths.valid_to <= run.until_date)
union
select truths.member_key
from truths
inner join begun_versions
    on truths.condition_id = begun_versions.base_condition_id
