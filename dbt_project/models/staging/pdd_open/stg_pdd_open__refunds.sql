{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with cases as (
    select *
    from {{ source('raw', 'pdd_open__refunds') }}
    where {{ only_pending_batches() }}
),

-- Exchanges, repairs and resent parcels are cases too; none of their statuses moves money.
parsed as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        id as refund_id,
        order_sn as order_id,
        coalesce(sku_id, goods_id) as line_id,
        after_sales_status as native_status,
        {{ parse_instant('created_time', "'Asia/Shanghai'") }} as created_at,
        {{ parse_instant('updated_time', "'Asia/Shanghai'") }} as modified_at,
        {{ parse_amount('refund_amount') }} as refund_amount,
        after_sale_reason as reason,
        coalesce(after_sales_type = '3', false) as is_return_goods,
        _batch_id,
        _line,
        _extracted_at
    from cases
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
    cast(null as varchar) as buyer_id,
    native_status,
    'pdd' as status_set,
    created_at,
    -- The platform does not say when the money went back: see int_refunds__current.
    cast(null as timestamp) as refunded_at,
    coalesce(modified_at, created_at) as modified_at,
    refund_amount,
    reason,
    is_return_goods,
    'pdd_open' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
