{#- Rewritten every night: a few rows for each pair of segments. -#}
{{ config(materialized='table') }}

with segments as (
    select * from {{ ref('dim_segments') }}
    where is_in_force
),

members as (
    select * from {{ ref('mart_segment_members') }}
),

sizes as (
    select
        brand,
        segment,
        count(*) as member_count
    from members
    group by brand, segment
),

shared as (
    select
        members.brand,
        members.segment,
        others.segment as other_segment,
        count(*) as both_count
    from members
    inner join members as others
        on
            members.member_key = others.member_key
            and members.segment < others.segment
    group by members.brand, members.segment, others.segment
),

pairs as (
    select
        segments.brand,
        segments.segment,
        others.segment as other_segment,
        coalesce(sizes.member_count, 0) as member_count,
        coalesce(other_sizes.member_count, 0) as other_count,
        coalesce(shared.both_count, 0) as both_count
    from segments
    inner join segments as others
        on
            segments.brand = others.brand
            and segments.segment < others.segment
    left join sizes
        on
            segments.brand = sizes.brand
            and segments.segment = sizes.segment
    left join sizes as other_sizes
        on
            others.brand = other_sizes.brand
            and others.segment = other_sizes.segment
    left join shared
        on
            segments.brand = shared.brand
            and segments.segment = shared.segment
            and others.segment = shared.other_segment
)

select
    brand,
    segment,
    other_segment,
    member_count,
    other_count,
    both_count,
    {{ exact_rate('both_count', '(member_count + other_count - both_count)') }} as jaccard_rate
from pairs
