-- Campaigns and the organic row together are all orders, per brand and currency, to the fen.
with campaigns as (
    select
        brand,
        currency,
        count(*) - count(distinct campaign_key) as repeated_count,
        sum(case when row_kind = 'organic' then 1 else 0 end) as organic_count,
        sum(credited_amount + organic_amount) as total_amount
    from {{ ref('mart_campaign_attribution') }}
    group by brand, currency
),

orders as (
    select
        brand,
        currency,
        sum(net_amount) as total_amount
    from {{ ref('fct_order_attribution') }}
    group by brand, currency
)

select
    'mart_campaign_attribution: credited and organic are not the total' as violation,
    count(*) as violation_count
from campaigns
full outer join orders
    on
        campaigns.brand = orders.brand
        and campaigns.currency = orders.currency
where
    coalesce(campaigns.repeated_count, 1) <> 0
    or campaigns.organic_count <> 1
    or campaigns.total_amount <> coalesce(orders.total_amount, 0)
having count(*) > 0
