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

parsed as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        tid as order_id,
        ouid,
        {{ parse_instant('created', "'Asia/Shanghai'") }} as seen_at,
        _batch_id,
        _line,
        _extracted_at
    from reviews
    where ouid is not null
)

select
    brand,
    platform,
    shop,
    {{ shop_key('order_id') }} as order_key,
    'ouid' as field,
    ouid as native_id,
    seen_at,
    'taobao_top' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
