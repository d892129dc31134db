-- An order appears once and its customer is known.
{{ broken_keys(
    ref('fct_orders'),
    key=['order_key'],
    touched=(ref('int_orders__touched'), 'order_key'),
    references=[
        {'column': 'customer_key', 'to': ref('dim_customers'), 'field': 'customer_key'},
    ],
) }}
