{#- Rewritten every night: one row per campaign, and every open window moves its figures. -#}
{{ config(materialized='table') }}

with run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

brand_shops as (
    select
        brand,
        max(visible_until) as visible_until
    from run_shops
    group by brand
),

identities as (
    select * from {{ ref('dim_member_identities') }}
),

registered as (
    select * from {{ ref('int_campaigns__registered') }}
),

sends as (
    select
        sends.*,
        identities.member_key,
        sends.delivery_state = 'no_receipt'
        and sends.receipt_due_at < brand_shops.visible_until as is_unknown
    from {{ ref('fct_campaign_sends') }} as sends
    inner join brand_shops
        on sends.brand = brand_shops.brand
    left join identities
        on sends.customer_key = identities.customer_key
),

-- Messages are counted, and apart from them people: who was messaged twice counts once. A message
-- counts in the currency of the shop that it was sent for, so that the rows add up.
messages as (
    select
        campaign_key,
        currency,
        max(campaign_id) as campaign_id,
        count(*) as considered_count,
        count(*) filter (where outcome = 'sent') as sent_count,
        count(distinct member_key) filter (where outcome = 'sent') as sent_member_count,
        count(*) filter (where delivery_state = 'delivered') as delivered_count,
        count(*) filter (where delivery_state = 'failed') as failed_count,
        count(*) filter (where delivery_state = 'intercepted') as intercepted_count,
        count(*) filter (where is_unknown) as unknown_count,
        count(*) filter (where clicked_at is not null) as clicked_count,
        count(*) filter (where machine_clicked_at is not null) as machine_clicked_count,
        count(*) filter (where outcome = 'holdout') as holdout_count,
        count(*) filter (where outcome = 'suppressed') as suppressed_count,
        sum(cost_amount) as message_cost_amount
    from sends
    group by campaign_key, currency
),

-- Whoever was messaged may buy at any shop of the brand: shares of people are of all of them.
reached as (
    select
        campaign_key,
        count(distinct member_key) as member_count
    from sends
    where outcome = 'sent'
    group by campaign_key
),

attribution as (
    select
        attribution.*,
        identities.member_key
    from {{ ref('fct_order_attribution') }} as attribution
    left join identities
        on attribution.customer_key = identities.customer_key
),

credited as (
    select
        campaign_key,
        brand,
        currency,
        count(*) filter (where is_valid_order) as credited_order_count,
        count(distinct member_key) filter (where is_valid_order) as credited_buyer_count,
        sum(credited_amount) as credited_amount,
        sum(organic_amount) as organic_amount,
        sum(credited_amount) filter (where credit_state = 'final') as final_credited_amount,
        sum(credited_amount) filter (where evidence = 'delivered') as credited_delivered_amount,
        sum(credited_amount) filter (where evidence in ('opened', 'clicked'))
            as credited_clicked_amount,
        sum(credited_amount) filter (where evidence = 'coupon_used') as credited_coupon_amount,
        sum(adjustment_amount) as adjustment_amount
    from attribution
    group by campaign_key, brand, currency
),

naive_orders as (
    select
        credits.campaign_key,
        orders.brand,
        orders.currency,
        identities.member_key,
        orders.goods_amount + orders.shipping_amount - orders.discount_amount as placed_amount,
        orders.paid_amount,
        orders.item_quantity,
        orders.is_paid,
        credits.is_naive_ordered,
        credits.is_naive_paid
    from {{ ref('int_campaigns__credits') }} as credits
    inner join {{ ref('fct_orders') }} as orders
        on credits.order_key = orders.order_key
    left join identities
        on orders.customer_key = identities.customer_key
    where credits.is_naive_ordered or credits.is_naive_paid
),

naive as (
    select
        campaign_key,
        brand,
        currency,
        count(distinct member_key) filter (where is_naive_paid) as naive_buyer_count,
        count(*) filter (where is_naive_paid) as naive_order_count,
        sum(paid_amount) filter (where is_naive_paid) as naive_paid_amount,
        sum(item_quantity) filter (where is_naive_paid) as naive_item_quantity,
        count(distinct member_key) filter (where is_naive_ordered) as naive_placed_buyer_count,
        count(*) filter (where is_naive_ordered) as naive_placed_order_count,
        sum(placed_amount) filter (where is_naive_ordered) as naive_placed_amount,
        sum(item_quantity) filter (where is_naive_ordered) as naive_placed_item_quantity,
        count(distinct member_key) filter (where is_naive_ordered and not is_paid)
            as naive_unpaid_buyer_count,
        count(*) filter (where is_naive_ordered and not is_paid) as naive_unpaid_order_count,
        sum(placed_amount) filter (where is_naive_ordered and not is_paid) as naive_unpaid_amount,
        sum(item_quantity) filter (where is_naive_ordered and not is_paid)
            as naive_unpaid_item_quantity
    from naive_orders
    group by campaign_key, brand, currency
),

-- A cost that nobody told is unknown, not nothing. A campaign's own is in its shop's currency, a
-- message's in that of the shop it was sent for.
told_costs as (
    select
        registered.campaign_key,
        run_shops.currency,
        registered.cost_amount
    from registered
    inner join run_shops
        on
            registered.brand = run_shops.brand
            and registered.platform = run_shops.platform
            and registered.shop = run_shops.shop
    where registered.cost_amount is not null
    union all
    select
        messages.campaign_key,
        messages.currency,
        messages.message_cost_amount as cost_amount
    from messages
    where messages.message_cost_amount is not null
),

costs as (
    select
        campaign_key,
        currency,
        sum(cost_amount) as cost_amount
    from told_costs
    group by campaign_key, currency
),

organic_keys as (
    select
        brand,
        {{ generate_key(['brand', "'organic'"]) }} as campaign_key
    from run_shops
    group by brand
),

-- Every campaign that is registered, was sent or is credited, in every currency of its brand's
-- shops (a dropped campaign: of its own shop); money of two currencies is never added.
spine as (
    select
        registered.campaign_key,
        registered.brand,
        run_shops.currency
    from registered
    inner join run_shops
        on
            registered.brand = run_shops.brand
            and coalesce(registered.platform, run_shops.platform) = run_shops.platform
            and coalesce(registered.shop, run_shops.shop) = run_shops.shop
    union
    select
        organic_keys.campaign_key,
        organic_keys.brand,
        run_shops.currency
    from organic_keys
    inner join run_shops
        on organic_keys.brand = run_shops.brand
    union
    select
        sends.campaign_key,
        sends.brand,
        sends.currency
    from sends
    union
    select
        credited.campaign_key,
        credited.brand,
        credited.currency
    from credited
    union
    select
        naive.campaign_key,
        naive.brand,
        naive.currency
    from naive
)

select
    spine.campaign_key,
    spine.currency,
    case when organic_keys.campaign_key is not null then 'organic' else 'campaign' end as row_kind,
    spine.brand,
    registered.platform,
    registered.shop,
    case
        when organic_keys.campaign_key is not null then 'organic'
        else coalesce(registered.campaign_id, messages.campaign_id)
    end as campaign_id,
    registered.campaign_name,
    registered.campaign_type,
    registered.channel,
    registered.record_source,
    registered.started_date,
    registered.ended_date,
    registered.monitor_until,
    registered.holdout_share,
    coalesce(messages.considered_count, 0) as considered_count,
    coalesce(messages.sent_count, 0) as sent_count,
    coalesce(messages.sent_member_count, 0) as sent_member_count,
    coalesce(messages.delivered_count, 0) as delivered_count,
    coalesce(messages.failed_count, 0) as failed_count,
    coalesce(messages.intercepted_count, 0) as intercepted_count,
    coalesce(messages.unknown_count, 0) as unknown_count,
    coalesce(messages.clicked_count, 0) as clicked_count,
    coalesce(messages.machine_clicked_count, 0) as machine_clicked_count,
    coalesce(messages.holdout_count, 0) as holdout_count,
    coalesce(messages.suppressed_count, 0) as suppressed_count,
    coalesce(credited.credited_buyer_count, 0) as credited_buyer_count,
    coalesce(credited.credited_order_count, 0) as credited_order_count,
    cast(coalesce(credited.credited_amount, 0) as decimal(18, 2)) as credited_amount,
    cast(coalesce(credited.organic_amount, 0) as decimal(18, 2)) as organic_amount,
    cast(coalesce(credited.final_credited_amount, 0) as decimal(18, 2)) as final_credited_amount,
    cast(
        coalesce(credited.credited_amount, 0) - coalesce(credited.final_credited_amount, 0)
        as decimal(18, 2)
    ) as provisional_credited_amount,
    cast(coalesce(credited.credited_delivered_amount, 0) as decimal(18, 2))
        as credited_delivered_amount,
    cast(coalesce(credited.credited_clicked_amount, 0) as decimal(18, 2))
        as credited_clicked_amount,
    cast(coalesce(credited.credited_coupon_amount, 0) as decimal(18, 2)) as credited_coupon_amount,
    cast(coalesce(credited.adjustment_amount, 0) as decimal(18, 2)) as adjustment_amount,
    coalesce(naive.naive_buyer_count, 0) as naive_buyer_count,
    coalesce(naive.naive_order_count, 0) as naive_order_count,
    cast(coalesce(naive.naive_paid_amount, 0) as decimal(18, 2)) as naive_paid_amount,
    cast(coalesce(naive.naive_item_quantity, 0) as decimal(18, 3)) as naive_item_quantity,
    cast(naive.naive_buyer_count as double) / nullif(reached.member_count, 0)
        as naive_conversion_rate,
    cast(naive.naive_paid_amount / nullif(naive.naive_buyer_count, 0) as decimal(18, 2))
        as naive_buyer_average_amount,
    cast(naive.naive_paid_amount / nullif(naive.naive_item_quantity, 0) as decimal(18, 2))
        as naive_item_average_amount,
    coalesce(naive.naive_placed_buyer_count, 0) as naive_placed_buyer_count,
    coalesce(naive.naive_placed_order_count, 0) as naive_placed_order_count,
    cast(coalesce(naive.naive_placed_amount, 0) as decimal(18, 2)) as naive_placed_amount,
    cast(coalesce(naive.naive_placed_item_quantity, 0) as decimal(18, 3))
        as naive_placed_item_quantity,
    coalesce(naive.naive_unpaid_buyer_count, 0) as naive_unpaid_buyer_count,
    coalesce(naive.naive_unpaid_order_count, 0) as naive_unpaid_order_count,
    cast(coalesce(naive.naive_unpaid_amount, 0) as decimal(18, 2)) as naive_unpaid_amount,
    cast(coalesce(naive.naive_unpaid_item_quantity, 0) as decimal(18, 3))
        as naive_unpaid_item_quantity,
    cast(costs.cost_amount as decimal(18, 2)) as cost_amount,
    cast(naive.naive_paid_amount as double) / nullif(cast(costs.cost_amount as double), 0)
        as naive_roi_rate,
    cast(credited.credited_amount as double) / nullif(cast(costs.cost_amount as double), 0)
        as credited_roi_rate
from spine
left join organic_keys
    on spine.campaign_key = organic_keys.campaign_key
left join registered
    on spine.campaign_key = registered.campaign_key
left join messages
    on
        spine.campaign_key = messages.campaign_key
        and spine.currency = messages.currency
left join reached
    on spine.campaign_key = reached.campaign_key
left join costs
    on
        spine.campaign_key = costs.campaign_key
        and spine.currency = costs.currency
left join credited
    on
        spine.campaign_key = credited.campaign_key
        and spine.brand = credited.brand
        and spine.currency = credited.currency
left join naive
    on
        spine.campaign_key = naive.campaign_key
        and spine.brand = naive.brand
        and spine.currency = naive.currency
