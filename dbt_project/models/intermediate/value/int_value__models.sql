{#- Parameters are recorded, never fitted anew by a night or a replay: a score changes because the
    member changed, or because a version was recorded. An attempt that failed leaves the one before
    it in force. -#}
{{ config(materialized='view') }}

with versions as (
    select
        *,
        row_number() over (
            partition by brand, currency, readiness <> 'failed'
            order by version desc nulls last
        ) as recency_rank
    from {{ source('raw', 'state__value_models') }}
    where valid_from <= {{ as_of_date() }}
)

select
    brand,
    currency,
    version,
    valid_from,
    readiness,
    reason,
    readiness <> 'failed' and recency_rank = 1 as is_in_force,
    first_order_date,
    last_order_date,
    buyer_count,
    repeat_buyer_count,
    r,
    alpha_days,
    a,
    b,
    log_likelihood,
    spend_p,
    spend_q,
    spend_v,
    spend_log_likelihood,
    spend_reason,
    value_correlation,
    mean_order_value,
    cycle_days,
    brier_score,
    auc_rate,
    calibration_error_rate
from versions
