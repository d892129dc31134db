{#- Rewritten every night: late orders and restated reports move any past day, and the whole is two
    sums over facts that are one narrow scan each. -#}
{{ config(materialized='table') }}

with run_shops as (
    select
        run_shops.brand,
        run_shops.platform,
        run_shops.shop,
        run_shops.currency,
        run_shops.zone,
        run_shops.visible_until,
        run.as_of_date
    from {{ source('ops', 'run_shops') }} as run_shops
    cross join {{ source('ops', 'run') }} as run
),

reports as (
    select
        totals.brand,
        totals.platform,
        totals.shop,
        totals.report_date,
        run_shops.currency,
        run_shops.as_of_date,
        totals.created_order_count,
        totals.paid_order_count,
        totals.paid_amount,
        totals.refund_count,
        totals.refund_amount
    from {{ ref('int_shops__platform_totals') }} as totals
    inner join run_shops
        on
            totals.brand = run_shops.brand
            and totals.platform = run_shops.platform
            and totals.shop = run_shops.shop
            -- Money of two currencies is never compared.
            and totals.currency = run_shops.currency
    where totals.report_date <= run_shops.as_of_date
),

-- The platform does not know which orders we leave out (tests, employees): it counts them all.
orders as (
    select
        orders.brand,
        orders.platform,
        orders.shop,
        orders.created_date,
        orders.paid_date,
        orders.paid_amount
    from {{ ref('fct_orders') }} as orders
    inner join run_shops
        on
            orders.brand = run_shops.brand
            and orders.platform = run_shops.platform
            and orders.shop = run_shops.shop
            and orders.currency = run_shops.currency
),

created as (
    select
        brand,
        platform,
        shop,
        created_date as day_date,
        count(*) as order_count
    from orders
    group by brand, platform, shop, created_date
),

paid as (
    select
        brand,
        platform,
        shop,
        paid_date as day_date,
        count(*) as order_count,
        sum(paid_amount) as paid_amount
    from orders
    where paid_date is not null
    group by brand, platform, shop, paid_date
),

-- The platform also reports what went back for orders that were bought before our first day here:
-- their refunds have landed and their orders have not, so no fact holds them.
refunds as (
    select
        refunds.brand,
        refunds.platform,
        refunds.shop,
        {{ to_local_date('refunds.refunded_at', 'run_shops.zone') }} as day_date,
        refunds.refund_amount,
        orders.order_key is null as is_without_order
    from {{ ref('int_refunds__current') }} as refunds
    inner join run_shops
        on
            refunds.brand = run_shops.brand
            and refunds.platform = run_shops.platform
            and refunds.shop = run_shops.shop
    left join {{ ref('fct_orders') }} as orders
        on refunds.order_key = orders.order_key
    where
        refunds.refunded_at < run_shops.visible_until
        and coalesce(orders.currency, run_shops.currency) = run_shops.currency
),

refunded as (
    select
        brand,
        platform,
        shop,
        day_date,
        count(*) as refund_count,
        count(*) filter (where is_without_order) as orderless_refund_count,
        sum(refund_amount) as refund_amount
    from refunds
    group by brand, platform, shop, day_date
),

compared as (
    select
        reports.brand,
        reports.platform,
        reports.shop,
        reports.report_date,
        reports.currency,
        -- The last day's orders may have changed within the margin that a window keeps to the
        -- present: the next night shows them.
        reports.report_date < reports.as_of_date as is_settled,
        coalesce(created.order_count, 0) as created_order_count,
        reports.created_order_count as platform_created_order_count,
        coalesce(paid.order_count, 0) as paid_order_count,
        reports.paid_order_count as platform_paid_order_count,
        coalesce(paid.paid_amount, 0) as paid_amount,
        reports.paid_amount as platform_paid_amount,
        coalesce(refunded.refund_count, 0) as refund_count,
        reports.refund_count as platform_refund_count,
        coalesce(refunded.orderless_refund_count, 0) as orderless_refund_count,
        coalesce(refunded.refund_amount, 0) as refund_amount,
        reports.refund_amount as platform_refund_amount
    from reports
    left join created
        on
            reports.brand = created.brand
            and reports.platform = created.platform
            and reports.shop = created.shop
            and reports.report_date = created.day_date
    left join paid
        on
            reports.brand = paid.brand
            and reports.platform = paid.platform
            and reports.shop = paid.shop
            and reports.report_date = paid.day_date
    left join refunded
        on
            reports.brand = refunded.brand
            and reports.platform = refunded.platform
            and reports.shop = refunded.shop
            and reports.report_date = refunded.day_date
),

-- What the platform does not report is not compared. A figure of nothing tolerates nothing.
measured as (
    select
        *,
        greatest(
            {{ difference_share('created_order_count', 'platform_created_order_count') }},
            {{ difference_share('paid_order_count', 'platform_paid_order_count') }},
            {{ difference_share('paid_amount', 'platform_paid_amount') }},
            {{ difference_share('refund_count', 'platform_refund_count') }},
            {{ difference_share('refund_amount', 'platform_refund_amount') }}
        ) as largest_difference_rate
    from compared
)

select
    brand,
    platform,
    shop,
    report_date,
    currency,
    is_settled,
    cast(created_order_count as bigint) as created_order_count,
    cast(platform_created_order_count as bigint) as platform_created_order_count,
    cast(paid_order_count as bigint) as paid_order_count,
    cast(platform_paid_order_count as bigint) as platform_paid_order_count,
    cast(paid_amount as decimal(18, 2)) as paid_amount,
    cast(platform_paid_amount as decimal(18, 2)) as platform_paid_amount,
    cast(refund_count as bigint) as refund_count,
    cast(platform_refund_count as bigint) as platform_refund_count,
    cast(orderless_refund_count as bigint) as orderless_refund_count,
    cast(refund_amount as decimal(18, 2)) as refund_amount,
    cast(platform_refund_amount as decimal(18, 2)) as platform_refund_amount,
    cast(largest_difference_rate as decimal(18, 6)) as largest_difference_rate,
    case
        when largest_difference_rate = 0 then 'equal'
        when
            largest_difference_rate
            <= {{ parameter('reconciliation_tolerance_rate', 'decimal(18, 6)') }}
            then 'within_tolerance'
        when not is_settled then 'provisional'
        else 'different'
    end as verdict
from measured
