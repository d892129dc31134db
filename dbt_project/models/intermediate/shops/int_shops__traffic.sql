{{ config(materialized='view', tags=['members']) }}

-- Visitors of several channels overlap: only the channel that stands for all of them counts.
select
    brand,
    platform,
    shop,
    traffic_date,
    visitor_count,
    new_visitor_count,
    returning_visitor_count,
    page_view_count
from {{ ref('stg_file__traffic') }}
where channel = 'all'
qualify
    row_number() over (
        partition by brand, platform, shop, traffic_date
        order by
            _extracted_at desc nulls last, _batch_id desc nulls last, _line desc nulls last
    ) = 1
