-- A customer has an identifier once, and belongs to the member that the bridge says.
{{ broken_keys(
    ref('dim_member_links'),
    key=['customer_key', 'identifier_key'],
    touched=(ref('int_customers__touched'), 'customer_key'),
    references=[
        {'column': 'customer_key', 'to': ref('dim_member_identities'), 'field': 'customer_key'},
        {'column': 'member_key', 'to': ref('dim_member_identities'), 'field': 'founded_member_key'},
    ],
) }}
