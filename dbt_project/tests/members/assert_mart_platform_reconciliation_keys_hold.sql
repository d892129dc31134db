-- A shop's day is compared once.
{{ broken_keys(
    ref('mart_platform_reconciliation'),
    key=['brand', 'platform', 'shop', 'report_date'],
) }}
