-- An order appears once and its customer is known; a mark set by hand says what it means.
{{ broken_keys(
    ref('fct_orders'),
    key=['order_key'],
    touched=(ref('int_orders__touched'), 'order_key'),
    references=[
        {'column': 'customer_key', 'to': ref('dim_customers'), 'field': 'customer_key'},
    ],
) }}
union all
select
    'order_flags: subject, flag, valid_from or reason of a row is missing or unknown' as violation,
    count(*) as violation_count
from {{ ref('order_flags') }}
where
    coalesce(subject, '') not in ('order', 'buyer')
    or {{ flag_rank('flag') }} is null
    or native_id is null
    or reason is null
    or valid_from is null
having count(*) > 0
