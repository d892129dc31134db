{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'file__campaigns') }}
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
        records.campaign_id,
        records.name,
        records.campaign_type,
        records.channel,
        try_cast(records.started_on as date) as started_date,
        try_cast(records.ended_on as date) as ended_date,
        {{ parse_amount('records.cost_amount') }} as cost_amount,
        try_cast(records.holdout_share as decimal(9, 6)) as holdout_share,
        {{ parse_instant('records.modified_at', 'run_shops.zone') }} as modified_at,
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
    {{ shop_key('campaign_id') }} as campaign_key,
    campaign_id,
    name,
    campaign_type,
    channel,
    started_date,
    ended_date,
    cost_amount,
    holdout_share,
    modified_at,
    'file' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
