-- A bucket of a version and horizon stands once.
{{ broken_keys(
    ref('mart_value_calibration'),
    key=['brand', 'currency', 'model_version', 'horizon_days', 'bucket_kind', 'bucket'],
) }}
