{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

-- How the platform's money adds up, in fen:
--   sum_amount = origin_amount * item_num, for each line;
--   order_amount = sum_amount of all lines + post_amount;
--   promotion_amount = promotion_shop + promotion_platform + promotion_talent amount, and what the
--   payment channel gives (promotion_pay_amount) stands beside it;
--   pay_amount = what the buyer pays after all of them.
-- Prices changed by hand, tax and insurance move pay_amount, too. So only its two ends are taken:
-- goods from the lines, paid from the order; the discount is what closes the sum, and is negative
-- where the buyer pays more than goods and shipping.

with records as (
    select *
    from {{ source('raw', 'doudian_open__orders') }}
    where {{ only_pending_batches() }}
),

exploded as (
    select
        records._batch_id,
        records._line,
        {{ explode('records.sku_order_list') }} as sku_order
    from records
),

of_lines as (
    select
        exploded._batch_id,
        exploded._line,
        coalesce(
            {{ parse_fen('exploded.sku_order.sum_amount') }},
            cast(
                {{ parse_fen('exploded.sku_order.origin_amount') }}
                * {{ parse_quantity('exploded.sku_order.item_num') }} as decimal(18, 2)
            )
        ) as goods_amount,
        {{ parse_unix_seconds('exploded.sku_order.logistics_receipt_time') }} as received_at,
        nullif(exploded.sku_order.store_id, '0') as store_id
    from exploded
),

summed as (
    select
        _batch_id,
        _line,
        cast(sum(goods_amount) as decimal(18, 2)) as goods_amount,
        -- Signed when the last line was received, and not before all of them were.
        case when count(*) = count(received_at) then max(received_at) end as signed_at,
        min(store_id) as store_id
    from of_lines
    group by _batch_id, _line
),

parsed as (
    select
        records._brand as brand,
        records._platform as platform,
        records._shop as shop,
        records.order_id,
        records.doudian_open_id as buyer_id,
        records.order_status as native_status,
        {{ parse_unix_seconds('records.create_time') }} as created_at,
        {{ parse_unix_seconds('records.pay_time') }} as paid_at,
        {{ parse_unix_seconds('records.ship_time') }} as shipped_at,
        summed.signed_at,
        {{ parse_unix_seconds('records.finish_time') }} as finished_at,
        {{ parse_unix_seconds('records.update_time') }} as modified_at,
        summed.goods_amount,
        -- Packing is paid for getting the goods, as postage is.
        cast(
            coalesce({{ parse_fen('records.post_amount') }}, 0)
            + coalesce({{ parse_fen('records.packing_amount') }}, 0) as decimal(18, 2)
        ) as shipping_amount,
        {{ parse_fen('records.pay_amount') }} as paid_amount,
        summed.store_id,
        records.post_tel_ref as receiver_phone_ref,
        records.post_tel_hash as receiver_phone_hash,
        coalesce(records.post_tel_masked, records.mask_post_tel_masked) as receiver_phone_masked,
        records._batch_id,
        records._line,
        records._extracted_at
    from records
    left join summed
        on
            records._batch_id = summed._batch_id
            and records._line = summed._line
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
    'doudian' as status_set,
    created_at,
    paid_at,
    shipped_at,
    signed_at,
    cast(null as timestamp) as ended_at,
    finished_at,
    -- The platform does not say when it was cancelled: it is the version's modification.
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
    'doudian_open' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
