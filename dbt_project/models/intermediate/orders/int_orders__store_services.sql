{{ config(materialized='view') }}

-- A file that is dropped again corrects the one before.
with recursive newest as (
    select
        *,
        kind = 'exchange'
        and replacement_order_key is not null
        and replacement_order_key <> order_key as names_another_order
    from {{ ref('stg_file__store_services') }}
    qualify
        row_number() over (
            partition by store_service_key
            order by
                _extracted_at desc nulls last, _batch_id desc nulls last, _line desc nulls last
        ) = 1
),

replaced_orders as (
    select
        replacement_order_key,
        min_by(order_key, service_id) as order_key,
        case when count(*) = 1 then max(line_id) end as line_id
    from newest
    where names_another_order
    group by replacement_order_key
),

-- What was handed out may be exchanged again, and the next till names it by the till before. Orders
-- that are said to replace each other in a circle have no first one.
first_orders as (
    select
        replaced_orders.replacement_order_key,
        replaced_orders.order_key as first_order_key,
        replaced_orders.line_id as first_line_id
    from replaced_orders
    left join replaced_orders as earlier
        on replaced_orders.order_key = earlier.replacement_order_key
    where earlier.replacement_order_key is null
    union all
    select
        replaced_orders.replacement_order_key,
        first_orders.first_order_key,
        first_orders.first_line_id
    from first_orders
    inner join replaced_orders
        on first_orders.replacement_order_key = replaced_orders.order_key
)

select
    newest.brand,
    newest.platform,
    newest.shop,
    newest.store_service_key,
    newest.service_id,
    newest.order_key,
    newest.order_id,
    newest.line_id,
    newest.kind,
    newest.store_id,
    newest.occurred_at,
    newest.refund_key,
    newest.refund_id,
    newest.replacement_order_key,
    newest.replacement_order_id,
    newest.names_another_order
    and first_orders.first_order_key is not null as is_exchanged_order,
    case when newest.names_another_order then first_orders.first_order_key end as first_order_key,
    case when newest.names_another_order then first_orders.first_line_id end as first_line_id,
    newest.record_source,
    newest._batch_id,
    newest._line,
    newest._extracted_at
from newest
left join first_orders
    on newest.replacement_order_key = first_orders.replacement_order_key
