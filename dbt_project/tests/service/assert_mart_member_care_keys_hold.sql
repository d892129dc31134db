-- A member appears once and is known.
{{ broken_keys(
    ref('mart_member_care'),
    key=['member_key'],
    references=[
        {'column': 'member_key', 'to': ref('dim_members'), 'field': 'member_key'},
    ],
) }}
