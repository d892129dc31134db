{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'file__sends') }}
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
        records.send_id,
        records.campaign_id,
        records.buyer_id,
        records.channel,
        {{ parse_instant('records.planned_at', 'run_shops.zone') }} as planned_at,
        {{ parse_instant('records.sent_at', 'run_shops.zone') }} as sent_at,
        records.status as native_status,
        records.coupon_id,
        {{ parse_amount('records.cost_amount') }} as cost_amount,
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
    {{ shop_key('send_id') }} as send_key,
    send_id,
    {{ shop_key('campaign_id') }} as campaign_key,
    campaign_id,
    {{ shop_key('buyer_id') }} as customer_key,
    buyer_id,
    channel,
    planned_at,
    sent_at,
    native_status,
    coupon_id,
    cost_amount,
    'file' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
