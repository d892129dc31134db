{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with refunds as (
    select *
    from {{ source('raw', 'exports__taobao_refunds') }}
    where {{ only_pending_batches() }}
),

parsed as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        refund_id,
        order_id,
        status as native_status,
        -- Without its own time a refund is asked for at the payment: not before it, at any rate.
        coalesce(
            {{ parse_instant('asked_at', "'Asia/Shanghai'") }},
            {{ parse_instant('order_paid_at', "'Asia/Shanghai'") }}
        ) as created_at,
        coalesce(
            {{ parse_instant('ended_at', "'Asia/Shanghai'") }},
            {{ parse_instant('settled_at', "'Asia/Shanghai'") }}
        ) as ended_at,
        {{ parse_amount('refund_amount') }} as refund_amount,
        reason,
        coalesce(is_return_goods in ('是', '需要', '需要退货', '退货退款'), false)
            as is_return_goods,
        _batch_id,
        _line,
        _extracted_at
    from refunds
),

-- A layout without refund numbers: the order's refunds in the order they were asked for.
numbered as (
    select
        *,
        row_number() over (
            partition by _batch_id, order_id
            order by
                created_at asc nulls last,
                refund_amount asc nulls last,
                _line asc nulls last
        ) as refund_no
    from parsed
),

identified as (
    select
        *,
        coalesce(refund_id, 'order:' || order_id || ':' || cast(refund_no as varchar))
            as known_refund_id
    from numbered
)

select
    brand,
    platform,
    shop,
    {{ shop_key('known_refund_id') }} as refund_key,
    known_refund_id as refund_id,
    {{ shop_key('order_id') }} as order_key,
    order_id,
    cast(null as varchar) as line_id,
    cast(null as varchar) as buyer_id,
    native_status,
    'taobao_export' as status_set,
    created_at,
    case when native_status = '退款成功' then ended_at end as refunded_at,
    greatest(created_at, ended_at) as modified_at,
    refund_amount,
    reason,
    is_return_goods,
    'exports' as record_source,
    _batch_id,
    _line,
    _extracted_at
from identified
