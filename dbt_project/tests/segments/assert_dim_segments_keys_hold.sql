-- A version of a segment stands once.
{{ broken_keys(ref('dim_segments'), key=['segment', 'version']) }}
