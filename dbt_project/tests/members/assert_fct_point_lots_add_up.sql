-- A lot appears once, belongs to a known member, and its points are all accounted for.
{{ broken_keys(
    ref('fct_point_lots'),
    key=['lot_key'],
    touched=(ref('int_points__touched'), 'member_key'),
    references=[
        {'column': 'member_key', 'to': ref('dim_members'), 'field': 'member_key'},
    ],
) }}
union all
select
    'fct_point_lots: points of a lot are lost or found' as violation,
    count(*) as violation_count
from checked
where
    remaining_count < 0
    or debt_count < 0
    or point_count
    <> redeemed_count + reversed_count + booked_expired_count + adjusted_count + repaid_count
    + remaining_count
having count(*) > 0
