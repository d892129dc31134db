{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'doudian_open__refunds') }}
    where {{ only_pending_batches() }}
),

parsed as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        aftersale_id as refund_id,
        shop_order_id as order_id,
        -- A request may concern one line (type 1) or the whole order (type 2).
        case when aftersale_order_type = '1' then related_id end as line_id,
        aftersale_status,
        -- 3: done; 5: the platform had advanced the money and has taken it from the shop since.
        coalesce(refund_status in ('3', '5'), false) as is_refunded,
        refund_status,
        aftersale_type,
        {{ parse_unix_seconds('apply_time') }} as applied_at,
        {{ parse_unix_seconds('create_time') }} as created_at,
        {{ parse_unix_seconds('refund_time') }} as refunded_at,
        {{ parse_unix_seconds('update_time') }} as modified_at,
        {{ parse_fen('refund_amount') }} as requested_amount,
        {{ parse_fen('real_refund_amount') }} as real_amount,
        reason_text as reason,
        _batch_id,
        _line,
        _extracted_at
    from records
)

select
    brand,
    platform,
    shop,
    {{ shop_key('refund_id') }} as refund_key,
    refund_id,
    {{ shop_key('order_id') }} as order_key,
    order_id,
    line_id,
    cast(null as varchar) as buyer_id,
    -- Two enumerations say where it stands: whether money went back decides wherever it did, at
    -- once or before the goods returned; else the request's own status. An exchange, a resend or a
    -- repair that succeeds gives no money back.
    case
        when is_refunded then 'refund:' || refund_status
        when aftersale_type in ('3', '7', '8') and aftersale_status in ('12', '53')
            then 'exchange:' || aftersale_status
        else 'aftersale:' || aftersale_status
    end as native_status,
    'doudian' as status_set,
    coalesce(applied_at, created_at) as created_at,
    -- The platform hardly ever says when the money went back: it is the first version that says so.
    case when is_refunded then refunded_at end as refunded_at,
    coalesce(modified_at, applied_at, created_at) as modified_at,
    -- What was asked for, until something else really went back.
    case
        when is_refunded then coalesce(real_amount, requested_amount) else requested_amount
    end as refund_amount,
    reason,
    coalesce(aftersale_type = '0', false) as is_return_goods,
    'doudian_open' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
