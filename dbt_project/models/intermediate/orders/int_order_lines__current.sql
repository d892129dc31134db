{{ config(meta={
    'touched_relation': 'int_orders__touched',
    'touched_key': 'order_key',
    'propagates': {'products': 'product_key'},
}) }}

with sources as (
    {{ ranked_sources(ref('int_order_lines__unioned')) }}
),

-- A line without a modification time of its own is as young as its order from the same source.
order_ages as (
    select order_key, record_source, max(modified_at) as modified_at
    from {{ ref('int_orders__unioned') }}
    where {{ only_touched('order_key', 'int_orders__touched') }}
    group by order_key, record_source
),

versions as (
    select
        lines.order_key, lines.line_no,
        coalesce(lines.modified_at, order_ages.modified_at) as modified_at,
        lines.record_source, lines._batch_id, lines._line, lines._extracted_at
    from {{ ref('int_order_lines__unioned') }} as lines
    left join order_ages
        on
            lines.order_key = order_ages.order_key
            and lines.record_source = order_ages.record_source
    where {{ only_touched('lines.order_key', 'int_orders__touched') }}
),

ranked as (
    select
        versions.*,
        sources.source_rank,
        sources.delivers_all_lines,
        sources.names_coupons
    from versions
    left join sources on versions.record_source = sources.record_source
),

-- The newest version that listed all lines of its order: what it did not list is gone.
complete_lists as (
    select
        order_key,
        max({{ version_order('source_rank') }}) as listed_by
    from ranked
    where delivers_all_lines
    group by order_key
),

placed as (
    select
        ranked.*,
        coalesce(
            {{ version_order('ranked.source_rank', 'ranked') }} < complete_lists.listed_by, false
        ) as is_unlisted
    from ranked
    left join complete_lists on ranked.order_key = complete_lists.order_key
),

-- Nearly every line is down to one version by now; only the others are worth sorting.
contested_orders as (
    select order_key
    from (
        select order_key
        from placed
        where not is_unlisted
        group by order_key, line_no
        having count(*) > 1
    ) as contested_lines
    group by order_key
),

outdated as (
    select order_key, line_no, record_source, _batch_id, _line
    from placed
    where is_unlisted
    union all
    select order_key, line_no, record_source, _batch_id, _line
    from placed
    where
        not is_unlisted
        and order_key in (select contested_orders.order_key from contested_orders)
    qualify
        row_number() over (partition by order_key, line_no order by {{ newest_first() }}) > 1
),

-- Not every source names coupons; what one that does told of a line stays with the line.
silent_orders as (
    select order_key
    from ranked
    where not names_coupons
    group by order_key
),

told_coupons as (
    select
        lines.order_key, lines.line_id, lines.coupon_id, lines.campaign_id
    from {{ ref('int_order_lines__unioned') }} as lines
    inner join sources on lines.record_source = sources.record_source
    where
        sources.names_coupons
        and lines.line_id is not null
        and coalesce(lines.coupon_id, lines.campaign_id) is not null
        and lines.order_key in (select silent_orders.order_key from silent_orders)
    qualify
        row_number() over (
            partition by lines.order_key, lines.line_id
            order by
                lines.modified_at desc nulls last,
                sources.source_rank desc nulls last,
                lines._extracted_at desc nulls last,
                lines._batch_id desc nulls last,
                lines._line desc nulls last
        ) = 1
),

lines as (
    select
        lines.order_key, lines.line_no, lines.line_id, lines.product_key, lines.product_id,
        lines.sku_id, lines.title, lines.quantity, lines.list_price, lines.goods_amount,
        lines.discount_amount, lines.paid_amount, lines.coupon_id, lines.campaign_id,
        coalesce(lines.coupon_id, lines.campaign_id) is null and not sources.names_coupons
            as is_coupon_unknown,
        lines.record_source, lines._batch_id, lines._line
    from {{ ref('int_order_lines__unioned') }} as lines
    left join sources on lines.record_source = sources.record_source
    where {{ only_touched('lines.order_key', 'int_orders__touched') }}
),

current_lines as (
    select
        lines.order_key,
        lines.line_no,
        lines.line_id,
        lines.product_key,
        lines.product_id,
        lines.sku_id,
        lines.title,
        cast(coalesce(lines.quantity, 0) as decimal(18, 3)) as quantity,
        lines.list_price,
        cast(coalesce(
            lines.goods_amount,
            cast(lines.list_price * lines.quantity as decimal(18, 2)),
            lines.paid_amount + coalesce(lines.discount_amount, 0),
            0
        ) as decimal(18, 2)) as goods_amount,
        lines.discount_amount,
        lines.paid_amount as told_amount,
        case when lines.is_coupon_unknown then told_coupons.coupon_id else lines.coupon_id end
            as coupon_id,
        case when lines.is_coupon_unknown then told_coupons.campaign_id else lines.campaign_id end
            as campaign_id
    from lines
    left join told_coupons
        on
            lines.is_coupon_unknown
            and lines.order_key = told_coupons.order_key
            and lines.line_id = told_coupons.line_id
    left join outdated
        on
            lines.order_key = outdated.order_key
            and lines.line_no = outdated.line_no
            and lines.record_source = outdated.record_source
            and lines._batch_id = outdated._batch_id
            and lines._line = outdated._line
    where outdated.order_key is null
),

-- Some exports say what an order cost and of its lines only what they are listed at.
untold_orders as (
    select order_key
    from current_lines
    group by order_key
    having count(told_amount) = 0
),

payments as (
    select
        orders.order_key,
        orders.payable_amount - orders.shipping_amount as amount
    from {{ ref('int_orders__current') }} as orders
    inner join untold_orders
        on orders.order_key = untold_orders.order_key
    where orders.payable_amount > orders.shipping_amount
),

-- Shared by the list prices, rounded down; the fen that are left go to the largest line.
shares as (
    select
        lines.order_key,
        lines.line_no,
        payments.amount,
        coalesce(
            {{ prorate_down(
                'payments.amount',
                'lines.goods_amount',
                'sum(lines.goods_amount) over (partition by lines.order_key)',
            ) }},
            0
        ) as share_amount,
        row_number() over (
            partition by lines.order_key
            order by lines.goods_amount desc nulls last, lines.line_no asc nulls last
        ) = 1 as is_largest
    from current_lines as lines
    inner join payments
        on lines.order_key = payments.order_key
),

shared_payments as (
    select
        order_key,
        line_no,
        share_amount
        + case
            when is_largest then amount - sum(share_amount) over (partition by order_key)
            else 0
        end as amount
    from shares
),

settled_lines as (
    select
        lines.*,
        cast(coalesce(lines.told_amount, shared_payments.amount, 0) as decimal(18, 2))
            as payable_amount,
        shared_payments.order_key is not null as is_payment_shared
    from current_lines as lines
    left join shared_payments
        on
            lines.order_key = shared_payments.order_key
            and lines.line_no = shared_payments.line_no
)

select
    order_key,
    line_no,
    line_id,
    product_key,
    product_id,
    sku_id,
    title,
    quantity,
    list_price,
    goods_amount,
    cast(coalesce(discount_amount, goods_amount - payable_amount) as decimal(18, 2))
        as discount_amount,
    payable_amount,
    is_payment_shared,
    coupon_id,
    campaign_id
from settled_lines
