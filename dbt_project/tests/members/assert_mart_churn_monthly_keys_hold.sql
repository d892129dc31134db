-- A month has one row.
{{ broken_keys(ref('mart_churn_monthly'), key=['brand', 'month_start_date']) }}
