{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'toy__parcels') }}
    where {{ only_pending_batches() }}
),

parsed as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        number as order_id,
        {{ parse_unix_seconds('arrived') }} as event_at,
        _batch_id,
        _line,
        _extracted_at
    from records
)

select
    brand,
    platform,
    shop,
    {{ shop_key('order_id') }} as order_key,
    order_id,
    'in_city' as event,
    event_at,
    'toy' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
