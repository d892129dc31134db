{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'file__coupons') }}
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
        records.coupon_id,
        records.campaign_id,
        records.name as coupon_name,
        {{ parse_amount('records.face_amount') }} as face_amount,
        {{ parse_amount('records.threshold_amount') }} as threshold_amount,
        try_cast(records.valid_from as date) as valid_from_date,
        try_cast(records.valid_to as date) as valid_to_date,
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
    {{ shop_key('coupon_id') }} as coupon_key,
    coupon_id,
    case when campaign_id is not null then {{ shop_key('campaign_id') }} end as campaign_key,
    campaign_id,
    coupon_name,
    face_amount,
    threshold_amount,
    valid_from_date,
    valid_to_date,
    'file' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
