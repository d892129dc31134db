-- A member's spans follow each other without gap or overlap, and one is open; a stay begins once.
-- The history makes its ends out of its beginnings, so it is the spans that can be wrong: together
-- with the first order they are exactly one row per member and day.
with spans as (
    select
        member_key,
        valid_from,
        valid_to,
        lead(valid_from) over (
            partition by member_key order by valid_from asc nulls last, valid_to asc nulls last
        ) as next_valid_from
    from {{ ref('int_members__stage_spans') }}
    where
        member_key in (
            select touched.member_key
            from {{ ref('int_members__stage_changes') }} as touched
        )
),

repeated_stays as (
    select
        member_key,
        valid_from
    from {{ ref('mart_member_lifecycle_history') }}
    where
        member_key in (
            select touched.member_key
            from {{ ref('int_members__stage_changes') }} as touched
        )
    group by member_key, valid_from
    having count(*) > 1
)

select
    'int_members__stage_spans: a span does not end where the next begins' as violation,
    count(*) as violation_count
from spans
where valid_to is distinct from next_valid_from or valid_to <= valid_from
having count(*) > 0
union all
select
    'mart_member_lifecycle_history: a stay begins twice' as violation,
    count(*) as violation_count
from repeated_stays
having count(*) > 0
