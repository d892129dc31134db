{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'file__industry_daily') }}
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
        coalesce(records.category, 'all') as category,
        records.figure,
        try_cast(records.average as decimal(18, 4)) as industry_average,
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
    category,
    figure,
    industry_average,
    'file' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
