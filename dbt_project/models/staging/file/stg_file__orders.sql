{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'file__orders') }}
    where {{ only_pending_batches() }}
),

run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

parsed as (
    select
        records._brand as brand,
        records._platform as platform,
        records._shop as shop,
        records.order_id,
        records.buyer_id,
        records.status as native_status,
        {{ parse_instant('records.created_at', 'run_shops.zone') }} as created_at,
        {{ parse_instant('records.paid_at', 'run_shops.zone') }} as paid_at,
        {{ parse_instant('records.shipped_at', 'run_shops.zone') }} as shipped_at,
        {{ parse_instant('records.signed_at', 'run_shops.zone') }} as signed_at,
        {{ parse_instant('records.finished_at', 'run_shops.zone') }} as finished_at,
        {{ parse_instant('records.closed_at', 'run_shops.zone') }} as closed_at,
        {{ parse_instant('records.modified_at', 'run_shops.zone') }} as modified_at,
        records.currency,
        {{ parse_amount('records.goods_amount') }} as goods_amount,
        {{ parse_amount('records.discount_amount') }} as discount_amount,
        {{ parse_amount('records.shipping_amount') }} as shipping_amount,
        {{ parse_amount('records.paid_amount') }} as paid_amount,
        records.store_id,
        records.channel,
        try_cast(records.is_gift as boolean) as is_gift,
        try_cast(records.is_test as boolean) as is_test,
        records.payer_phone_ref,
        records.payer_phone_hash,
        records.payer_phone_masked,
        records.receiver_phone_ref,
        records.receiver_phone_hash,
        records.receiver_phone_masked,
        records._batch_id,
        records._line,
        records._extracted_at
    from records
    inner join run_shops
        on
            records._brand = run_shops.brand
            and records._platform = run_shops.platform
            and records._shop = run_shops.shop
)

select
    brand,
    platform,
    shop,
    {{ shop_key('order_id') }} as order_key,
    order_id,
    case when buyer_id is not null then {{ shop_key('buyer_id') }} end as customer_key,
    buyer_id,
    native_status,
    'canonical' as status_set,
    created_at,
    paid_at,
    shipped_at,
    signed_at,
    cast(null as timestamp) as ended_at,
    finished_at,
    closed_at,
    -- A version without a modification time is as young as the last thing it knows.
    coalesce(
        modified_at,
        greatest(created_at, paid_at, shipped_at, signed_at, finished_at, closed_at)
    ) as modified_at,
    currency,
    goods_amount,
    discount_amount,
    shipping_amount,
    paid_amount,
    store_id,
    channel,
    store_id is not null or channel is not null or is_gift is not null or is_test is not null
        as has_store_fields,
    coalesce(is_gift, false) as is_gift,
    coalesce(is_test, false) as is_test,
    payer_phone_ref,
    payer_phone_hash,
    payer_phone_masked,
    receiver_phone_ref,
    receiver_phone_hash,
    receiver_phone_masked,
    cast(null as varchar) as addressee_ref,
    'file' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
