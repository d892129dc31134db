-- A member is valued once per currency. Everybody's row is new every night, so there are no keys of
-- tonight to look at: a sixteenth of all members tells of a join that doubles rows as well as all.
select
    'mart_member_value: member_key + currency is not unique' as violation,
    count(*) as violation_count
from (
    select
        member_key,
        currency
    from {{ ref('mart_member_value') }}
    {%- if not var('full_checks') %}
        where
            member_key >= cast('70000000-0000-0000-0000-000000000000' as uuid)
            and member_key < cast('80000000-0000-0000-0000-000000000000' as uuid)
    {%- endif %}
    group by member_key, currency
    having count(*) > 1
) as repeated_keys
having count(*) > 0
