{{ config(materialized='view') }}

-- A file that is dropped again corrects the one before.
select
    brand,
    platform,
    shop,
    points_entry_key,
    entry_id,
    customer_key,
    buyer_id,
    kind,
    point_count,
    occurred_at,
    order_key,
    order_id,
    expires_at,
    record_source,
    _batch_id,
    _line,
    _extracted_at
from {{ ref('stg_file__points') }}
qualify
    row_number() over (
        partition by brand, platform, shop, entry_id
        order by
            _extracted_at desc nulls last, _batch_id desc nulls last, _line desc nulls last
    ) = 1
