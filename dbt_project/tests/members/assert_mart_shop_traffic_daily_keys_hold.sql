-- A shop has one row a day.
{{ broken_keys(ref('mart_shop_traffic_daily'), key=['brand', 'platform', 'shop', 'day_date']) }}
