{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'shopify_admin__orders') }}
    where {{ only_pending_batches() }}
),

line_items as (
    select
        _batch_id,
        _line,
        {{ explode('line_items') }} as item
    from records
),

goods as (
    select
        line_items._batch_id,
        line_items._line,
        cast(
            sum({{ parse_amount('line_items.item.original_total_set') }}) as decimal(18, 2)
        ) as goods_amount
    from line_items
    group by line_items._batch_id, line_items._line
),

transactions as (
    select
        _batch_id,
        _line,
        {{ explode('transactions') }} as deed
    from records
),

-- Money that came: an authorisation only reserves it.
payments as (
    select
        transactions._batch_id,
        transactions._line,
        transactions.deed.id as transaction_id,
        {{ parse_instant('transactions.deed.processed_at', "'UTC'") }} as received_at,
        {{ parse_amount('transactions.deed.amount_set') }} as amount
    from transactions
    where
        transactions.deed.status = 'SUCCESS'
        and transactions.deed.kind in ('SALE', 'CAPTURE')
),

received as (
    select
        _batch_id,
        _line,
        received_at,
        sum(amount) over (
            partition by _batch_id, _line
            order by received_at asc nulls last, transaction_id asc nulls last
            rows between unbounded preceding and current row
        ) as received_amount
    from payments
),

fulfillments as (
    select
        _batch_id,
        _line,
        {{ explode('fulfillments') }} as parcel
    from records
),

-- A parcel that was called back has not left; the last one signed for ends the delivery.
deliveries as (
    select
        fulfillments._batch_id,
        fulfillments._line,
        min({{ parse_instant('fulfillments.parcel.created_at', "'UTC'") }}) as shipped_at,
        case
            when count(*) = count(fulfillments.parcel.delivered_at)
                then max({{ parse_instant('fulfillments.parcel.delivered_at', "'UTC'") }})
        end as signed_at
    from fulfillments
    where coalesce(fulfillments.parcel.status, 'SUCCESS') not in ('CANCELLED', 'ERROR', 'FAILURE')
    group by fulfillments._batch_id, fulfillments._line
),

-- All money is in the shop's currency; what the buyer saw in another one is left in raw.
parsed as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        legacy_resource_id as order_id,
        customer_legacy_resource_id as buyer_id,
        display_financial_status as financial_status,
        display_fulfillment_status as fulfillment_status,
        coalesce(
            display_financial_status in ('PAID', 'PARTIALLY_REFUNDED', 'REFUNDED'), false
        ) as is_settled,
        {{ parse_instant('created_at', "'UTC'") }} as created_at,
        {{ parse_instant('processed_at', "'UTC'") }} as processed_at,
        {{ parse_instant('cancelled_at', "'UTC'") }} as cancelled_at,
        {{ parse_instant('closed_at', "'UTC'") }} as archived_at,
        {{ parse_instant('updated_at', "'UTC'") }} as modified_at,
        currency_code as currency,
        {{ parse_amount('original_total_price_set') }} as original_amount,
        {{ parse_amount('total_price_set') }} as paid_amount,
        coalesce({{ parse_amount('total_shipping_price_set') }}, 0) as shipping_amount,
        retail_location_legacy_resource_id as store_id,
        source_name as channel,
        {{ parse_flag('test') }} as is_test,
        phone_ref,
        phone_hash,
        phone_masked,
        customer_default_phone_number_phone_number_ref as customer_phone_ref,
        customer_default_phone_number_phone_number_hash as customer_phone_hash,
        customer_default_phone_number_phone_number_masked as customer_phone_masked,
        shipping_address_phone_ref as receiver_phone_ref,
        shipping_address_phone_hash as receiver_phone_hash,
        shipping_address_phone_masked as receiver_phone_masked,
        _batch_id,
        _line,
        _extracted_at
    from records
),

-- Paid is the moment at which what had come reached the total, as ordered or as edited since. An
-- order that counts as paid although its transactions do not say so (a free one, cash rounded to
-- the coin) was paid with the last of them, or when it was processed.
paid as (
    select
        parsed._batch_id,
        parsed._line,
        min(case
            when received.received_amount >= least(parsed.original_amount, parsed.paid_amount)
                then received.received_at
        end) as reached_at,
        max(received.received_at) as last_received_at
    from parsed
    inner join received
        on parsed._batch_id = received._batch_id and parsed._line = received._line
    group by parsed._batch_id, parsed._line
)

select
    parsed.brand,
    parsed.platform,
    parsed.shop,
    {{ shop_key('parsed.order_id', 'parsed') }} as order_key,
    parsed.order_id,
    case
        when parsed.buyer_id is not null then {{ shop_key('parsed.buyer_id', 'parsed') }}
    end as customer_key,
    parsed.buyer_id,
    -- Two states and two dates make one: what ended the order, else what was paid and sent.
    case
        when parsed.cancelled_at is not null then 'CANCELLED'
        when parsed.archived_at is not null and parsed.is_settled then 'CLOSED'
        else coalesce(parsed.financial_status, 'NONE') || '/' || parsed.fulfillment_status
    end as native_status,
    'shopify' as status_set,
    parsed.created_at,
    case
        when parsed.is_settled
            then coalesce(paid.reached_at, paid.last_received_at, parsed.processed_at)
        else paid.reached_at
    end as paid_at,
    deliveries.shipped_at,
    deliveries.signed_at,
    cast(null as timestamp) as ended_at,
    -- The platform archives an order when everything is sent and paid; archiving an unpaid one by
    -- hand finishes nothing.
    case
        when parsed.cancelled_at is null and parsed.is_settled then parsed.archived_at
    end as finished_at,
    parsed.cancelled_at as closed_at,
    parsed.modified_at,
    parsed.currency,
    goods.goods_amount,
    -- The total holds discounts, taxes that are not in the prices, tips and fees: what closes the
    -- sum is one figure, negative where they outweigh the discounts.
    cast(
        goods.goods_amount + parsed.shipping_amount - parsed.paid_amount as decimal(18, 2)
    ) as discount_amount,
    cast(parsed.shipping_amount as decimal(18, 2)) as shipping_amount,
    parsed.paid_amount,
    parsed.store_id,
    parsed.channel,
    true as has_store_fields,
    false as is_gift,
    parsed.is_test,
    case
        when parsed.phone_masked is not null then parsed.phone_ref else parsed.customer_phone_ref
    end as payer_phone_ref,
    case
        when parsed.phone_masked is not null then parsed.phone_hash else parsed.customer_phone_hash
    end as payer_phone_hash,
    coalesce(parsed.phone_masked, parsed.customer_phone_masked) as payer_phone_masked,
    parsed.receiver_phone_ref,
    parsed.receiver_phone_hash,
    parsed.receiver_phone_masked,
    cast(null as varchar) as addressee_ref,
    'shopify_admin' as record_source,
    parsed._batch_id,
    parsed._line,
    parsed._extracted_at
from parsed
left join goods on parsed._batch_id = goods._batch_id and parsed._line = goods._line
left join paid on parsed._batch_id = paid._batch_id and parsed._line = paid._line
left join deliveries on parsed._batch_id = deliveries._batch_id and parsed._line = deliveries._line
