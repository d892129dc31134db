{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'file__store_services') }}
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
        records.service_id,
        records.order_id,
        records.line_id,
        records.kind,
        records.store_id,
        {{ parse_instant('records.occurred_at', 'run_shops.zone') }} as occurred_at,
        records.refund_id,
        records.replacement_order_id,
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
    {{ shop_key('service_id') }} as store_service_key,
    service_id,
    {{ shop_key('order_id') }} as order_key,
    order_id,
    line_id,
    kind,
    store_id,
    occurred_at,
    case when refund_id is not null then {{ shop_key('refund_id') }} end as refund_key,
    refund_id,
    case when replacement_order_id is not null then {{ shop_key('replacement_order_id') }} end
        as replacement_order_key,
    replacement_order_id,
    'file' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
