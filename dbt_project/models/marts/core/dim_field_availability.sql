{#- Rewritten every night: a few hundred rows that follow seeds and shops. -#}
{{ config(materialized='table') }}

with availability as (
    select * from {{ ref('int_orders__field_availability') }}
),

platforms as (
    select platform
    from {{ source('ops', 'run_shops') }}
    group by platform
)

select
    record_source,
    platform,
    entity,
    field,
    availability,
    available_from as available_from_date,
    available_to as available_to_date,
    available_days,
    disappears_when,
    reason
from availability
where platform <> '*'
union all
-- What holds wherever the source is used stands for every platform there is: joins are equal.
select
    availability.record_source,
    platforms.platform,
    availability.entity,
    availability.field,
    availability.availability,
    availability.available_from as available_from_date,
    availability.available_to as available_to_date,
    availability.available_days,
    availability.disappears_when,
    availability.reason
from availability
cross join platforms
where availability.platform = '*'
