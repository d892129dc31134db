{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'shopify_admin__refunds') }}
    where {{ only_pending_batches() }}
),

transactions as (
    select
        _batch_id,
        _line,
        {{ explode('transactions') }} as deed
    from records
),

-- A refund has no state of its own: that of its transactions counts, the least finished first.
payouts as (
    select
        transactions._batch_id,
        transactions._line,
        transactions.deed.status as payout_status,
        case transactions.deed.status
            when 'PENDING' then 1
            when 'AWAITING_RESPONSE' then 2
            when 'UNKNOWN' then 3
            when 'SUCCESS' then 4
            when 'FAILURE' then 5
            else 6
        end as status_rank,
        {{ parse_instant('transactions.deed.processed_at', "'UTC'") }} as processed_at,
        {{ parse_amount('transactions.deed.amount_set') }} as amount
    from transactions
    where transactions.deed.kind = 'REFUND'
),

settled as (
    select
        _batch_id,
        _line,
        min_by(payout_status, status_rank) as native_status,
        max(case when payout_status = 'SUCCESS' then processed_at end) as paid_back_at,
        cast(
            sum(case when payout_status not in ('FAILURE', 'ERROR') then amount end)
            as decimal(18, 2)
        ) as moving_amount
    from payouts
    group by _batch_id, _line
),

refund_lines as (
    select
        _batch_id,
        _line,
        {{ explode('refund_line_items') }} as item
    from records
),

goods as (
    select
        refund_lines._batch_id,
        refund_lines._line,
        case when count(*) = 1 then max(refund_lines.item.line_item_id) end as line_id,
        max(case when refund_lines.item.restock_type = 'RETURN' then 1 else 0 end) as return_count
    from refund_lines
    group by refund_lines._batch_id, refund_lines._line
),

parsed as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        legacy_resource_id as refund_id,
        order_legacy_resource_id as order_id,
        order_customer_legacy_resource_id as buyer_id,
        {{ parse_instant('created_at', "'UTC'") }} as created_at,
        {{ parse_instant('processed_at', "'UTC'") }} as processed_at,
        {{ parse_instant('updated_at', "'UTC'") }} as updated_at,
        {{ parse_instant('order_updated_at', "'UTC'") }} as order_updated_at,
        {{ parse_amount('total_refunded_set') }} as refund_amount,
        note,
        _batch_id,
        _line,
        _extracted_at
    from records
),

joined as (
    select
        parsed.*,
        -- Goods may come back, or be taken off the order, without any money going back.
        coalesce(settled.native_status, 'NONE') as native_status,
        settled.paid_back_at,
        settled.moving_amount,
        goods.line_id,
        coalesce(goods.return_count, 0) > 0 as is_return_goods
    from parsed
    left join settled on parsed._batch_id = settled._batch_id and parsed._line = settled._line
    left join goods on parsed._batch_id = goods._batch_id and parsed._line = goods._line
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
    buyer_id,
    native_status,
    'shopify' as status_set,
    coalesce(created_at, processed_at) as created_at,
    case native_status
        when 'SUCCESS' then coalesce(paid_back_at, processed_at)
        when 'NONE' then processed_at
    end as refunded_at,
    -- A transaction that ends later updates the order and not always the refund.
    greatest(updated_at, coalesce(order_updated_at, updated_at)) as modified_at,
    -- Part of a refund may have failed; what failed altogether keeps the amount that was meant.
    coalesce(moving_amount, refund_amount) as refund_amount,
    note as reason,
    is_return_goods,
    'shopify_admin' as record_source,
    _batch_id,
    _line,
    _extracted_at
from joined
