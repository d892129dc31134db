-- A store's day appears once.
{{ broken_keys(
    ref('mart_store_daily'),
    key=['brand', 'platform', 'shop', 'store_id', 'day_date'],
) }}
