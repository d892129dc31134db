{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'file__platform_totals') }}
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
        try_cast(records.date as date) as report_date,
        try_cast(records.created_order_count as integer) as created_order_count,
        try_cast(records.paid_order_count as integer) as paid_order_count,
        {{ parse_amount('records.paid_amount') }} as paid_amount,
        try_cast(records.refund_count as integer) as refund_count,
        {{ parse_amount('records.refund_amount') }} as refund_amount,
        coalesce(records.currency, run_shops.currency) as currency,
        {{ parse_instant('records.exported_at', 'run_shops.zone') }} as exported_at,
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
    report_date,
    created_order_count,
    paid_order_count,
    paid_amount,
    refund_count,
    refund_amount,
    currency,
    exported_at,
    'file' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
