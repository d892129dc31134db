{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'file__business_daily') }}
    where {{ only_pending_batches() }}
),

run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

parsed as (
    select
        records._brand as brand,
        records._platform as platform,
        records._shop as shop,
        try_cast(records.date as date) as report_date,
        try_cast(records.visitors as integer) as visitor_count,
        try_cast(records.visitors_change as integer) as visitor_count_change,
        try_cast(records.page_views as integer) as page_view_count,
        try_cast(records.page_views_change as integer) as page_view_count_change,
        try_cast(records.home_visitors as integer) as home_visitor_count,
        try_cast(records.home_page_views as integer) as home_page_view_count,
        try_cast(records.viewed_products as integer) as viewed_product_count,
        try_cast(records.returning_visitors as integer) as returning_visitor_count,
        try_cast(records.returning_visitor_pct as decimal(18, 4)) as returning_visitor_pct,
        try_cast(records.pc_visitors as integer) as pc_visitor_count,
        try_cast(records.pc_page_views as integer) as pc_page_view_count,
        try_cast(records.pc_viewed_products as integer) as pc_viewed_product_count,
        try_cast(records.pc_returning_visitors as integer) as pc_returning_visitor_count,
        {{ parse_amount('records.spend_per_buyer_amount') }} as buyer_average_amount,
        {{ parse_amount('records.pc_spend_per_buyer_amount') }} as pc_buyer_average_amount,
        try_cast(records.returning_buyers as integer) as returning_buyer_count,
        try_cast(records.low_rating_buyers as integer) as low_rating_buyer_count,
        try_cast(records.service_rating as decimal(18, 4)) as service_rating,
        try_cast(records.description_rating as decimal(18, 4)) as description_rating,
        try_cast(records.shop_favorites as integer) as shop_favorite_count,
        records._batch_id,
        records._line,
        records._extracted_at
    from records
    inner join run_shops
        on
            records._brand = run_shops.brand
            and records._platform = run_shops.platform
            and records._shop = run_shops.shop
)

select
    brand,
    platform,
    shop,
    report_date,
    visitor_count,
    visitor_count_change,
    page_view_count,
    page_view_count_change,
    home_visitor_count,
    home_page_view_count,
    viewed_product_count,
    returning_visitor_count,
    returning_visitor_pct,
    pc_visitor_count,
    pc_page_view_count,
    pc_viewed_product_count,
    pc_returning_visitor_count,
    buyer_average_amount,
    pc_buyer_average_amount,
    returning_buyer_count,
    low_rating_buyer_count,
    service_rating,
    description_rating,
    shop_favorite_count,
    'file' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
