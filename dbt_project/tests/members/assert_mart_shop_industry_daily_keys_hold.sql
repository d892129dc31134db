-- A figure of a category has one average a day.
{{ broken_keys(
    ref('mart_shop_industry_daily'),
    key=['brand', 'platform', 'shop', 'day_date', 'category', 'figure'],
) }}
