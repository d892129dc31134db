{#- Rewritten every night: a few rows that follow config/segments. -#}
{{ config(materialized='table') }}

with run as (
    select * from {{ source('ops', 'run') }}
),

segments as (
    select * from {{ source('config', 'segments') }}
),

held as (
    select
        members.brand,
        truths.condition_id,
        count(*) as member_count
    from {{ ref('int_segments__truths') }} as truths
    inner join run
        on
            truths.valid_from <= run.as_of_date
            and coalesce(truths.valid_to, date '9999-12-31') > run.as_of_date
    inner join {{ ref('dim_members') }} as members
        on truths.member_key = members.member_key
    where
        truths.condition_id in (
            select segments.base_condition_id from segments
            union
            select segments.covered_condition_id from segments
        )
    group by members.brand, truths.condition_id
)

select
    segments.brand,
    segments.segment,
    segments.version,
    segments.valid_from <= run.as_of_date
    and coalesce(segments.valid_to > run.as_of_date, true) as is_in_force,
    segments.name,
    segments.title_zh,
    segments.owner,
    segments.reason,
    segments.version_reason,
    segments.valid_from,
    segments.valid_to,
    segments.definition_sha256,
    segments.clause_count,
    segments.is_dated as has_history,
    segments.covered_platforms,
    segments.uncovered_platforms,
    segments.uncovered_reason,
    coalesce(known.member_count, 0) as known_member_count,
    coalesce(covered.member_count, 0) as covered_member_count
from segments
cross join run
left join held as known
    on
        segments.brand = known.brand
        and segments.base_condition_id = known.condition_id
left join held as covered
    on
        segments.brand = covered.brand
        and segments.covered_condition_id = covered.condition_id
