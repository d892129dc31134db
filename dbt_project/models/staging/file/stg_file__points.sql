{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'file__points') }}
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
        records.entry_id,
        records.buyer_id,
        records.kind,
        try_cast(records.points as integer) as point_count,
        {{ parse_instant('records.occurred_at', 'run_shops.zone') }} as occurred_at,
        records.order_id,
        {{ parse_instant('records.expires_at', 'run_shops.zone') }} as expires_at,
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
    {{ shop_key('entry_id') }} as points_entry_key,
    entry_id,
    {{ shop_key('buyer_id') }} as customer_key,
    buyer_id,
    kind,
    point_count,
    occurred_at,
    case when order_id is not null then {{ shop_key('order_id') }} end as order_key,
    order_id,
    expires_at,
    'file' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
