{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with trades as (
    select *
    from {{ source('raw', 'taobao_rds__orders') }}
    where {{ only_pending_batches() }}
),

-- The platform's wall clock is GMT+8 for every shop, whatever zone the shop itself keeps.
-- Amounts are yuan. total_fee is list price x number over the lines; payment is what the buyer
-- pays, postage (post_fee) included. What lies between has several names that overlap
-- (discount_fee, adjust_fee, promotions, the platform's coupons): the discount closes the sum.
parsed as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        tid as order_id,
        buyer_open_uid as buyer_id,
        status as native_status,
        {{ parse_instant('created', "'Asia/Shanghai'") }} as created_at,
        {{ parse_instant('pay_time', "'Asia/Shanghai'") }} as paid_at,
        {{ parse_instant('consign_time', "'Asia/Shanghai'") }} as shipped_at,
        {{ parse_instant('sign_time', "'Asia/Shanghai'") }} as signed_at,
        {{ parse_instant('end_time', "'Asia/Shanghai'") }} as ended_at,
        {{ parse_instant('modified', "'Asia/Shanghai'") }} as modified_at,
        {{ parse_amount('total_fee') }} as goods_amount,
        coalesce({{ parse_amount('post_fee') }}, 0) as shipping_amount,
        {{ parse_amount('payment') }} as paid_amount,
        receiver_mobile_ref as receiver_phone_ref,
        receiver_mobile_hash as receiver_phone_hash,
        receiver_mobile_masked as receiver_phone_masked,
        oaid as addressee_ref,
        _batch_id,
        _line,
        _extracted_at
    from trades
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
    'taobao' as status_set,
    created_at,
    paid_at,
    shipped_at,
    signed_at,
    -- One instant for success and closing; the status says which.
    ended_at,
    cast(null as timestamp) as finished_at,
    cast(null as timestamp) as closed_at,
    coalesce(modified_at, created_at) as modified_at,
    cast(null as varchar) as currency,
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
    addressee_ref,
    'taobao_rds' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
