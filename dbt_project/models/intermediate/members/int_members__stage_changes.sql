{{ config(materialized='table') }}

with run as (
    select * from {{ source('ops', 'run') }}
)

select touched.member_key
from {{ ref('int_members__touched') }} as touched
union
select spans.member_key
from {{ ref('int_members__stage_spans') }} as spans
inner join run
    on
        run.previous_as_of_date is null
        or (
            spans.valid_from > least(run.previous_as_of_date, run.as_of_date)
            and spans.valid_from <= greatest(run.previous_as_of_date, run.as_of_date)
        )
