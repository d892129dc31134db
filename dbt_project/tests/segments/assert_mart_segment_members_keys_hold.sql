-- Everybody stands once in a segment; a part of the keys tells of a join that doubles just as well.
select
    'mart_segment_members: member_key + segment is not unique' as violation,
    count(*) as violation_count
from (
    select
        member_key,
        segment
    from {{ ref('mart_segment_members') }}
    {%- if not var('full_checks') %}
        where
            member_key >= cast('70000000-0000-0000-0000-000000000000' as uuid)
            and member_key < cast('80000000-0000-0000-0000-000000000000' as uuid)
    {%- endif %}
    group by member_key, segment
    having count(*) > 1
) as repeated_keys
having count(*) > 0
