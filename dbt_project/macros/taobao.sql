{#- Records of Taobao, whose shape is the same from the API and from the push database. -#}

{#- Taobao's trades, however they came: the API and the push database give one record. ``trades`` is
    the raw table. Amounts are yuan. total_fee is list price x number over the lines; payment is
    what the buyer pays, postage (post_fee) included. What lies between has several names that
    overlap (discount_fee, adjust_fee, promotions, the platform's coupons): the discount closes the
    sum. -#}
{% macro taobao_orders(trades, record_source) -%}
with trades as (
    select *
    from {{ trades }}
    where {{ only_pending_batches() }}
),

-- The platform's wall clock is GMT+8 for every shop, whatever zone the shop itself keeps.
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
    '{{ record_source }}' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
{%- endmacro %}

{#- A row for each sub-order of Taobao's trades; ``trades`` is the raw table. -#}
{% macro taobao_order_lines(trades, record_source) -%}
with trades as (
    select *
    from {{ trades }}
    where {{ only_pending_batches() }}
),

exploded as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        tid as order_id,
        coalesce(
            {{ parse_instant('modified', "'Asia/Shanghai'") }},
            {{ parse_instant('created', "'Asia/Shanghai'") }}
        ) as modified_at,
        coalesce({{ parse_amount('post_fee') }}, 0) as shipping_amount,
        _batch_id,
        _line,
        _extracted_at,
        {{ explode('orders') }} as suborder
    from trades
),

parsed as (
    select
        exploded.brand,
        exploded.platform,
        exploded.shop,
        exploded.order_id,
        exploded.modified_at,
        exploded.shipping_amount,
        exploded.suborder.oid as line_id,
        coalesce(exploded.suborder.num_iid, 'unknown') as product_id,
        exploded.suborder.sku_id,
        exploded.suborder.title,
        {{ parse_quantity('exploded.suborder.num') }} as quantity,
        {{ parse_amount('exploded.suborder.price') }} as list_price,
        {{ parse_amount('exploded.suborder.payment') }} as payment,
        {{ parse_amount('exploded.suborder.divide_order_fee') }} as divided_payment,
        coalesce({{ parse_amount('exploded.suborder.part_mjz_discount') }}, 0) as promotion_share,
        exploded._batch_id,
        exploded._line,
        exploded._extracted_at
    from exploded
),

numbered as (
    select
        *,
        {{ line_no_by_id() }} as line_no,
        count(*) over (partition by _batch_id, _line) as line_count,
        cast(list_price * quantity as decimal(18, 2)) as goods_amount
    from parsed
),

-- divide_order_fee is what was paid for the line after every promotion was shared out, without
-- postage: these add up to the trade's payment less post_fee. Where it is absent, a single
-- sub-order's payment includes the postage, and several leave their promotion's share to take off.
paid as (
    select
        *,
        cast(coalesce(
            divided_payment,
            payment - case when line_count = 1 then shipping_amount else promotion_share end
        ) as decimal(18, 2)) as paid_amount
    from numbered
)

-- What a line shares with its order (shop, order id) stays with the order.
select
    {{ shop_key('order_id') }} as order_key,
    cast(line_no as integer) as line_no,
    line_id,
    {{ shop_key('product_id') }} as product_key,
    product_id,
    sku_id,
    title,
    quantity,
    list_price,
    goods_amount,
    cast(goods_amount - paid_amount as decimal(18, 2)) as discount_amount,
    paid_amount,
    -- The platform names neither the coupon nor the campaign behind a line's discount.
    cast(null as varchar) as coupon_id,
    cast(null as varchar) as campaign_id,
    modified_at,
    '{{ record_source }}' as record_source,
    _batch_id,
    _line,
    _extracted_at
from paid
{%- endmacro %}

{#- Taobao's refunds; ``refunds`` is the raw table. -#}
{% macro taobao_refunds(refunds, record_source) -%}
with refunds as (
    select *
    from {{ refunds }}
    where {{ only_pending_batches() }}
),

parsed as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        refund_id,
        tid as order_id,
        oid as line_id,
        buyer_open_uid as buyer_id,
        status as native_status,
        {{ parse_instant('created', "'Asia/Shanghai'") }} as created_at,
        {{ parse_instant('modified', "'Asia/Shanghai'") }} as modified_at,
        {{ parse_amount('refund_fee') }} as refund_amount,
        reason,
        {{ parse_flag('has_good_return') }} as is_return_goods,
        _batch_id,
        _line,
        _extracted_at
    from refunds
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
    'taobao' as status_set,
    created_at,
    -- The platform does not say when the money went back: see int_refunds__current.
    cast(null as timestamp) as refunded_at,
    coalesce(modified_at, created_at) as modified_at,
    refund_amount,
    reason,
    is_return_goods,
    '{{ record_source }}' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
{%- endmacro %}
