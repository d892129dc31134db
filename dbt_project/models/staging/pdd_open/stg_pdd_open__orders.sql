{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with orders as (
    select *
    from {{ source('raw', 'pdd_open__orders') }}
    where {{ only_pending_batches() }}
),

-- A deposit order tells its steps in a list of one; other orders have none.
exploded as (
    select
        orders._batch_id,
        orders._line,
        {{ explode('orders.step_order_info') }} as step
    from orders
),

steps as (
    select
        exploded._batch_id,
        exploded._line,
        max(exploded.step.step_trade_status) as step_trade_status
    from exploded
    group by exploded._batch_id, exploded._line
),

-- The platform's wall clock is GMT+8 for every shop, whatever zone the shop itself keeps.
parsed as (
    select
        orders._brand as brand,
        orders._platform as platform,
        orders._shop as shop,
        orders.order_sn as order_id,
        -- The platform tells of no buyer at all, only ciphertext of one order's addressee: every
        -- order is its own buyer's.
        cast(null as varchar) as buyer_id,
        orders.order_status,
        orders.refund_status,
        -- No order_status says "cancelled". A deal is called off by its own status or because its
        -- group failed; where a deal's status is not told, a time of the deal or payment tells it.
        case
            when orders.confirm_status = '2' or orders.group_status = '2' then '2'
            when orders.confirm_status is not null then orders.confirm_status
            when coalesce(orders.confirm_time, orders.pay_time) is not null then '1'
            else '0'
        end as deal_status,
        -- With a deposit alone nothing is paid that could be shipped.
        case
            when coalesce(steps.step_trade_status, '2') = '2'
                then {{ parse_instant('orders.pay_time', "'Asia/Shanghai'") }}
        end as paid_at,
        {{ parse_instant('orders.created_time', "'Asia/Shanghai'") }} as created_at,
        {{ parse_instant('orders.shipping_time', "'Asia/Shanghai'") }} as shipped_at,
        {{ parse_instant('orders.receive_time', "'Asia/Shanghai'") }} as received_at,
        {{ parse_instant('orders.updated_at', "'Asia/Shanghai'") }} as modified_at,
        {{ parse_amount('orders.goods_amount') }} as told_goods_amount,
        {{ parse_amount('orders.discount_amount') }} as told_discount_amount,
        coalesce({{ parse_amount('orders.postage') }}, 0) as shipping_amount,
        {{ parse_amount('orders.pay_amount') }} as paid_amount,
        orders.receiver_phone_ref,
        orders.receiver_phone_hash,
        coalesce(
            orders.receiver_phone_masked, orders.receiver_phone_mask_masked
        ) as receiver_phone_masked,
        orders._batch_id,
        orders._line,
        orders._extracted_at
    from orders
    left join steps
        on
            orders._batch_id = steps._batch_id
            and orders._line = steps._line
),

-- What the order costs adds up on the platform itself:
--   goods_amount (price x quantity less a change of the price) - discount_amount (of platform,
--   seller and group leader together) + postage = pay_amount.
-- The detail may add service fees to pay_amount, so the discount is what closes the sum.
added as (
    select
        *,
        cast(coalesce(
            told_goods_amount, paid_amount + coalesce(told_discount_amount, 0) - shipping_amount
        ) as decimal(18, 2)) as goods_amount
    from parsed
)

select
    brand,
    platform,
    shop,
    {{ shop_key('order_id') }} as order_key,
    order_id,
    case when buyer_id is not null then {{ shop_key('buyer_id') }} end as customer_key,
    buyer_id,
    -- order_status/deal/refund_status: each alone leaves open how the order stands.
    order_status || '/' || deal_status || '/' || refund_status as native_status,
    'pdd' as status_set,
    created_at,
    paid_at,
    shipped_at,
    received_at as signed_at,
    -- The buyer's confirmation ends a trade well. When one was called off, or refunded before
    -- shipping, the platform does not say: at the latest when that version was written.
    case
        when deal_status = '2' then modified_at
        when order_status = '3' then received_at
        when order_status = '1' and deal_status = '1' and refund_status = '4' then modified_at
    end as ended_at,
    cast(null as timestamp) as finished_at,
    cast(null as timestamp) as closed_at,
    coalesce(modified_at, created_at) as modified_at,
    'CNY' as currency,
    goods_amount,
    cast(goods_amount + shipping_amount - paid_amount as decimal(18, 2)) as discount_amount,
    cast(shipping_amount as decimal(18, 2)) as shipping_amount,
    paid_amount,
    cast(null as varchar) as store_id,
    cast(null as varchar) as channel,
    false as has_store_fields,
    false as is_gift,
    false as is_test,
    cast(null as varchar) as payer_phone_ref,
    cast(null as varchar) as payer_phone_hash,
    cast(null as varchar) as payer_phone_masked,
    receiver_phone_ref,
    receiver_phone_hash,
    receiver_phone_masked,
    cast(null as varchar) as addressee_ref,
    'pdd_open' as record_source,
    _batch_id,
    _line,
    _extracted_at
from added
