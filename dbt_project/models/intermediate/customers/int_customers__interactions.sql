{{ config(materialized='view') }}

-- A record that is dropped again corrects the one before.
select
    brand,
    platform,
    shop,
    interaction_key,
    customer_key,
    kind,
    occurred_at
from {{ ref('stg_file__interactions') }}
qualify
    row_number() over (
        partition by interaction_key
        order by _extracted_at desc nulls last, _batch_id desc nulls last, _line desc nulls last
    ) = 1
