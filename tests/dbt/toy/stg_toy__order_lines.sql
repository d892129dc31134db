{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'toy__orders') }}
    where {{ only_pending_batches() }}
),

exploded as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        number as order_id,
        {{ parse_unix_seconds('changed') }} as modified_at,
        {{ explode('lines') }} as line,
        _batch_id,
        _line,
        _extracted_at
    from records
),

parsed as (
    select
        *,
        exploded.line.item as product_id,
        {{ parse_fen('exploded.line.cents') }} as paid_amount
    from exploded
)

select
    {{ shop_key('order_id') }} as order_key,
    cast(parsed.line.position as integer) as line_no,
    order_id || '-' || parsed.line.position as line_id,
    {{ shop_key('product_id') }} as product_key,
    product_id,
    cast(null as varchar) as sku_id,
    cast(null as varchar) as title,
    cast(1 as decimal(18, 3)) as quantity,
    paid_amount as list_price,
    paid_amount as goods_amount,
    cast(0 as decimal(18, 2)) as discount_amount,
    paid_amount,
    cast(null as varchar) as coupon_id,
    cast(null as varchar) as campaign_id,
    modified_at,
    'toy' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
