{{ config(materialized='view') }}

-- A file that is dropped again corrects the one before.
select
    brand,
    platform,
    shop,
    visit_key,
    visit_id,
    customer_key,
    buyer_id,
    visited_at,
    channel,
    page,
    record_source,
    _batch_id,
    _line,
    _extracted_at
from {{ ref('stg_file__visits') }}
qualify
    row_number() over (
        partition by brand, platform, shop, visit_id
        order by
            _extracted_at desc nulls last, _batch_id desc nulls last, _line desc nulls last
    ) = 1
