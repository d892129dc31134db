-- A line appears once; its order, customer and product are known.
{{ broken_keys(
    ref('fct_order_lines'),
    key=['order_key', 'line_no'],
    touched=(ref('int_orders__touched'), 'order_key'),
    references=[
        {'column': 'order_key', 'to': ref('fct_orders'), 'field': 'order_key'},
        {'column': 'customer_key', 'to': ref('dim_customers'), 'field': 'customer_key'},
        {'column': 'product_key', 'to': ref('dim_products'), 'field': 'product_key'},
    ],
) }}
