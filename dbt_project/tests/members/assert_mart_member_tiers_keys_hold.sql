-- A member has one tier, is known, and no grant of tonight breaks the rules of tiers.
{{ broken_keys(
    ref('mart_member_tiers'),
    key=['member_key'],
    references=[
        {'column': 'member_key', 'to': ref('dim_members'), 'field': 'member_key'},
    ],
) }}
union all
select
    'mart_member_tiers: a grant takes a member down too early or by more than one' as violation,
    count(*) as violation_count
from {{ ref('mart_member_tiers') }}
where
    is_granted_tonight
    and (
        (tier_level < previous_level and grant_reason <> 'downgrade_at_expiry')
        or tier_level < previous_level - 1
    )
having count(*) > 0
