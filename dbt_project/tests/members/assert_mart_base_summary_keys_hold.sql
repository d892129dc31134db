-- A group's figure stands once.
{{ broken_keys(
    ref('mart_base_summary'),
    key=['brand', 'platform', 'shop', 'customer_group', 'figure']
) }}
