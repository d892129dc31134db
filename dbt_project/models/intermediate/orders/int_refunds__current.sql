{{ config(meta={'touched_relation': 'int_orders__touched', 'touched_key': 'order_key'}) }}

with sources as (
    {{ ranked_sources(ref('int_refunds__unioned')) }}
),

refund_statuses as (
    select * from {{ ref('refund_statuses') }}
),

-- A till that exchanges goods books a refund and another order. The money never left, and what
-- becomes of the other order happens to the first, if that one is a purchase that we know.
exchanges as (
    select services.*
    from {{ ref('int_orders__store_services') }} as services
    inner join {{ ref('int_orders__current') }} as first_orders
        on services.first_order_key = first_orders.order_key
    where
        services.is_exchanged_order
        and first_orders.paid_at is not null
),

replaced_orders as (
    select
        replacement_order_key,
        first_order_key as order_key,
        first_line_id as line_id
    from exchanges
    group by replacement_order_key, first_order_key, first_line_id
),

-- All versions of a refund are weighed together, even those that named another order.
touched_refunds as (
    select refund_key
    from {{ ref('int_refunds__unioned') }}
    where {{ only_touched('order_key', 'int_orders__touched') }}
),

versions as (
    select
        refund_key, brand, platform, shop, refund_id, order_key, line_id, native_status, status_set,
        created_at, refunded_at, modified_at, refund_amount, reason, is_return_goods,
        record_source, _batch_id, _line, _extracted_at
    from {{ ref('int_refunds__unioned') }}
    where refund_key in (select touched_refunds.refund_key from touched_refunds)
),

ranked as (
    select
        versions.*,
        sources.source_rank,
        refund_statuses.refund_status
    from versions
    left join sources on versions.record_source = sources.record_source
    left join refund_statuses
        on
            versions.status_set = refund_statuses.status_set
            and versions.native_status = refund_statuses.native_status
),

newest as (
    select *
    from ranked
    qualify row_number() over (partition by refund_key order by {{ newest_first() }}) = 1
),

-- Not every platform says when the money went back: then it is when the refund first succeeded.
-- Versions after that one (a remark, say) do not move it.
first_successes as (
    select refund_key, min(modified_at) as succeeded_at
    from ranked
    where refund_status = 'succeeded'
    group by refund_key
),

told_instants as (
    select refund_key, refunded_at
    from ranked
    where refund_status = 'succeeded' and refunded_at is not null
    qualify row_number() over (partition by refund_key order by {{ newest_first() }}) = 1
),

-- An order that takes the place of what several refunds gave back does so once: those that
-- succeeded come first, each for what the ones before have left.
replaced_shares as (
    select
        newest.refund_key,
        coalesce(newest.refund_amount, 0) as refund_amount,
        orders.payable_amount,
        sum(coalesce(newest.refund_amount, 0)) over (
            partition by pairs.replacement_order_key
            order by
                coalesce(newest.refund_status = 'succeeded', false) desc nulls last,
                newest.refund_key asc nulls last
            rows between unbounded preceding and current row
        ) as refunded_so_far
    from (
        select refund_key, replacement_order_key
        from exchanges
        group by refund_key, replacement_order_key
    ) as pairs
    inner join newest on pairs.refund_key = newest.refund_key
    inner join {{ ref('int_orders__current') }} as orders
        on pairs.replacement_order_key = orders.order_key
    where orders.paid_at is not null
),

replaced_amounts as (
    select
        refund_key,
        sum(
            least(refunded_so_far, payable_amount)
            - least(refunded_so_far - refund_amount, payable_amount)
        ) as replaced_amount
    from replaced_shares
    group by refund_key
),

listed as (
    select
        newest.refund_key,
        newest.brand,
        newest.platform,
        newest.shop,
        newest.refund_id,
        coalesce(replaced_orders.order_key, newest.order_key) as order_key,
        case
            when replaced_orders.order_key is null then newest.line_id else replaced_orders.line_id
        end as line_id,
        newest.refund_status as newest_status,
        newest.created_at,
        case
            when newest.refund_status = 'succeeded'
                then coalesce(told_instants.refunded_at, first_successes.succeeded_at)
        end as refunded_at,
        newest.modified_at,
        cast(
            greatest(
                coalesce(newest.refund_amount, 0) - coalesce(replaced_amounts.replaced_amount, 0), 0
            ) as decimal(18, 2)
        ) as refund_amount,
        newest.reason,
        newest.is_return_goods,
        newest.record_source,
        newest._batch_id,
        newest._line
    from newest
    left join first_successes on newest.refund_key = first_successes.refund_key
    left join told_instants on newest.refund_key = told_instants.refund_key
    left join replaced_orders on newest.order_key = replaced_orders.replacement_order_key
    left join replaced_amounts on newest.refund_key = replaced_amounts.refund_key
    where
        {{ only_touched(
            'coalesce(replaced_orders.order_key, newest.order_key)', 'int_orders__touched',
            'order_key',
        ) }}
),

listed_sums as (
    select
        order_key,
        sum(refund_amount) as refunded_amount
    from listed
    where refunded_at is not null
    group by order_key
),

-- Some platforms list after-sales cases only: the money of an order that was paid and then
-- cancelled goes back as well, all that no case has given back yet, when the order is closed.
cancelled_orders as (
    select
        orders.*,
        'order:' || orders.order_id as refund_id,
        greatest(orders.paid_at, orders.closed_at) as given_back_at,
        orders.payable_amount - coalesce(listed_sums.refunded_amount, 0) as given_back_amount
    from {{ ref('int_orders__current') }} as orders
    left join listed_sums on orders.order_key = listed_sums.order_key
    where
        orders.is_refund_unlisted
        and orders.paid_at is not null
        and orders.closed_at is not null
        and {{ only_touched('orders.order_key', 'int_orders__touched') }}
)

select
    refund_key,
    brand,
    platform,
    shop,
    refund_id,
    order_key,
    line_id,
    newest_status,
    created_at,
    refunded_at,
    modified_at,
    refund_amount,
    reason,
    is_return_goods,
    record_source,
    _batch_id,
    _line
from listed
union all
select
    {{ shop_key('refund_id') }} as refund_key,
    brand,
    platform,
    shop,
    refund_id,
    order_key,
    cast(null as varchar) as line_id,
    'succeeded' as newest_status,
    given_back_at as created_at,
    given_back_at as refunded_at,
    modified_at,
    cast(given_back_amount as decimal(18, 2)) as refund_amount,
    'order cancelled' as reason,
    false as is_return_goods,
    record_source,
    _batch_id,
    _line
from cancelled_orders
where given_back_amount > 0
