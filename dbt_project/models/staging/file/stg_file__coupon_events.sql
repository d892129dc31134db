{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'file__coupon_events') }}
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
        records.event_id,
        records.coupon_id,
        records.buyer_id,
        records.event,
        {{ parse_instant('records.occurred_at', 'run_shops.zone') }} as occurred_at,
        records.order_id,
        records.campaign_id,
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
    {{ shop_key('event_id') }} as coupon_event_key,
    event_id,
    coupon_id,
    case when buyer_id is not null then {{ shop_key('buyer_id') }} end as customer_key,
    buyer_id,
    event,
    occurred_at,
    case when order_id is not null then {{ shop_key('order_id') }} end as order_key,
    order_id,
    case when campaign_id is not null then {{ shop_key('campaign_id') }} end as campaign_key,
    campaign_id,
    'file' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
