-- A message appears once.
{{ broken_keys(
    ref('fct_campaign_sends'),
    key=['send_key'],
    touched=(ref('int_campaigns__touched'), 'customer_key'),
) }}
