{{ config(materialized='view') }}

-- A file that is dropped again corrects the one before.
select
    brand,
    platform,
    shop,
    agent_contact_key,
    contact_id,
    customer_key,
    buyer_id,
    order_key,
    order_id,
    agent,
    contacted_at,
    kind,
    outcome,
    record_source,
    _batch_id,
    _line,
    _extracted_at
from {{ ref('stg_file__agent_contacts') }}
qualify
    row_number() over (
        partition by brand, platform, shop, contact_id
        order by
            _extracted_at desc nulls last, _batch_id desc nulls last, _line desc nulls last
    ) = 1
