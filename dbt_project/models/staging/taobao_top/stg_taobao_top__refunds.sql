{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with refunds as (
    select *
    from {{ source('raw', 'taobao_top__refunds') }}
    where {{ only_pending_batches() }}
),

parsed as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        refund_id,
        tid as order_id,
        oid as line_id,
        buyer_open_uid as buyer_id,
        status as native_status,
        {{ parse_instant('created', "'Asia/Shanghai'") }} as created_at,
        {{ parse_instant('modified', "'Asia/Shanghai'") }} as modified_at,
        {{ parse_amount('refund_fee') }} as refund_amount,
        reason,
        {{ parse_flag('has_good_return') }} as is_return_goods,
        _batch_id,
        _line,
        _extracted_at
    from refunds
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
    'taobao' as status_set,
    created_at,
    -- The platform does not say when the money went back: see int_refunds__current.
    cast(null as timestamp) as refunded_at,
    coalesce(modified_at, created_at) as modified_at,
    refund_amount,
    reason,
    is_return_goods,
    'taobao_top' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
