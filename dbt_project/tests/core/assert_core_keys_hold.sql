-- The keys of this subject's models, in one query: each node costs a night sixty milliseconds.
{{ all_hold([
    broken_keys(
        ref('dim_customers'),
        key=['customer_key'],
        touched=(ref('int_customers__touched'), 'customer_key'),
        references=[
            {'column': 'customer_key', 'to': ref('dim_member_identities'), 'field': 'customer_key'},
        ],
    ),
    broken_keys(
        ref('dim_field_availability'),
        key=['record_source', 'platform', 'entity', 'field'],
    ),
    broken_keys(
        ref('dim_member_identities'),
        key=['customer_key'],
        touched=(ref('int_customers__touched'), 'customer_key'),
        references=[
            {'column': 'customer_key', 'to': ref('dim_customers'), 'field': 'customer_key'},
        ],
    ),
    broken_keys(
        ref('dim_member_links'),
        key=['customer_key', 'identifier_key'],
        touched=(ref('int_customers__touched'), 'customer_key'),
        references=[
            {'column': 'customer_key', 'to': ref('dim_member_identities'), 'field': 'customer_key'},
            {'column': 'member_key', 'to': ref('dim_member_identities'), 'field': 'founded_member_key'},
        ],
    ),
    broken_keys(
        ref('dim_products'),
        key=['product_key'],
        touched=(ref('int_products__touched'), 'product_key'),
    ),
    broken_keys(
        ref('fct_order_events'),
        key=['order_key', 'event'],
        touched=(ref('int_orders__touched'), 'order_key'),
        references=[
            {'column': 'order_key', 'to': ref('fct_orders'), 'field': 'order_key'},
            {'column': 'customer_key', 'to': ref('dim_customers'), 'field': 'customer_key'},
        ],
    ),
    broken_keys(
        ref('fct_order_lines'),
        key=['order_key', 'line_no'],
        touched=(ref('int_orders__touched'), 'order_key'),
        references=[
            {'column': 'order_key', 'to': ref('fct_orders'), 'field': 'order_key'},
            {'column': 'customer_key', 'to': ref('dim_customers'), 'field': 'customer_key'},
            {'column': 'product_key', 'to': ref('dim_products'), 'field': 'product_key'},
        ],
    ),
    broken_keys(
        ref('fct_refunds'),
        key=['refund_key'],
        touched=(ref('int_orders__touched'), 'order_key'),
        references=[
            {'column': 'order_key', 'to': ref('fct_orders'), 'field': 'order_key'},
            {'column': 'customer_key', 'to': ref('dim_customers'), 'field': 'customer_key'},
        ],
    ),
    broken_keys(
        ref('mart_store_daily'),
        key=['brand', 'platform', 'shop', 'store_id', 'day_date'],
    ),
]) }}
