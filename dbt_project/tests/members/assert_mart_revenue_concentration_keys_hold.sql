-- Each share of the buyers is looked at once.
{{ broken_keys(
    ref('mart_revenue_concentration'), key=['brand', 'currency', 'top_pct']
) }}
