-- A product group has one cycle.
{{ broken_keys(ref('mart_product_cycles'), key=['brand', 'product_group']) }}
