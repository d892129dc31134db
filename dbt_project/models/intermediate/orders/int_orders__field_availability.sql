{{ config(materialized='view') }}

-- A source says in its own folder what it tells (stg_<source>__field_availability), or has rows in
-- the seed; of one that does neither nothing is known, which is not that nothing is told.
with seeded as (
    select * from {{ ref('field_availability') }}
),

told as (
    select
        record_source,
        platform,
        entity,
        field,
        availability,
        available_from,
        available_to,
        available_days,
        disappears_when,
        reason
    from seeded
    {% for model in staged('field_availability', is_required=false) %}
    union all
    select
        record_source,
        platform,
        entity,
        field,
        availability,
        available_from,
        available_to,
        available_days,
        disappears_when,
        reason
    from {{ ref(model) }}
    {% endfor %}
),

sources as (
    {% for model in staged('orders') %}
        select '{{ model.split("__")[0][4:] }}' as record_source
        {{ 'union all' if not loop.last }}
    {% endfor %}
),

fields as (
    select
        entity,
        field
    from seeded
    group by entity, field
)

select
    record_source,
    platform,
    entity,
    field,
    availability,
    available_from,
    available_to,
    available_days,
    disappears_when,
    reason
from told
union all
select
    sources.record_source,
    '*' as platform,
    fields.entity,
    fields.field,
    'unknown' as availability,
    cast(null as date) as available_from,
    cast(null as date) as available_to,
    cast(null as integer) as available_days,
    cast(null as varchar) as disappears_when,
    'Neither the seed nor the folder of the source says' as reason
from sources
cross join fields
where sources.record_source not in (select told.record_source from told)
