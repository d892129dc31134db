{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'jd_jos__orders') }}
    where {{ only_pending_batches() }}
),

coupons as (
    select
        _batch_id,
        _line,
        {{ explode('coupondetaillist') }} as coupon
    from records
),

-- A gift card (52) is the buyer's money, bought before, as the account's balance is; every other
-- coupon makes the order cheaper.
gift_cards as (
    select
        coupons._batch_id,
        coupons._line,
        sum({{ parse_amount('coupons.coupon.couponprice') }}) as gift_card_amount
    from coupons
    where coupons.coupon.coupontype = '52' or coupons.coupon.coupontype like '52-%'
    group by coupons._batch_id, coupons._line
),

-- The platform's wall clock is GMT+8 for every shop, whatever zone the shop itself keeps. The years
-- 1 and 1970 stand for an instant that has not come.
parsed as (
    select
        records._brand as brand,
        records._platform as platform,
        records._shop as shop,
        records.orderid as order_id,
        -- Of an app's own id and the merchant's, the app's: newer apps always get it.
        coalesce(records.open_id_buyer, records.xid_buyer) as buyer_id,
        records.orderstate as native_status,
        {{ parse_instant('records.orderstarttime', "'Asia/Shanghai'") }} as created_at,
        case
            when left(records.paymentconfirmtime, 4) not in ('0001', '1970')
                then {{ parse_instant('records.paymentconfirmtime', "'Asia/Shanghai'") }}
        end as paid_at,
        case
            when left(records.orderendtime, 4) not in ('0001', '1970')
                then {{ parse_instant('records.orderendtime', "'Asia/Shanghai'") }}
        end as ended_at,
        {{ parse_instant('records.modified', "'Asia/Shanghai'") }} as modified_at,
        {{ parse_amount('records.ordertotalprice') }} as goods_amount,
        coalesce({{ parse_amount('records.freightprice') }}, 0)
        + coalesce({{ parse_amount('records.servicefee') }}, 0)
        + coalesce({{ parse_amount('records.taxfee') }}, 0) as charged_amount,
        cast(
            {{ parse_amount('records.orderpayment') }}
            + coalesce({{ parse_amount('records.balanceused') }}, 0)
            + coalesce(gift_cards.gift_card_amount, 0)
            as decimal(18, 2)
        ) as paid_amount,
        nullif(records.storeid, '0') as store_id,
        records.mobile_ref as receiver_phone_ref,
        records.mobile_hash as receiver_phone_hash,
        records.mobile_masked as receiver_phone_masked,
        records._batch_id,
        records._line,
        records._extracted_at
    from records
    left join gift_cards
        on records._batch_id = gift_cards._batch_id and records._line = gift_cards._line
),

-- orderPayment = orderTotalPrice - sellerDiscount - coupons - balanceUsed + freight + service fee
-- + tax. What the buyer pays is that, the balance and gift cards. Where coupons cover more than
-- the goods they cover the charges, too: a line is never paid less than nothing.
added_up as (
    select
        *,
        cast(least(charged_amount, paid_amount) as decimal(18, 2)) as shipping_amount
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
    native_status,
    'jd' as status_set,
    created_at,
    paid_at,
    -- The platform tells neither when an order was shipped nor when it was signed for.
    cast(null as timestamp) as shipped_at,
    cast(null as timestamp) as signed_at,
    ended_at,
    cast(null as timestamp) as finished_at,
    cast(null as timestamp) as closed_at,
    coalesce(modified_at, created_at) as modified_at,
    'CNY' as currency,
    goods_amount,
    cast(goods_amount + shipping_amount - paid_amount as decimal(18, 2)) as discount_amount,
    shipping_amount,
    paid_amount,
    store_id,
    cast(null as varchar) as channel,
    store_id is not null as has_store_fields,
    false as is_gift,
    false as is_test,
    cast(null as varchar) as payer_phone_ref,
    cast(null as varchar) as payer_phone_hash,
    cast(null as varchar) as payer_phone_masked,
    receiver_phone_ref,
    receiver_phone_hash,
    receiver_phone_masked,
    cast(null as varchar) as addressee_ref,
    'jd_jos' as record_source,
    _batch_id,
    _line,
    _extracted_at
from added_up
