-- A member keeps an occasion once.
{{ broken_keys(
    ref('mart_member_occasions'),
    key=['member_key', 'occasion_code'],
    references=[
        {'column': 'member_key', 'to': ref('dim_members'), 'field': 'member_key'},
    ],
) }}
