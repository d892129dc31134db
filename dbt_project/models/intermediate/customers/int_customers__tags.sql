{{ config(materialized='view') }}

-- A tag that was taken off and set again is the one that was set last.
select
    brand,
    platform,
    shop,
    tag_key,
    customer_key,
    buyer_id,
    tag,
    tag_value,
    tagged_at,
    removed_at,
    record_source,
    _batch_id,
    _line,
    _extracted_at
from {{ ref('stg_file__tags') }}
qualify
    row_number() over (
        partition by brand, platform, shop, buyer_id, tag
        order by
            tagged_at desc nulls last,
            _extracted_at desc nulls last,
            _batch_id desc nulls last,
            _line desc nulls last
    ) = 1
