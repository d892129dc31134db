{#- A view: read once a night, to see whether a fit is due and possible. -#}
{{ config(materialized='view') }}

with run as (
    select * from {{ source('ops', 'run') }}
),

counted as (
    select
        brand,
        currency,
        count(*) as buyer_count,
        count(*) filter (where repeat_day_count > 0) as repeat_buyer_count,
        count(*) filter (
            where order_day_count >= {{ value_parameter('frequent_order_days', 'bigint') }}
        ) as frequent_buyer_count,
        cast(sum(order_day_count) as bigint) as order_day_count,
        cast(sum(net_amount) as decimal(18, 2)) as net_amount,
        min(first_order_date) as first_order_date,
        max(last_order_date) as last_order_date
    from {{ ref('int_value__purchases') }}
    group by brand, currency
)

select
    counted.brand,
    counted.currency,
    counted.buyer_count,
    counted.repeat_buyer_count,
    counted.order_day_count,
    counted.first_order_date,
    counted.last_order_date,
    {{ days_between('counted.first_order_date', 'run.as_of_date') }} as history_days,
    case
        when counted.buyer_count < {{ value_parameter('min_buyers', 'bigint') }}
            then 'too_few_buyers'
        when
            {{ days_between('counted.first_order_date', 'run.as_of_date') }}
            < {{ value_parameter('min_history_days', 'bigint') }}
            then 'short_history'
        when
            {{ days_between('counted.last_order_date', 'run.as_of_date') }}
            > {{ value_parameter('max_silence_days', 'bigint') }}
            then 'no_recent_orders'
        when counted.frequent_buyer_count = 0 then 'no_frequent_buyers'
        when counted.repeat_buyer_count < {{ value_parameter('min_repeat_buyers', 'bigint') }}
            then 'too_few_repeat_buyers'
    end as reason,
    round(cast(counted.net_amount as double) / nullif(counted.order_day_count, 0), 6)
        as mean_order_value,
    {{ value_parameter('refit_days', 'integer') }} as refit_days,
    cast({{ tested_days() }} as integer) as holdout_days,
    {{ value_parameter('min_auc_rate', 'double') }} as min_auc_rate,
    {{ value_parameter('max_calibration_error_rate', 'double') }} as max_calibration_error_rate,
    {{ value_parameter('frequency_bucket_max', 'integer') }} as frequency_bucket_max
from counted
cross join run
