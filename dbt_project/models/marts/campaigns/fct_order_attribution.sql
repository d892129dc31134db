{{ config(meta={'touched_relation': 'int_campaigns__settled', 'touched_key': 'customer_key'}) }}

with run as (
    select * from {{ source('ops', 'run') }}
),

credits as (
    select *
    from {{ ref('int_campaigns__credits') }}
    where {{ only_touched('customer_key', 'int_campaigns__settled') }}
),

naive_counts as (
    select
        order_key,
        cast(count(*) filter (where is_naive_paid) as integer) as naive_campaign_count
    from credits
    group by order_key
),

-- An order that stopped being valid is worth nothing to anybody, whether money went back or not.
orders as (
    select
        orders.order_key,
        orders.brand,
        orders.platform,
        orders.shop,
        orders.customer_key,
        orders.paid_at,
        orders.paid_date,
        orders.void_date,
        orders.currency,
        orders.paid_amount,
        orders.is_valid_order,
        {{ is_countable_order('orders') }} as is_countable,
        case when orders.is_valid_order then orders.net_amount else 0 end as net_amount,
        credits.campaign_key,
        credits.evidence,
        credits.send_key,
        credits.touched_at,
        credits.window_ends_at,
        coalesce(
            credits.credit_final_on,
            {{ add_days('orders.paid_date', parameter('credit_final_days', 'integer')) }}
        ) as credit_final_on
    from {{ ref('fct_orders') }} as orders
    left join credits
        on
            orders.order_key = credits.order_key
            and credits.is_credited
    where
        orders.is_paid
        and {{ only_touched('orders.customer_key', 'int_campaigns__settled') }}
),

late_refunds as (
    select
        orders.order_key,
        sum(refunds.refund_amount) filter (where refunds.refunded_date <= orders.credit_final_on)
            as timely_amount
    from {{ ref('fct_refunds') }} as refunds
    inner join orders
        on refunds.order_key = orders.order_key
    where refunds.refunded_date is not null
    group by orders.order_key
),

valued as (
    select
        orders.*,
        orders.credit_final_on <= run.as_of_date as is_final,
        case
            when not orders.is_countable then 0
            when orders.void_date <= orders.credit_final_on then 0
            else greatest(orders.paid_amount - coalesce(late_refunds.timely_amount, 0), 0)
        end as amount_when_final
    from orders
    left join late_refunds
        on orders.order_key = late_refunds.order_key
    cross join run
)

select
    valued.order_key,
    valued.brand,
    valued.platform,
    valued.shop,
    valued.customer_key,
    valued.paid_at,
    valued.paid_date,
    valued.currency,
    valued.is_valid_order,
    cast(valued.net_amount as decimal(18, 2)) as net_amount,
    valued.campaign_key is not null as is_credited,
    coalesce(
        valued.campaign_key, {{ generate_key(['valued.brand', "'organic'"]) }}
    ) as campaign_key,
    valued.evidence,
    valued.send_key,
    valued.touched_at,
    valued.window_ends_at,
    cast(
        case when valued.campaign_key is not null then valued.net_amount else 0 end
        as decimal(18, 2)
    ) as credited_amount,
    cast(
        case when valued.campaign_key is null then valued.net_amount else 0 end as decimal(18, 2)
    ) as organic_amount,
    case when valued.is_final then 'final' else 'provisional' end as credit_state,
    valued.credit_final_on,
    cast(
        case when valued.is_final then valued.net_amount - valued.amount_when_final else 0 end
        as decimal(18, 2)
    ) as adjustment_amount,
    coalesce(naive_counts.naive_campaign_count, 0) > 0 as is_naive,
    coalesce(naive_counts.naive_campaign_count, 0) as naive_campaign_count
from valued
left join naive_counts
    on valued.order_key = naive_counts.order_key
