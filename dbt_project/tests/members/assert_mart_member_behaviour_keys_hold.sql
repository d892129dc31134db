-- A member buys in one way.
{{ broken_keys(
    ref('mart_member_behaviour'),
    key=['member_key'],
    touched=(ref('int_members__touched'), 'member_key'),
    references=[
        {'column': 'member_key', 'to': ref('dim_members'), 'field': 'member_key'},
    ],
) }}
