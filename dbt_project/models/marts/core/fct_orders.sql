{{ config(meta={'touched_relation': 'int_orders__touched', 'touched_key': 'order_key'}) }}

{%- set no_trace_days = var('no_trace_days') -%}
{%- set receiver_max_shops = var('receiver_max_shops') -%}
{%- set wholesale_quantity = var('wholesale_quantity') -%}

with run as (
    select as_of_date from {{ source('ops', 'run') }}
),

run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

-- What somebody has marked, an order or all orders of a buyer; the first of several.
marks as (
    select
        flags.subject,
        flags.subject_key,
        min_by(flags.flag, {{ flag_rank('flags.flag') }}) as flag
    from ({{ flags_by_hand() }}) as flags
    cross join run
    where flags.valid_from <= run.as_of_date
    group by flags.subject, flags.subject_key
),

customers as (
    select * from {{ ref('int_customers__identified') }}
),

visible_orders as (
    select
        orders.order_key,
        orders.brand,
        orders.platform,
        orders.shop,
        orders.order_id,
        orders.customer_key,
        orders.created_at,
        {{ as_of('orders.paid_at', 'run_shops.visible_until') }} as paid_at,
        {{ as_of('orders.shipped_at', 'run_shops.visible_until') }} as shipped_at,
        {{ as_of('orders.signed_at', 'run_shops.visible_until') }} as signed_at,
        {{ as_of('orders.finished_at', 'run_shops.visible_until') }} as finished_at,
        {{ as_of('orders.closed_at', 'run_shops.visible_until') }} as closed_at,
        run_shops.zone,
        run_shops.visible_until,
        orders.currency,
        orders.goods_amount,
        orders.discount_amount,
        orders.shipping_amount,
        orders.payable_amount,
        orders.unreconciled_amount,
        orders.unreconciled_reason,
        orders.store_id,
        orders.channel,
        orders.is_gift,
        orders.is_test,
        orders.is_guest,
        orders.payer_phone_ref as payer_contact_ref,
        orders.receiver_phone_ref as receiver_contact_ref,
        orders.receiver_phone_hash,
        orders.record_source,
        orders._batch_id,
        orders._line
    from {{ ref('int_orders__current') }} as orders
    inner join run_shops
        on
            orders.brand = run_shops.brand
            and orders.platform = run_shops.platform
            and orders.shop = run_shops.shop
    where
        orders.created_at < run_shops.visible_until
        and {{ only_touched('orders.order_key', 'int_orders__touched') }}
),

visible_refunds as (
    select
        refunds.order_key,
        refunds.refund_key,
        refunds.refunded_at,
        refunds.refund_amount,
        sum(refunds.refund_amount) over (
            partition by refunds.order_key
            order by refunds.refunded_at asc nulls last, refunds.refund_key asc nulls last
            rows between unbounded preceding and current row
        ) as refunded_so_far
    from {{ ref('int_refunds__current') }} as refunds
    inner join visible_orders on refunds.order_key = visible_orders.order_key
    where refunds.refunded_at < visible_orders.visible_until
),

refunds_of_orders as (
    select
        visible_refunds.order_key,
        sum(visible_refunds.refund_amount) as refunded_amount,
        min(visible_refunds.refunded_at) filter (
            where
            visible_orders.payable_amount > 0
            and visible_refunds.refunded_so_far >= visible_orders.payable_amount
        ) as refunded_in_full_at
    from visible_refunds
    inner join visible_orders on visible_refunds.order_key = visible_orders.order_key
    group by visible_refunds.order_key
),

lines_of_orders as (
    select
        lines.order_key,
        count(*) as line_count,
        sum(lines.quantity) as item_quantity,
        count(*) filter (
            where
            lines.coupon_id is not null
            or (
                lines.discount_amount > 0
                and lines.discount_amount
                >= lines.goods_amount * {{ order_rule('discounted_line_share') }}
            )
        ) as discounted_line_count
    from {{ ref('int_order_lines__current') }} as lines
    where {{ only_touched('lines.order_key', 'int_orders__touched') }}
    group by lines.order_key
),

-- Where it was bought, exchanged and given back may be three stores.
stores_of_orders as (
    select
        services.order_key,
        max_by(services.store_id, services.sequence) filter (where services.kind = 'exchange')
            as store_exchanged_id,
        max_by(services.store_id, services.sequence) filter (where services.kind = 'return')
            as store_returned_id
    from (
        select
            *,
            {{ ordering(['occurred_at', 'service_id']) }} as sequence
        from {{ ref('int_orders__store_services') }}
    ) as services
    inner join run_shops
        on
            services.brand = run_shops.brand
            and services.platform = run_shops.platform
            and services.shop = run_shops.shop
    where services.occurred_at < run_shops.visible_until
    group by services.order_key
),

-- What a till books for goods handed out in exchange is the first order's, and bought once; where
-- nobody knows that one, it is the purchase.
replacements as (
    select services.replacement_order_key as order_key
    from {{ ref('int_orders__store_services') }} as services
    inner join {{ ref('int_orders__current') }} as first_orders
        on services.first_order_key = first_orders.order_key
    where
        services.is_exchanged_order
        and first_orders.paid_at is not null
    group by services.replacement_order_key
),

paid_orders as (
    select
        visible_orders.*,
        visible_orders.paid_at is not null as is_paid,
        case
            when visible_orders.paid_at is not null then visible_orders.payable_amount else 0
        end as paid_amount,
        coalesce(refunds_of_orders.refunded_amount, 0) as all_refunds_amount,
        least(refunds_of_orders.refunded_in_full_at, visible_orders.closed_at) as ended_at
    from visible_orders
    left join refunds_of_orders on visible_orders.order_key = refunds_of_orders.order_key
),

measured_orders as (
    select
        paid_orders.*,
        least(paid_orders.all_refunds_amount, paid_orders.paid_amount) as refunded_amount,
        -- Nothing stops being valid before it was paid, whatever order the events came in.
        case
            when paid_orders.is_paid and paid_orders.ended_at is not null
                then {{ to_local_date(
                    'greatest(paid_orders.paid_at, paid_orders.ended_at)', 'paid_orders.zone'
                ) }}
        end as void_date,
        coalesce(customers.is_employee, false) as is_employee,
        cast(coalesce(lines_of_orders.line_count, 0) as bigint) as line_count,
        cast(coalesce(lines_of_orders.item_quantity, 0) as decimal(18, 3)) as item_quantity,
        cast(coalesce(lines_of_orders.discounted_line_count, 0) as bigint) as discounted_line_count
    from paid_orders
    left join customers on paid_orders.customer_key = customers.customer_key
    left join lines_of_orders on paid_orders.order_key = lines_of_orders.order_key
),

{%- if no_trace_days is not none %}

-- Said to be shipped by a shop whose parcels are told of, and long after no parcel has been seen.
traced_shops as (
    {%- for shop, since in var('traced_shops').items() %}
    select '{{ shop }}' as traced_shop, cast('{{ since }}' as date) as traced_from
    {{ 'union all' if not loop.last }}
    {%- else %}
    select cast(null as varchar) as traced_shop, cast(null as date) as traced_from
    {%- endfor %}
),

traces as (
    select
        order_key,
        min(event_at) as first_event_at
    from {{ ref('int_logistics_events__unioned') }}
    group by order_key
),
{%- endif %}
{%- if receiver_max_shops is not none %}

-- Few people buy the same brand in many shops; a parcel station of somebody who brushes does.
shared_receivers as (
    select
        orders.brand,
        orders.receiver_phone_hash
    from {{ ref('int_orders__current') }} as orders
    inner join run_shops
        on
            orders.brand = run_shops.brand
            and orders.platform = run_shops.platform
            and orders.shop = run_shops.shop
    where
        orders.created_at < run_shops.visible_until
        and orders.receiver_phone_hash in (
            select visible_orders.receiver_phone_hash from visible_orders
        )
    group by orders.brand, orders.receiver_phone_hash
    having count(distinct orders.platform || '/' || orders.shop) > {{ receiver_max_shops }}
),
{%- endif %}

-- Orders are passed once: everything that may flag one is small beside them.
weighed_orders as (
    select
        measured_orders.*,
        stores_of_orders.store_exchanged_id,
        stores_of_orders.store_returned_id,
        order_marks.flag as order_mark,
        buyer_marks.flag as buyer_mark,
        replacements.order_key is not null as is_replacement,
        {%- if no_trace_days is not none %}
            coalesce(
                {{ to_local_date('measured_orders.shipped_at', 'measured_orders.zone') }}
                >= traced_shops.traced_from
                and {{ add_hours('measured_orders.shipped_at', (no_trace_days * 24) | int) }}
                < measured_orders.visible_until
                and coalesce(traces.first_event_at >= measured_orders.visible_until, true),
                false
            ) as is_untraced,
        {%- else %}
            false as is_untraced,
        {%- endif %}
        {%- if receiver_max_shops is not none %}
            shared_receivers.receiver_phone_hash is not null as is_receiver_shared,
        {%- else %}
            false as is_receiver_shared,
        {%- endif %}
        {%- if wholesale_quantity is not none %}
            measured_orders.item_quantity >= {{ wholesale_quantity }} as is_of_many_pieces,
        {%- else %}
            false as is_of_many_pieces,
        {%- endif %}
        {%- for currency, amount in var('wholesale_amounts').items() %}
            (
                measured_orders.currency = '{{ currency }}'
                and measured_orders.payable_amount >= {{ amount }}
            )
            or
        {%- endfor %}
        false as is_of_great_amount
    from measured_orders
    left join stores_of_orders
        on measured_orders.order_key = stores_of_orders.order_key
    left join replacements
        on measured_orders.order_key = replacements.order_key
    left join marks as order_marks
        on
            measured_orders.order_key = order_marks.subject_key
            and order_marks.subject = 'order'
    left join marks as buyer_marks
        on
            measured_orders.customer_key = buyer_marks.subject_key
            and buyer_marks.subject = 'buyer'
    {%- if no_trace_days is not none %}
    left join traced_shops
        on
            measured_orders.brand || '/' || measured_orders.platform || '/' || measured_orders.shop
            = traced_shops.traced_shop
    left join traces
        on measured_orders.order_key = traces.order_key
    {%- endif %}
    {%- if receiver_max_shops is not none %}
    left join shared_receivers
        on
            measured_orders.brand = shared_receivers.brand
            and measured_orders.receiver_phone_hash = shared_receivers.receiver_phone_hash
    {%- endif %}
),

-- In the order of uncounted_flags(): the first that holds is told.
flagged_orders as (
    select
        *,
        case
            when is_test or 'test' in (order_mark, buyer_mark) then 'test'
            when is_employee or 'employee' in (order_mark, buyer_mark) then 'employee'
            when
                is_untraced or is_receiver_shared or 'brushing' in (order_mark, buyer_mark)
                then 'brushing'
            when
                is_of_many_pieces
                or is_of_great_amount
                or 'wholesale' in (order_mark, buyer_mark)
                then 'wholesale'
            when is_replacement or 'exchange' in (order_mark, buyer_mark) then 'exchange'
        end as order_flag
    from weighed_orders
)

select
    flagged_orders.order_key,
    flagged_orders.brand,
    flagged_orders.platform,
    flagged_orders.shop,
    flagged_orders.order_id,
    flagged_orders.customer_key,
    case
        when flagged_orders.closed_at is not null then 'closed'
        when flagged_orders.finished_at is not null then 'finished'
        when flagged_orders.signed_at is not null then 'signed'
        when flagged_orders.shipped_at is not null then 'shipped'
        when flagged_orders.is_paid then 'paid'
        else 'created'
    end as order_status,
    flagged_orders.created_at,
    flagged_orders.paid_at,
    flagged_orders.shipped_at,
    flagged_orders.signed_at,
    flagged_orders.finished_at,
    flagged_orders.closed_at,
    {{ to_local_date('flagged_orders.created_at', 'flagged_orders.zone') }} as created_date,
    {{ to_local_date('flagged_orders.paid_at', 'flagged_orders.zone') }} as paid_date,
    flagged_orders.void_date,
    flagged_orders.currency,
    flagged_orders.goods_amount,
    flagged_orders.discount_amount,
    flagged_orders.shipping_amount,
    cast(flagged_orders.paid_amount as decimal(18, 2)) as paid_amount,
    cast(flagged_orders.refunded_amount as decimal(18, 2)) as refunded_amount,
    cast(
        flagged_orders.all_refunds_amount - flagged_orders.refunded_amount as decimal(18, 2)
    ) as over_refund_amount,
    cast(
        flagged_orders.paid_amount - flagged_orders.refunded_amount as decimal(18, 2)
    ) as net_amount,
    flagged_orders.unreconciled_amount = 0 as is_reconciled,
    flagged_orders.unreconciled_amount,
    flagged_orders.unreconciled_reason,
    flagged_orders.line_count,
    flagged_orders.item_quantity,
    flagged_orders.discounted_line_count,
    flagged_orders.is_paid,
    {{ is_valid_order() }} as is_valid_order,
    {{ invalid_reason(is_closed='flagged_orders.closed_at is not null') }} as invalid_reason,
    case
        when flagged_orders.order_flag in (flagged_orders.order_mark, flagged_orders.buyer_mark)
            then 'hand'
        when flagged_orders.order_flag = 'test' then 'record'
        when flagged_orders.order_flag = 'employee' then 'member_record'
        when flagged_orders.order_flag = 'exchange' then 'store_service'
        when flagged_orders.order_flag = 'brushing' and flagged_orders.is_untraced then 'no_trace'
        when flagged_orders.order_flag = 'brushing' then 'shared_receiver'
        when flagged_orders.order_flag = 'wholesale' and flagged_orders.is_of_many_pieces
            then 'wholesale_quantity'
        when flagged_orders.order_flag = 'wholesale' then 'wholesale_amount'
    end as flagged_by,
    flagged_orders.is_gift,
    flagged_orders.is_test,
    flagged_orders.is_guest,
    flagged_orders.payer_contact_ref,
    flagged_orders.receiver_contact_ref,
    {{ service_contact_ref() }} as service_contact_ref,
    flagged_orders.store_id,
    flagged_orders.store_exchanged_id,
    flagged_orders.store_returned_id,
    flagged_orders.channel,
    flagged_orders.record_source,
    flagged_orders._batch_id,
    flagged_orders._line
from flagged_orders
