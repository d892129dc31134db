{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'file__traffic') }}
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
        try_cast(records.date as date) as traffic_date,
        coalesce(records.channel, 'all') as channel,
        try_cast(records.visitors as integer) as visitor_count,
        try_cast(records.new_visitors as integer) as new_visitor_count,
        try_cast(records.returning_visitors as integer) as returning_visitor_count,
        try_cast(records.page_views as integer) as page_view_count,
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
    traffic_date,
    channel,
    visitor_count,
    new_visitor_count,
    returning_visitor_count,
    page_view_count,
    'file' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
