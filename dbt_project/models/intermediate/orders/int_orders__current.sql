{{ config(meta={
    'touched_relation': 'int_orders__touched',
    'touched_key': 'order_key',
    'propagates': {'customers': 'customer_key'},
}) }}

with run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

source_ranks as (
    select * from {{ ref('source_ranks') }}
),

order_statuses as (
    select * from {{ ref('order_statuses') }}
),

versions as (
    select
        order_key, brand, platform, shop, order_id, buyer_id, native_status, created_at, paid_at,
        shipped_at, signed_at, ended_at, cast(null as timestamp) as finished_at,
        cast(null as timestamp) as closed_at, modified_at, cast(null as varchar) as currency,
        goods_amount, discount_amount, shipping_amount, paid_amount,
        cast(null as varchar) as store_id, cast(null as varchar) as channel,
        false as has_store_fields, false as is_gift, false as is_test, record_source, _batch_id,
        _line, _extracted_at
    from {{ ref('stg_taobao_top__orders') }}
    where {{ only_touched('order_key', 'int_orders__touched') }}
    union all
    select
        order_key, brand, platform, shop, order_id, buyer_id, native_status, created_at, paid_at,
        shipped_at, signed_at, cast(null as timestamp) as ended_at, finished_at, closed_at,
        modified_at, currency, goods_amount, discount_amount, shipping_amount, paid_amount,
        store_id, channel, has_store_fields,
        -- Somebody else receives it: it is a gift even if nobody ticked the box.
        is_gift or coalesce(payer_phone_hash <> receiver_phone_hash, false) as is_gift,
        is_test, record_source, _batch_id, _line, _extracted_at
    from {{ ref('stg_file__orders') }}
    where {{ only_touched('order_key', 'int_orders__touched') }}
),

ranked as (
    select
        versions.*,
        source_ranks.source_rank,
        order_statuses.end_means,
        coalesce(order_statuses.implies_paid, false) as implies_paid
    from versions
    left join source_ranks
        on versions.record_source = source_ranks.record_source
    left join order_statuses
        on
            versions.record_source = order_statuses.record_source
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
    select order_key, goods_amount, discount_amount, shipping_amount
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
    where has_store_fields or is_gift
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
        newest_store_fields.store_id,
        newest_store_fields.channel,
        coalesce(newest_store_fields.is_gift, false) as is_gift,
        coalesce(newest_store_fields.is_test, false) as is_test,
        newest.record_source,
        newest._batch_id,
        newest._line
    from newest
    left join newest_buyers on newest.order_key = newest_buyers.order_key
    left join newest_signings on newest.order_key = newest_signings.order_key
    left join newest_goods on newest.order_key = newest_goods.order_key
    left join newest_currencies on newest.order_key = newest_currencies.order_key
    left join newest_store_fields on newest.order_key = newest_store_fields.order_key
    left join run_shops
        on
            newest.brand = run_shops.brand
            and newest.platform = run_shops.platform
            and newest.shop = run_shops.shop
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
    store_id,
    channel,
    is_gift,
    is_test,
    record_source,
    _batch_id,
    _line
from merged
