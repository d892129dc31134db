{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'file__agent_contacts') }}
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
        records.contact_id,
        records.buyer_id,
        records.order_id,
        records.agent,
        {{ parse_instant('records.contacted_at', 'run_shops.zone') }} as contacted_at,
        records.kind,
        records.outcome,
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
    {{ shop_key('contact_id') }} as agent_contact_key,
    contact_id,
    {{ shop_key('buyer_id') }} as customer_key,
    buyer_id,
    case when order_id is not null then {{ shop_key('order_id') }} end as order_key,
    order_id,
    agent,
    contacted_at,
    kind,
    outcome,
    'file' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
