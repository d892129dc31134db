{{ config(materialized='view', tags=['members']) }}

-- Platforms restate their days; the report made last counts.
select
    brand,
    platform,
    shop,
    report_date,
    created_order_count,
    paid_order_count,
    paid_amount,
    refund_count,
    refund_amount,
    currency
from {{ ref('stg_file__platform_totals') }}
where report_date is not null
qualify
    row_number() over (
        partition by brand, platform, shop, report_date
        order by
            exported_at desc nulls last,
            _extracted_at desc nulls last,
            _batch_id desc nulls last,
            _line desc nulls last
    ) = 1
