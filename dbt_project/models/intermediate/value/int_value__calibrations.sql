{#- A view: marts read recorded state through the models of their subject. -#}
{{ config(materialized='view') }}

select
    brand,
    currency,
    version,
    horizon_days,
    bucket_kind,
    bucket,
    member_count,
    actual_order_count,
    actual_none_count,
    predicted_orders,
    predicted_nones
from {{ source('raw', 'state__value_calibrations') }}
