{{ config(materialized='view') }}

-- A file that is dropped again corrects the one before.
select
    brand,
    platform,
    shop,
    interaction_key,
    interaction_id,
    customer_key,
    buyer_id,
    kind,
    occurred_at,
    detail,
    record_source,
    _batch_id,
    _line,
    _extracted_at
from {{ ref('stg_file__interactions') }}
qualify
    row_number() over (
        partition by interaction_key
        order by
            _extracted_at desc nulls last, _batch_id desc nulls last, _line desc nulls last
    ) = 1
