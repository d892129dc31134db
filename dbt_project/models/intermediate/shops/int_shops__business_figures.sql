{{ config(materialized='view', tags=['members']) }}

-- A file that is dropped again corrects the one before.
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
    record_source,
    _batch_id,
    _line,
    _extracted_at
from {{ ref('stg_file__business_daily') }}
where report_date is not null
qualify
    row_number() over (
        partition by brand, platform, shop, report_date
        order by
            _extracted_at desc nulls last, _batch_id desc nulls last, _line desc nulls last
    ) = 1
