-- A customer appears once and belongs to a member.
{{ broken_keys(
    ref('dim_customers'),
    key=['customer_key'],
    touched=(ref('int_customers__touched'), 'customer_key'),
    references=[
        {'column': 'customer_key', 'to': ref('dim_member_identities'), 'field': 'customer_key'},
    ],
) }}
