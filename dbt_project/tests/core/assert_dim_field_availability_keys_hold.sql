-- A field of a source on a platform has one row.
{{ broken_keys(
    ref('dim_field_availability'),
    key=['record_source', 'platform', 'entity', 'field'],
) }}
