{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'toy__refunds') }}
    where {{ only_pending_batches() }}
),

parsed as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        refund as refund_id,
        number as order_id,
        {{ parse_unix_seconds('given_back') }} as refunded_at,
        {{ parse_fen('cents') }} as refund_amount,
        _batch_id,
        _line,
        _extracted_at
    from records
)

select
    brand,
    platform,
    shop,
    {{ shop_key('refund_id') }} as refund_key,
    refund_id,
    {{ shop_key('order_id') }} as order_key,
    order_id,
    cast(null as varchar) as line_id,
    cast(null as varchar) as buyer_id,
    'succeeded' as native_status,
    'canonical' as status_set,
    refunded_at as created_at,
    refunded_at,
    refunded_at as modified_at,
    refund_amount,
    cast(null as varchar) as reason,
    false as is_return_goods,
    'toy' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
