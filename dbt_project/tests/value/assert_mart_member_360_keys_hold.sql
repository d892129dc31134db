-- A member stands once, whatever is joined to it. A sixteenth of all members tells of a join that
-- doubles rows as well as all.
select
    'mart_member_360: member_key is not unique' as violation,
    count(*) as violation_count
from (
    select member_key
    from {{ ref('mart_member_360') }}
    {%- if not var('full_checks') %}
        where
            member_key >= cast('70000000-0000-0000-0000-000000000000' as uuid)
            and member_key < cast('80000000-0000-0000-0000-000000000000' as uuid)
    {%- endif %}
    group by member_key
    having count(*) > 1
) as repeated_keys
having count(*) > 0
