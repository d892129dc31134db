-- A product appears once.
{{ broken_keys(
    ref('dim_products'),
    key=['product_key'],
    touched=(ref('int_products__touched'), 'product_key'),
) }}
