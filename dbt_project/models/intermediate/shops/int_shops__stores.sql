{{ config(materialized='view', tags=['members']) }}

-- Files have no time of change: the one that landed last counts.
select
    brand,
    platform,
    shop,
    store_key,
    store_id,
    store_name,
    city,
    province,
    opened_date,
    record_source,
    _batch_id,
    _line,
    _extracted_at
from {{ ref('stg_file__stores') }}
qualify
    row_number() over (
        partition by brand, platform, shop, store_id
        order by
            _extracted_at desc nulls last, _batch_id desc nulls last, _line desc nulls last
    ) = 1
