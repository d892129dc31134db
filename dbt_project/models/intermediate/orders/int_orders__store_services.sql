{{ config(materialized='view') }}

-- A file that is dropped again corrects the one before.
select
    brand,
    platform,
    shop,
    store_service_key,
    service_id,
    order_key,
    order_id,
    line_id,
    kind,
    store_id,
    occurred_at,
    refund_key,
    refund_id,
    replacement_order_key,
    replacement_order_id,
    kind = 'exchange'
    and replacement_order_key is not null
    and replacement_order_key <> order_key as is_exchanged_order,
    record_source,
    _batch_id,
    _line,
    _extracted_at
from {{ ref('stg_file__store_services') }}
qualify
    row_number() over (
        partition by store_service_key
        order by
            _extracted_at desc nulls last, _batch_id desc nulls last, _line desc nulls last
    ) = 1
