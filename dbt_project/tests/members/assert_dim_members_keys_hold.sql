-- A member appears once.
{{ broken_keys(
    ref('dim_members'),
    key=['member_key'],
    touched=(ref('int_members__touched'), 'member_key'),
) }}
