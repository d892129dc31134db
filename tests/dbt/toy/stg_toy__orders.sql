{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'toy__orders') }}
    where {{ only_pending_batches() }}
),

-- The platform counts cents and seconds.
parsed as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        number as order_id,
        buyer as buyer_id,
        state as native_status,
        {{ parse_unix_seconds('bought') }} as created_at,
        {{ parse_unix_seconds('changed') }} as modified_at,
        {{ parse_fen('cents') }} as paid_amount,
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
    {{ shop_key('buyer_id') }} as customer_key,
    buyer_id,
    native_status,
    'canonical' as status_set,
    created_at,
    created_at as paid_at,
    cast(null as timestamp) as shipped_at,
    cast(null as timestamp) as signed_at,
    cast(null as timestamp) as ended_at,
    cast(null as timestamp) as finished_at,
    cast(null as timestamp) as closed_at,
    modified_at,
    cast(null as varchar) as currency,
    paid_amount as goods_amount,
    cast(0 as decimal(18, 2)) as discount_amount,
    cast(0 as decimal(18, 2)) as shipping_amount,
    paid_amount,
    cast(null as varchar) as store_id,
    cast(null as varchar) as channel,
    false as has_store_fields,
    false as is_gift,
    false as is_test,
    cast(null as varchar) as payer_phone_ref,
    cast(null as varchar) as payer_phone_hash,
    cast(null as varchar) as payer_phone_masked,
    cast(null as varchar) as receiver_phone_ref,
    cast(null as varchar) as receiver_phone_hash,
    cast(null as varchar) as receiver_phone_masked,
    cast(null as varchar) as addressee_ref,
    'toy' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
