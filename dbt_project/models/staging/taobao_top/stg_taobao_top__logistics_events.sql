{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with parcels as (
    select *
    from {{ source('raw', 'taobao_top__logistics') }}
    where {{ only_pending_batches() }}
),

exploded as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        tid as order_id,
        _batch_id,
        _line,
        _extracted_at,
        {{ explode('trace_list') }} as step
    from parcels
),

parsed as (
    select
        exploded.brand,
        exploded.platform,
        exploded.shop,
        exploded.order_id,
        upper(coalesce(exploded.step.action, '')) as action,
        coalesce(exploded.step.status_desc, '') as description,
        {{ parse_instant('exploded.step.status_time', "'Asia/Shanghai'") }} as event_at,
        exploded._batch_id,
        exploded._line,
        exploded._extracted_at
    from exploded
),

-- Carriers write both as they like, so the words for one step are many. That a parcel arrived says
-- not where: it is in the addressee's city for certain once it is out for delivery. A step that
-- says that something did not happen has not happened.
named as (
    select
        *,
        case
            when
                action like '%FAIL%' or action like '%REFUSE%' or action like '%REJECT%'
                or description like '%拒%' or description like '%未签收%'
                or description like '%失败%' or description like '%退回%'
                then 'failed'
            when action like '%SIGN%' or description like '%已签收%' then 'signed'
            when
                action like '%DELIVER%' or action like 'SENT_%'
                or description like '%派送%' or description like '%派件%'
                or description like '%所在城市%' or description like '%目的地%'
                then 'in_city'
            when action like '%ARRIV%' then 'arrived'
            when action like '%DEPART%' then 'departed'
            when action like '%ACCEPT%' or action like '%GOT%' or description like '%揽收%'
                then 'accepted'
            else 'other'
        end as event
    from parsed
)

select
    brand,
    platform,
    shop,
    {{ shop_key('order_id') }} as order_key,
    order_id,
    event,
    event_at,
    'taobao_top' as record_source,
    _batch_id,
    _line,
    _extracted_at
from named
