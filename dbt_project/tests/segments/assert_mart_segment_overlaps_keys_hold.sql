-- A pair of segments is compared once.
{{ broken_keys(ref('mart_segment_overlaps'), key=['segment', 'other_segment']) }}
