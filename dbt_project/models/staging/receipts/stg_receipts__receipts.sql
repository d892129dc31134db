{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'receipts__reports') }}
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
        records.receipt_id,
        records.send_id,
        -- What a scanner or a proxy opened is told apart, not dropped.
        case
            when records.is_machine = 'true' then 'machine_' || records.event
            else records.event
        end as event,
        {{ parse_instant('records.occurred_at', 'run_shops.zone') }} as occurred_at,
        records.code,
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
    {{ shop_key('receipt_id') }} as receipt_key,
    receipt_id,
    {{ shop_key('send_id') }} as send_key,
    send_id,
    event,
    occurred_at,
    code,
    'receipts' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
