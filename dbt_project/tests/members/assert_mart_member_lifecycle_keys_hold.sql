-- A member stands in one cell, and is known.
{{ broken_keys(
    ref('mart_member_lifecycle'),
    key=['member_key'],
    touched=(ref('int_members__stage_changes'), 'member_key'),
    references=[
        {'column': 'member_key', 'to': ref('dim_members'), 'field': 'member_key'},
    ],
) }}
