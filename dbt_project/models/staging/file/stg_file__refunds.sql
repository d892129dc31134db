{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'file__refunds') }}
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
        records.refund_id,
        records.order_id,
        records.line_id,
        records.buyer_id,
        records.status as native_status,
        {{ parse_instant('records.created_at', 'run_shops.zone') }} as created_at,
        {{ parse_instant('records.refunded_at', 'run_shops.zone') }} as refunded_at,
        {{ parse_instant('records.modified_at', 'run_shops.zone') }} as modified_at,
        {{ parse_amount('records.refund_amount') }} as refund_amount,
        records.reason,
        {{ parse_flag('records.is_return_goods') }} as is_return_goods,
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
    {{ shop_key('refund_id') }} as refund_key,
    refund_id,
    {{ shop_key('order_id') }} as order_key,
    order_id,
    line_id,
    buyer_id,
    native_status,
    'canonical' as status_set,
    created_at,
    refunded_at,
    coalesce(modified_at, greatest(created_at, refunded_at)) as modified_at,
    refund_amount,
    reason,
    is_return_goods,
    'file' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
