{#- Rewritten every night: restated reports move any past day, and the whole is one row per shop and
    day. -#}
{{ config(materialized='table') }}

with shop_days as (
    select
        brand,
        platform,
        shop,
        day_date,
        currency,
        max(buyer_count) filter (where customer_group = 'total') as buyer_count,
        max(buyer_count) filter (where customer_group = 'new') as new_buyer_count,
        max(paid_amount) filter (where customer_group = 'total') as paid_amount
    from {{ ref('mart_shop_daily') }}
    group by brand, platform, shop, day_date, currency
),

figures as (
    select * from {{ ref('int_shops__business_figures') }}
),

traffic as (
    select * from {{ ref('int_shops__traffic') }}
),

-- The platform's own advisor is preferred to a count of the merchant's; figures of the two are
-- never mixed within a day, because each counts visitors in its own way.
combined as (
    select
        shop_days.brand,
        shop_days.platform,
        shop_days.shop,
        shop_days.day_date,
        shop_days.currency,
        shop_days.buyer_count,
        shop_days.new_buyer_count,
        shop_days.paid_amount,
        case
            when figures.visitor_count is not null then 'business_daily'
            when traffic.visitor_count is not null then 'traffic'
        end as told_by,
        coalesce(figures.visitor_count, traffic.visitor_count) as visitor_count,
        case
            when figures.visitor_count is not null
                then figures.visitor_count - figures.returning_visitor_count
            else
                coalesce(
                    traffic.new_visitor_count,
                    traffic.visitor_count - traffic.returning_visitor_count
                )
        end as new_visitor_count,
        case
            when figures.visitor_count is not null then figures.returning_visitor_count
            else
                coalesce(
                    traffic.returning_visitor_count,
                    traffic.visitor_count - traffic.new_visitor_count
                )
        end as returning_visitor_count,
        case
            when figures.visitor_count is not null then figures.page_view_count
            else traffic.page_view_count
        end as page_view_count,
        figures.pc_visitor_count,
        figures.pc_page_view_count,
        figures.home_visitor_count,
        figures.viewed_product_count,
        figures.shop_favorite_count,
        figures.service_rating,
        figures.description_rating
    from shop_days
    left join figures
        on
            shop_days.brand = figures.brand
            and shop_days.platform = figures.platform
            and shop_days.shop = figures.shop
            and shop_days.day_date = figures.report_date
    left join traffic
        on
            shop_days.brand = traffic.brand
            and shop_days.platform = traffic.platform
            and shop_days.shop = traffic.shop
            and shop_days.day_date = traffic.traffic_date
)

select
    brand,
    platform,
    shop,
    day_date,
    told_by,
    visitor_count,
    new_visitor_count,
    returning_visitor_count,
    page_view_count,
    pc_visitor_count,
    visitor_count - pc_visitor_count as wireless_visitor_count,
    pc_page_view_count,
    home_visitor_count,
    viewed_product_count,
    shop_favorite_count,
    cast(service_rating as decimal(18, 4)) as service_rating,
    cast(description_rating as decimal(18, 4)) as description_rating,
    cast(buyer_count as bigint) as buyer_count,
    cast(new_buyer_count as bigint) as new_buyer_count,
    cast(buyer_count - new_buyer_count as bigint) as returning_buyer_count,
    currency,
    cast(paid_amount as decimal(18, 2)) as paid_amount,
    cast(cast(buyer_count as decimal(18, 6)) / nullif(visitor_count, 0) as decimal(18, 6))
        as conversion_rate,
    cast(cast(new_buyer_count as decimal(18, 6)) / nullif(new_visitor_count, 0) as decimal(18, 6))
        as new_conversion_rate,
    cast(
        cast(buyer_count - new_buyer_count as decimal(18, 6)) / nullif(returning_visitor_count, 0)
        as decimal(18, 6)
    ) as returning_conversion_rate,
    case
        when told_by is null then 'no_traffic_delivered'
        when returning_visitor_count is null then 'not_split_into_new_and_returning'
    end as traffic_gap_reason
from combined
