{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'file__reviews') }}
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
        records.review_id,
        records.order_id,
        records.buyer_id,
        records.product_id,
        records.result,
        records.content,
        try_cast(records.photo_count as integer) as photo_count,
        {{ parse_instant('records.created_at', 'run_shops.zone') }} as created_at,
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
    {{ shop_key('review_id') }} as review_key,
    review_id,
    {{ shop_key('order_id') }} as order_key,
    order_id,
    {{ shop_key('buyer_id') }} as customer_key,
    buyer_id,
    case when product_id is not null then {{ shop_key('product_id') }} end as product_key,
    product_id,
    result,
    content,
    photo_count,
    created_at,
    'file' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
