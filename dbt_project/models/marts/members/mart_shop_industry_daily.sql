{#- Rewritten every night, as the traffic it is compared with. -#}
{{ config(materialized='table') }}

with averages as (
    select * from {{ ref('int_shops__industry_averages') }}
),

traffic as (
    select
        *,
        paid_amount / nullif(buyer_count, 0) as buyer_average_amount
    from {{ ref('mart_shop_traffic_daily') }}
),

-- Files name a figure as business_daily does, or as we do: one column of ours answers to both.
own_figures as (
    {%- for figure, column in {
        'visitors': 'visitor_count',
        'page_views': 'page_view_count',
        'home_visitors': 'home_visitor_count',
        'viewed_products': 'viewed_product_count',
        'returning_visitors': 'returning_visitor_count',
        'pc_visitors': 'pc_visitor_count',
        'pc_page_views': 'pc_page_view_count',
        'spend_per_buyer_amount': 'buyer_average_amount',
        'returning_buyers': 'returning_buyer_count',
        'service_rating': 'service_rating',
        'description_rating': 'description_rating',
        'shop_favorites': 'shop_favorite_count',
        'new_visitors': 'new_visitor_count',
        'buyers': 'buyer_count',
        'conversion_rate': 'conversion_rate',
    }.items() %}
        select
            brand,
            platform,
            shop,
            day_date,
            '{{ figure }}' as figure,
            '{{ column }}' as own_column,
            cast({{ column }} as decimal(18, 4)) as own_value
        from traffic
        {{ 'union all' if not loop.last }}
    {%- endfor %}
),

compared as (
    select
        averages.brand,
        averages.platform,
        averages.shop,
        averages.report_date as day_date,
        averages.category,
        averages.figure,
        own_figures.own_column,
        own_figures.own_value,
        averages.industry_average
    from averages
    left join own_figures
        on
            averages.brand = own_figures.brand
            and averages.platform = own_figures.platform
            and averages.shop = own_figures.shop
            and averages.report_date = own_figures.day_date
            and averages.figure in (own_figures.figure, own_figures.own_column)
)

select
    brand,
    platform,
    shop,
    day_date,
    category,
    figure,
    own_value,
    cast(industry_average as decimal(18, 4)) as industry_average,
    cast(own_value / nullif(industry_average, 0) as decimal(18, 6)) as industry_ratio,
    case
        when own_column is null then 'figure_unknown_or_day_not_there'
        when own_value is null then 'figure_not_delivered'
    end as own_gap_reason
from compared
