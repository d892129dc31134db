{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with orders as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        order_id,
        _batch_id,
        _line,
        _extracted_at
    from {{ source('raw', 'exports__pdd_orders') }}
    where
        {{ only_pending_batches() }}
        and coalesce(dealt_at, paid_at, grouped_at) is null
)

select
    brand,
    platform,
    shop,
    {{ shop_key('order_id') }} as order_key,
    order_id,
    {{ day_of_order_number('order_id') }} as created_at,
    'exports' as record_source,
    _batch_id,
    _line,
    _extracted_at
from orders
