-- A cohort is looked at once at each horizon.
{{ broken_keys(
    ref('mart_one_time_buyers'), key=['brand', 'cohort_start_date', 'horizon_days']
) }}
