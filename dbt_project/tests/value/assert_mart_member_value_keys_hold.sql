-- A member is valued once per currency, and is known.
{{ broken_keys(
    ref('mart_member_value'),
    key=['member_key', 'currency'],
    touched=(ref('int_members__touched'), 'member_key'),
    references=[
        {'column': 'member_key', 'to': ref('dim_members'), 'field': 'member_key'},
    ],
) }}
