-- A member is scored once, and stands in the lifecycle.
{{ broken_keys(
    ref('mart_member_rfm'),
    key=['member_key'],
    touched=(ref('int_members__touched'), 'member_key'),
    references=[
        {'column': 'member_key', 'to': ref('mart_member_lifecycle'), 'field': 'member_key'},
    ],
) }}
