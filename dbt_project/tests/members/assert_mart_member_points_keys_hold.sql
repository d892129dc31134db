-- A member has one account, and none is below zero without being told as overdrawn.
{{ broken_keys(
    ref('mart_member_points'),
    key=['member_key'],
) }}
union all
select
    'mart_member_points: an account is below zero and not overdrawn' as violation,
    count(*) as violation_count
from {{ ref('mart_member_points') }}
where
    (point_balance < 0 and not is_overdrawn)
    or expiring_count < 0
having count(*) > 0
