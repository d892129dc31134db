-- The keys of this subject's models, in one query: each node costs a night sixty milliseconds.
{{ all_hold([
    broken_keys(ref('dim_segments'), key=['segment', 'version']),
    broken_keys(ref('mart_segment_daily'), key=['segment', 'day_date']),
    broken_keys(
        ref('mart_segment_membership'),
        key=['member_key', 'segment', 'entered_on'],
        touched=(ref('int_segments__changes'), 'member_key'),
        references=[
            {'column': 'member_key', 'to': ref('dim_members'), 'field': 'member_key'},
        ],
    ),
    broken_keys(ref('mart_segment_overlaps'), key=['segment', 'other_segment']),
]) }}
