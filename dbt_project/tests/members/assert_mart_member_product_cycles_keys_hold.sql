-- A member has one due date for a product group, and is known.
{{ broken_keys(
    ref('mart_member_product_cycles'),
    key=['member_key', 'product_group'],
    touched=(ref('int_members__cycles_touched'), 'member_key'),
    references=[
        {'column': 'member_key', 'to': ref('dim_members'), 'field': 'member_key'},
    ],
) }}
