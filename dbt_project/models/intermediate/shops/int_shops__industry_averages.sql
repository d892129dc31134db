{{ config(materialized='view', tags=['members']) }}

-- A file that is dropped again corrects the one before.
select
    brand,
    platform,
    shop,
    report_date,
    category,
    figure,
    industry_average,
    record_source,
    _batch_id,
    _line,
    _extracted_at
from {{ ref('stg_file__industry_daily') }}
where report_date is not null
qualify
    row_number() over (
        partition by brand, platform, shop, report_date, category, figure
        order by
            _extracted_at desc nulls last, _batch_id desc nulls last, _line desc nulls last
    ) = 1
