{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'file__products') }}
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
        records.product_id,
        records.title,
        records.product_group,
        records.category,
        records.brand_name,
        {{ parse_amount('records.cost_amount') }} as cost_amount,
        {{ parse_amount('records.list_price') }} as list_price,
        try_cast(records.cycle_days as integer) as cycle_days,
        records.repurchase,
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
    {{ shop_key('product_id') }} as product_key,
    product_id,
    title,
    product_group,
    category,
    brand_name,
    cost_amount,
    list_price,
    cycle_days,
    repurchase,
    modified_at,
    'file' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
