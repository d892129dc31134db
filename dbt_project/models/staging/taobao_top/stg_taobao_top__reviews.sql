{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with reviews as (
    select *
    from {{ source('raw', 'taobao_top__reviews') }}
    where {{ only_pending_batches() }}
),

-- A review has no id of its own: a buyer gives one per sub-order, and may change it.
parsed as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        oid as review_id,
        tid as order_id,
        num_iid as product_id,
        result,
        content,
        {{ parse_instant('created', "'Asia/Shanghai'") }} as created_at,
        _batch_id,
        _line,
        _extracted_at
    from reviews
)

select
    brand,
    platform,
    shop,
    {{ shop_key('review_id') }} as review_key,
    review_id,
    {{ shop_key('order_id') }} as order_key,
    order_id,
    -- The platform shows a nickname in stars and an id of another kind than on trades: the buyer is
    -- the order's.
    cast(null as uuid) as customer_key,
    cast(null as varchar) as buyer_id,
    case when product_id is not null then {{ shop_key('product_id') }} end as product_key,
    product_id,
    result,
    content,
    -- Photos are not among what the platform gives.
    cast(null as integer) as photo_count,
    created_at,
    'taobao_top' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
