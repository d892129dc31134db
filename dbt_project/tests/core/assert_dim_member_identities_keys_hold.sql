-- A customer belongs to one member and exists.
{{ broken_keys(
    ref('dim_member_identities'),
    key=['customer_key'],
    touched=(ref('int_customers__touched'), 'customer_key'),
    references=[
        {'column': 'customer_key', 'to': ref('dim_customers'), 'field': 'customer_key'},
    ],
) }}
