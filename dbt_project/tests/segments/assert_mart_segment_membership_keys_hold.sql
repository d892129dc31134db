-- Nobody is twice in a segment on one day, and whoever is in one is a member.
{{ broken_keys(
    ref('mart_segment_membership'),
    key=['member_key', 'segment', 'entered_on'],
    touched=(ref('int_segments__changes'), 'member_key'),
    references=[
        {'column': 'member_key', 'to': ref('dim_members'), 'field': 'member_key'},
    ],
) }}
