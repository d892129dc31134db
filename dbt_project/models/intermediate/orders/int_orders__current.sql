{{ config(meta={
    'touched_relation': 'int_orders__touched',
    'touched_key': 'order_key',
    'propagates': {'customers': 'customer_key'},
}) }}

with run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

sources as (
    {{ ranked_sources(ref('int_orders__unioned')) }}
),

order_statuses as (
    select * from {{ ref('order_statuses') }}
),

versions as (
    select
        order_key, brand, platform, shop, order_id, buyer_id, native_status, status_set,
        created_at, paid_at, shipped_at, signed_at, ended_at, finished_at, closed_at, modified_at,
        currency, goods_amount, discount_amount, shipping_amount, paid_amount, store_id, channel,
        has_store_fields, is_gift, is_test, payer_phone_ref, payer_phone_hash, receiver_phone_ref,
        receiver_phone_hash, record_source, _batch_id, _line, _extracted_at
    from {{ ref('int_orders__unioned') }}
    where {{ only_touched('order_key', 'int_orders__touched') }}
),

ranked as (
    select
        versions.*,
        sources.source_rank,
        order_statuses.end_means,
        coalesce(order_statuses.implies_paid, false) as implies_paid,
        coalesce(order_statuses.is_refund_unlisted, false) as is_refund_unlisted
    from versions
    left join sources
        on versions.record_source = sources.record_source
    left join order_statuses
        on
            versions.status_set = order_statuses.status_set
            and versions.native_status = order_statuses.native_status
),

newest as (
    select *
    from ranked
    qualify row_number() over (partition by order_key order by {{ newest_first() }}) = 1
),

-- What the newest version's source does not tell stays as the last version knew it that did.
newest_buyers as (
    select order_key, buyer_id
    from ranked
    where buyer_id is not null
    qualify row_number() over (partition by order_key order by {{ newest_first() }}) = 1
),

newest_signings as (
    select order_key, signed_at
    from ranked
    where signed_at is not null
    qualify row_number() over (partition by order_key order by {{ newest_first() }}) = 1
),

newest_goods as (
    select
        order_key, goods_amount, discount_amount, shipping_amount, record_source, _batch_id, _line
    from ranked
    where coalesce(goods_amount, discount_amount, shipping_amount) is not null
    qualify row_number() over (partition by order_key order by {{ newest_first() }}) = 1
),

newest_currencies as (
    select order_key, currency
    from ranked
    where currency is not null
    qualify row_number() over (partition by order_key order by {{ newest_first() }}) = 1
),

newest_store_fields as (
    select order_key, store_id, channel, is_gift, is_test
    from ranked
    where has_store_fields
    qualify row_number() over (partition by order_key order by {{ newest_first() }}) = 1
),

newest_payers as (
    select order_key, payer_phone_ref, payer_phone_hash
    from ranked
    where payer_phone_hash is not null
    qualify row_number() over (partition by order_key order by {{ newest_first() }}) = 1
),

newest_receivers as (
    select order_key, receiver_phone_ref, receiver_phone_hash
    from ranked
    where receiver_phone_hash is not null
    qualify row_number() over (partition by order_key order by {{ newest_first() }}) = 1
),

merged as (
    select
        newest.order_key,
        newest.brand,
        newest.platform,
        newest.shop,
        newest.order_id,
        -- Two orders whose buyers nobody named are not the same buyer's.
        coalesce(newest_buyers.buyer_id, 'order:' || newest.order_id) as buyer_id,
        newest.native_status,
        newest.is_refund_unlisted,
        newest.created_at,
        -- A status that proves the payment dates it at the first thing known to follow it.
        coalesce(
            newest.paid_at,
            case
                when newest.implies_paid
                    then coalesce(
                        least(newest.shipped_at, newest_signings.signed_at, newest.finished_at),
                        newest.modified_at
                    )
            end
        ) as paid_at,
        newest.shipped_at,
        newest_signings.signed_at,
        coalesce(
            newest.finished_at,
            case
                when newest.end_means = 'finished'
                    then coalesce(newest.ended_at, newest.modified_at)
            end
        ) as finished_at,
        coalesce(
            newest.closed_at,
            case
                when newest.end_means = 'closed' then coalesce(newest.ended_at, newest.modified_at)
            end
        ) as closed_at,
        newest.modified_at,
        coalesce(newest_currencies.currency, run_shops.currency) as currency,
        cast(coalesce(
            newest_goods.goods_amount,
            newest.paid_amount
            + coalesce(newest_goods.discount_amount, 0)
            - coalesce(newest_goods.shipping_amount, 0),
            0
        ) as decimal(18, 2)) as goods_amount,
        cast(coalesce(newest_goods.discount_amount, 0) as decimal(18, 2)) as discount_amount,
        cast(coalesce(newest_goods.shipping_amount, 0) as decimal(18, 2)) as shipping_amount,
        cast(coalesce(newest.paid_amount, 0) as decimal(18, 2)) as payable_amount,
        newest.paid_amount is not null as has_paid_amount,
        newest_goods.discount_amount is not null and newest_goods.shipping_amount is not null
            as has_all_amounts,
        newest_goods.record_source = newest.record_source
        and newest_goods._batch_id = newest._batch_id
        and newest_goods._line = newest._line
            as has_amounts_of_one_version,
        newest_store_fields.store_id,
        newest_store_fields.channel,
        -- Somebody else receives it: it is a gift even if nobody ticked the box.
        coalesce(newest_store_fields.is_gift, false)
        or coalesce(newest_payers.payer_phone_hash <> newest_receivers.receiver_phone_hash, false)
            as is_gift,
        coalesce(newest_store_fields.is_test, false) as is_test,
        newest_payers.payer_phone_ref,
        newest_receivers.receiver_phone_ref,
        newest_receivers.receiver_phone_hash,
        newest.record_source,
        newest._batch_id,
        newest._line
    from newest
    left join newest_buyers on newest.order_key = newest_buyers.order_key
    left join newest_signings on newest.order_key = newest_signings.order_key
    left join newest_goods on newest.order_key = newest_goods.order_key
    left join newest_currencies on newest.order_key = newest_currencies.order_key
    left join newest_store_fields on newest.order_key = newest_store_fields.order_key
    left join newest_payers on newest.order_key = newest_payers.order_key
    left join newest_receivers on newest.order_key = newest_receivers.order_key
    left join run_shops
        on
            newest.brand = run_shops.brand
            and newest.platform = run_shops.platform
            and newest.shop = run_shops.shop
),

-- Goods less discount plus postage is what is paid, or the order says by how much it is not.
reconciled as (
    select
        *,
        cast(
            payable_amount - (goods_amount - discount_amount + shipping_amount) as decimal(18, 2)
        ) as unreconciled_amount
    from merged
)

select
    order_key,
    brand,
    platform,
    shop,
    order_id,
    {{ shop_key('buyer_id') }} as customer_key,
    buyer_id,
    native_status,
    is_refund_unlisted,
    created_at,
    paid_at,
    shipped_at,
    signed_at,
    finished_at,
    closed_at,
    modified_at,
    currency,
    goods_amount,
    discount_amount,
    shipping_amount,
    payable_amount,
    unreconciled_amount,
    -- The first cause in this order is told.
    case
        when unreconciled_amount = 0 then 'none'
        when not has_paid_amount then 'paid_amount_missing'
        when not has_all_amounts then 'amounts_incomplete'
        when not has_amounts_of_one_version then 'amounts_of_another_version'
        else 'source_does_not_add_up'
    end as unreconciled_reason,
    store_id,
    channel,
    is_gift,
    is_test,
    buyer_id = 'order:' || order_id as is_guest,
    payer_phone_ref,
    receiver_phone_ref,
    receiver_phone_hash,
    record_source,
    _batch_id,
    _line
from reconciled
