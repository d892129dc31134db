-- An order goes through an event once; its order and customer are known.
{{ broken_keys(
    ref('fct_order_events'),
    key=['order_key', 'event'],
    touched=(ref('int_orders__touched'), 'order_key'),
    references=[
        {'column': 'order_key', 'to': ref('fct_orders'), 'field': 'order_key'},
        {'column': 'customer_key', 'to': ref('dim_customers'), 'field': 'customer_key'},
    ],
) }}
