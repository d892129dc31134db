{{ config(meta={'touched_relation': 'int_orders__touched', 'touched_key': 'order_key'}) }}

with sources as (
    {{ ranked_sources(ref('int_refunds__unioned')) }}
),

refund_statuses as (
    select * from {{ ref('refund_statuses') }}
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
)

select
    newest.refund_key,
    newest.brand,
    newest.platform,
    newest.shop,
    newest.refund_id,
    newest.order_key,
    newest.line_id,
    newest.refund_status as newest_status,
    newest.created_at,
    case
        when newest.refund_status = 'succeeded'
            then coalesce(told_instants.refunded_at, first_successes.succeeded_at)
    end as refunded_at,
    newest.modified_at,
    cast(coalesce(newest.refund_amount, 0) as decimal(18, 2)) as refund_amount,
    newest.reason,
    newest.is_return_goods,
    newest.record_source,
    newest._batch_id,
    newest._line
from newest
left join first_successes on newest.refund_key = first_successes.refund_key
left join told_instants on newest.refund_key = told_instants.refund_key
where {{ only_touched('newest.order_key', 'int_orders__touched') }}
