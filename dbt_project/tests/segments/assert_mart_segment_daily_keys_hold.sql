-- A segment is counted once a day, by the version in force.
{{ broken_keys(ref('mart_segment_daily'), key=['segment', 'day_date']) }}
