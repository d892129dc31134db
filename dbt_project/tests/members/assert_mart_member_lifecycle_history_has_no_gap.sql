-- A member's stays follow each other without gap or overlap, and one is open: together with the
-- first order they are exactly one row per member and day.
with stays as (
    select
        member_key,
        valid_from,
        valid_to,
        lead(valid_from) over (partition by member_key order by valid_from) as next_valid_from
    from {{ ref('mart_member_lifecycle_history') }}
    where
        member_key in (
            select touched.member_key
            from {{ ref('int_members__stage_changes') }} as touched
        )
)

select
    'mart_member_lifecycle_history: a stay does not end where the next begins' as violation,
    count(*) as violation_count
from stays
where valid_to is distinct from next_valid_from or valid_to <= valid_from
having count(*) > 0
