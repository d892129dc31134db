{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with taobao_rows as (
    select *
    from {{ source('raw', 'exports__taobao_orders') }}
    where {{ only_pending_batches() }}
),

jd_rows as (
    select *
    from {{ source('raw', 'exports__jd_orders') }}
    where {{ only_pending_batches() }}
),

pdd_rows as (
    select *
    from {{ source('raw', 'exports__pdd_orders') }}
    where {{ only_pending_batches() }}
),

douyin_rows as (
    select *
    from {{ source('raw', 'exports__douyin_orders') }}
    where {{ only_pending_batches() }}
),

taobao_parsed as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        order_id,
        status as native_status,
        {{ parse_instant('created_at', "'Asia/Shanghai'") }} as created_at,
        {{ parse_instant('paid_at', "'Asia/Shanghai'") }} as paid_at,
        {{ parse_instant('shipped_at', "'Asia/Shanghai'") }} as shipped_at,
        {{ parse_instant('confirmed_at', "'Asia/Shanghai'") }} as finished_at,
        {{ parse_amount('goods_amount') }} as goods_amount,
        {{ parse_amount('shipping_amount') }} as shipping_amount,
        {{ parse_amount('paid_amount') }} as paid_amount,
        {{ parse_amount('refund_amount') }} as refund_amount,
        coalesce(
            {{ parse_amount('total_amount') }},
            cast(
                {{ parse_amount('goods_amount') }} + {{ parse_amount('shipping_amount') }}
                as decimal(18, 2)
            )
        ) as total_amount,
        -- Either of the two may be given; token, hash and mask are of the same one.
        case when receiver_phone_masked is null then receiver_tel_ref else receiver_phone_ref end
            as receiver_phone_ref,
        case when receiver_phone_masked is null then receiver_tel_hash else receiver_phone_hash end
            as receiver_phone_hash,
        coalesce(receiver_phone_masked, receiver_tel_masked) as receiver_phone_masked,
        _batch_id,
        _line,
        _extracted_at
    from taobao_rows
),

-- A full refund leaves 交易关闭, as if nothing had been paid: the time of payment says it was.
-- The nickname is a contact and names nobody for good, so these reports know no buyer.
taobao_orders as (
    select
        brand,
        platform,
        shop,
        order_id,
        cast(null as varchar) as buyer_id,
        native_status,
        'taobao_export' as status_set,
        created_at,
        paid_at,
        shipped_at,
        cast(null as timestamp) as ended_at,
        finished_at,
        goods_amount,
        shipping_amount,
        {{ paid_before_refunds(
            'paid_amount', 'refund_amount', 'total_amount', 'paid_at', 'native_status'
        ) }} as paid_amount,
        receiver_phone_ref,
        receiver_phone_hash,
        receiver_phone_masked,
        _batch_id,
        _line,
        _extracted_at
    from taobao_parsed
),

jd_parsed as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        order_id,
        status,
        -- An account that the platform has masked is not one account.
        case when buyer_account not like '%*%' then buyer_account end as buyer_account,
        {{ parse_instant('created_at', "'Asia/Shanghai'") }} as created_at,
        {{ parse_instant('paid_at', "'Asia/Shanghai'") }} as paid_at,
        {{ parse_instant('finished_at', "'Asia/Shanghai'") }} as ended_at,
        {{ parse_amount('order_amount') }} as order_amount,
        {{ parse_amount('payable_amount') }} as payable_amount,
        {{ parse_amount('balance_amount') }} as balance_amount,
        {{ parse_amount('shipping_amount') }} as shipping_amount,
        {{ listed_amount() }} as line_goods_amount,
        receiver_phone_ref,
        receiver_phone_hash,
        receiver_phone_masked,
        _batch_id,
        _line,
        _extracted_at
    from jd_rows
),

-- 订单金额 is the goods before discounts; 应付金额 leaves out what the account's balance paid.
jd_orders as (
    select
        brand,
        platform,
        shop,
        order_id,
        min_by(buyer_account, _line) as buyer_id,
        min_by(status, _line) as native_status,
        'jd_export' as status_set,
        min(created_at) as created_at,
        min(paid_at) as paid_at,
        cast(null as timestamp) as shipped_at,
        max(ended_at) as ended_at,
        cast(null as timestamp) as finished_at,
        coalesce({{ told_once('order_amount') }}, sum(line_goods_amount)) as goods_amount,
        {{ told_once('shipping_amount') }} as shipping_amount,
        {{ told_once('payable_amount') }} + coalesce({{ told_once('balance_amount') }}, 0)
            as paid_amount,
        min_by(receiver_phone_ref, _line) as receiver_phone_ref,
        min_by(receiver_phone_hash, _line) as receiver_phone_hash,
        min_by(receiver_phone_masked, _line) as receiver_phone_masked,
        _batch_id,
        min(_line) as _line,
        _extracted_at
    from jd_parsed
    group by brand, platform, shop, order_id, _batch_id, _extracted_at
),

pdd_parsed as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        order_id,
        status as native_status,
        {{ parse_instant('dealt_at', "'Asia/Shanghai'") }} as dealt_at,
        {{ parse_instant('paid_at', "'Asia/Shanghai'") }} as paid_at,
        {{ parse_instant('grouped_at', "'Asia/Shanghai'") }} as grouped_at,
        {{ parse_instant('shipped_at', "'Asia/Shanghai'") }} as shipped_at,
        {{ parse_instant('confirmed_at', "'Asia/Shanghai'") }} as finished_at,
        {{ parse_amount('goods_amount') }} as goods_amount,
        {{ parse_amount('shipping_amount') }} as shipping_amount,
        {{ parse_amount('paid_amount') }} as paid_amount,
        receiver_phone_ref,
        receiver_phone_hash,
        receiver_phone_masked,
        _batch_id,
        _line,
        _extracted_at
    from pdd_rows
),

-- A deal is a paid order of a complete group. Without any of the three times the number tells the
-- day: stg_exports__dates_from_numbers lists those orders.
pdd_orders as (
    select
        brand,
        platform,
        shop,
        order_id,
        cast(null as varchar) as buyer_id,
        native_status,
        'pdd_export' as status_set,
        coalesce(least(dealt_at, paid_at, grouped_at), {{ day_of_order_number('order_id') }})
            as created_at,
        coalesce(paid_at, dealt_at, grouped_at) as paid_at,
        shipped_at,
        cast(null as timestamp) as ended_at,
        finished_at,
        goods_amount,
        shipping_amount,
        paid_amount,
        receiver_phone_ref,
        receiver_phone_hash,
        receiver_phone_masked,
        _batch_id,
        _line,
        _extracted_at
    from pdd_parsed
),

douyin_parsed as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        order_id,
        status,
        status <> '已关闭' as is_open,
        status in ('已发货', '已完成') as is_shipped,
        -- Nothing is shipped or given back that was not paid.
        shipped_at is not null or coalesce(after_sale_status like '%退款成功%', false) as was_paid,
        {{ parse_instant('created_at', "'Asia/Shanghai'") }} as created_at,
        {{ parse_instant('paid_at', "'Asia/Shanghai'") }} as paid_at,
        {{ parse_instant('shipped_at', "'Asia/Shanghai'") }} as shipped_at,
        {{ parse_instant('finished_at', "'Asia/Shanghai'") }} as ended_at,
        {{ listed_amount() }} as goods_amount,
        {{ paid_postage(parse_amount('shipping_amount'), parse_amount('payable_amount')) }}
            as shipping_amount,
        {{ parse_amount('payable_amount') }} as paid_amount,
        receiver_phone_ref,
        receiver_phone_hash,
        receiver_phone_masked,
        _batch_id,
        _line,
        _extracted_at
    from douyin_rows
),

-- An order is as far as the sub-orders that are still alive, and closed when none is.
douyin_orders as (
    select
        brand,
        platform,
        shop,
        order_id,
        cast(null as varchar) as buyer_id,
        case
            when not bool_or(is_open) and bool_or(was_paid) then '已关闭,退款成功'
            when not bool_or(is_open) then '已关闭'
            when bool_or(status = '待支付') then '待支付'
            when bool_and(status = '已完成' or not is_open) then '已完成'
            when bool_or(is_shipped) then '已发货'
            else '待发货'
        end as native_status,
        'douyin_export' as status_set,
        min(created_at) as created_at,
        min(paid_at) as paid_at,
        min(shipped_at) as shipped_at,
        max(ended_at) as ended_at,
        cast(null as timestamp) as finished_at,
        case when count(goods_amount) = count(*) then sum(goods_amount) end as goods_amount,
        sum(shipping_amount) as shipping_amount,
        sum(paid_amount) as paid_amount,
        min_by(receiver_phone_ref, _line) as receiver_phone_ref,
        min_by(receiver_phone_hash, _line) as receiver_phone_hash,
        min_by(receiver_phone_masked, _line) as receiver_phone_masked,
        _batch_id,
        min(_line) as _line,
        _extracted_at
    from douyin_parsed
    group by brand, platform, shop, order_id, _batch_id, _extracted_at
),

unioned as (
    select * from taobao_orders
    union all
    select * from jd_orders
    union all
    select * from pdd_orders
    union all
    select * from douyin_orders
),

settled as (
    select
        *,
        cast({{ paid_postage('shipping_amount', 'paid_amount') }} as decimal(18, 2))
            as paid_shipping_amount
    from unioned
)

select
    brand,
    platform,
    shop,
    {{ shop_key('order_id') }} as order_key,
    order_id,
    case when buyer_id is not null then {{ shop_key('buyer_id') }} end as customer_key,
    buyer_id,
    native_status,
    status_set,
    created_at,
    paid_at,
    shipped_at,
    cast(null as timestamp) as signed_at,
    ended_at,
    finished_at,
    cast(null as timestamp) as closed_at,
    -- Exports do not say when an order last changed: it is as young as the last thing they know.
    greatest(created_at, paid_at, shipped_at, ended_at, finished_at) as modified_at,
    'CNY' as currency,
    cast(goods_amount as decimal(18, 2)) as goods_amount,
    -- Whatever made the order cheaper, of the shop, the platform or the means of payment.
    cast(goods_amount + paid_shipping_amount - paid_amount as decimal(18, 2)) as discount_amount,
    paid_shipping_amount as shipping_amount,
    cast(paid_amount as decimal(18, 2)) as paid_amount,
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
    'exports' as record_source,
    _batch_id,
    _line,
    _extracted_at
from settled
