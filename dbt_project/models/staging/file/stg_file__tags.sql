{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'file__tags') }}
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
        records.buyer_id,
        records.tag,
        records.value as tag_value,
        {{ parse_instant('records.tagged_at', 'run_shops.zone') }} as tagged_at,
        {{ parse_instant('records.removed_at', 'run_shops.zone') }} as removed_at,
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
    {{ generate_key([shop_key('buyer_id'), 'tag']) }} as tag_key,
    {{ shop_key('buyer_id') }} as customer_key,
    buyer_id,
    tag,
    tag_value,
    tagged_at,
    removed_at,
    'file' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
