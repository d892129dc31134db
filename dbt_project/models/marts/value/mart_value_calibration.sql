{#- A few dozen rows per version, written anew. -#}
{{ config(materialized='table') }}

select
    models.brand,
    models.currency,
    models.version as model_version,
    models.valid_from as fitted_date,
    models.is_in_force,
    models.readiness,
    models.reason,
    models.first_order_date,
    models.last_order_date,
    models.buyer_count,
    models.repeat_buyer_count,
    models.r,
    models.alpha_days,
    models.a,
    models.b,
    models.log_likelihood,
    models.spend_p,
    models.spend_q,
    models.spend_v,
    models.spend_log_likelihood,
    models.spend_reason,
    models.value_correlation,
    models.mean_order_value,
    models.cycle_days,
    models.brier_score,
    models.auc_rate,
    models.calibration_error_rate,
    coalesce(calibrations.horizon_days, 0) as horizon_days,
    coalesce(calibrations.bucket_kind, 'none') as bucket_kind,
    coalesce(calibrations.bucket, 0) as bucket,
    coalesce(calibrations.member_count, 0) as member_count,
    calibrations.actual_order_count,
    cast(calibrations.predicted_orders as decimal(18, 6)) as predicted_orders,
    calibrations.actual_none_count,
    cast(calibrations.predicted_nones as decimal(18, 6)) as predicted_nones,
    cast(
        cast(calibrations.actual_none_count as double) / nullif(calibrations.member_count, 0)
        as decimal(9, 8)
    ) as actual_none_rate,
    cast(calibrations.predicted_nones / nullif(calibrations.member_count, 0) as decimal(9, 8))
        as predicted_none_rate
from {{ ref('int_value__models') }} as models
left join {{ ref('int_value__calibrations') }} as calibrations
    on
        models.brand = calibrations.brand
        and models.currency = calibrations.currency
        and models.version = calibrations.version
