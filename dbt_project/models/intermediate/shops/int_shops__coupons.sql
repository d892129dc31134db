{{ config(materialized='view', tags=['members']) }}

-- A file that is dropped again corrects the one before.
select
    brand,
    platform,
    shop,
    coupon_key,
    coupon_id,
    campaign_key,
    campaign_id,
    coupon_name,
    face_amount,
    threshold_amount,
    valid_from_date,
    valid_to_date,
    record_source,
    _batch_id,
    _line,
    _extracted_at
from {{ ref('stg_file__coupons') }}
qualify
    row_number() over (
        partition by brand, platform, shop, coupon_id
        order by
            _extracted_at desc nulls last, _batch_id desc nulls last, _line desc nulls last
    ) = 1
