-- A member keeps an occasion once: under one code, and no day of it under two.
{{ broken_keys(
    ref('mart_member_occasions'),
    key=['member_key', 'occasion_code'],
    references=[
        {'column': 'member_key', 'to': ref('dim_members'), 'field': 'member_key'},
    ],
) }}
union all
select
    'mart_member_occasions: a day has two codes of one occasion' as violation,
    count(*) as violation_count
from (
    select
        member_key,
        occasion,
        occasion_date
    from checked
    group by member_key, occasion, occasion_date
    having count(*) > 1
) as repeated_days
having count(*) > 0
