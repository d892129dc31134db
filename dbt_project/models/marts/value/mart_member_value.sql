{#- Rewritten every night: everybody is a day older. -#}
{{ config(materialized='table') }}

with run as (
    select * from {{ source('ops', 'run') }}
),

members as (
    select
        purchases.*,
        {{ days_between('purchases.first_order_date', 'purchases.last_order_date') }} as recency_days,
        {{ days_between('purchases.first_order_date', 'run.as_of_date') }} as age_days,
        {{ days_between('purchases.last_order_date', 'run.as_of_date') }} as silent_days,
        {{ frequency_bucket('purchases.repeat_day_count') }} as frequency_bucket
    from {{ ref('int_value__purchases') }} as purchases
    cross join run
),

models as (
    select *
    from {{ ref('int_value__models') }}
    where is_in_force
),

outlooks as (
    select * from {{ ref('int_value__outlooks') }}
),

-- What members of the same standing did when it could be watched; all members where too few of the
-- bucket were there.
cohorts as (
    select
        calibrations.brand,
        calibrations.currency,
        calibrations.horizon_days,
        calibrations.bucket_kind,
        calibrations.bucket,
        cast(calibrations.actual_order_count as double) / nullif(calibrations.member_count, 0)
            as mean_orders,
        cast(calibrations.actual_none_count as double) / nullif(calibrations.member_count, 0)
            as none_rate
    from {{ ref('int_value__calibrations') }} as calibrations
    inner join models
        on
            calibrations.brand = models.brand
            and calibrations.currency = models.currency
            and calibrations.version = models.version
    where
        calibrations.bucket_kind in ('frequency', 'all')
        and calibrations.member_count >= {{ value_parameter('cohort_min_members', 'bigint') }}
),

buckets as (
    select
        models.brand,
        models.currency,
        numbers.step - 1 as frequency_bucket
    from models
    cross join (
        {{ numbers_to(value_parameter('frequency_bucket_max', 'bigint') ~ ' + 1') }}
    ) as numbers
),

cohort_outlooks as (
    select
        buckets.brand,
        buckets.currency,
        buckets.frequency_bucket,
        {%- for days in [30, 90, 365] %}
        coalesce(
            max(cohorts.mean_orders) filter (
                where cohorts.horizon_days = {{ days }} and cohorts.bucket_kind = 'frequency'
            ),
            max(cohorts.mean_orders) filter (
                where cohorts.horizon_days = {{ days }} and cohorts.bucket_kind = 'all'
            )
        ) as expected_orders_{{ days }}d,
        {%- endfor %}
        coalesce(
            max(cohorts.none_rate) filter (
                where cohorts.horizon_days = 90 and cohorts.bucket_kind = 'frequency'
            ),
            max(cohorts.none_rate) filter (
                where cohorts.horizon_days = 90 and cohorts.bucket_kind = 'all'
            )
        ) as no_order_90d_probability
    from buckets
    inner join cohorts
        on
            buckets.brand = cohorts.brand
            and buckets.currency = cohorts.currency
            and (cohorts.bucket_kind = 'all' or buckets.frequency_bucket = cohorts.bucket)
    group by buckets.brand, buckets.currency, buckets.frequency_bucket
),

costs as (
    select
        brand,
        currency,
        cast(margin_rate - service_cost_rate - promotion_cost_rate as decimal(9, 6)) as kept_rate
    from {{ ref('value_costs') }}
),

periods as (
    select
        {{ value_parameter('clv_period_days', 'double') }}
        * {{ value_parameter('clv_period_count', 'double') }} as horizon_days,
        {{ value_parameter('clv_period_days', 'double') }}
        * {{ value_parameter('clv_period_count', 'double') }} / nullif(365, 0) as horizon_years,
        {{ value_parameter('clv_period_count', 'double') }} as period_count,
        {{ value_parameter('clv_discount_rate', 'double') }} as discount_rate,
        {{ value_parameter('next_order_prior_gaps', 'double') }} as prior_gaps,
        {{ value_parameter('cycle_fallback_days', 'double') }} as cycle_fallback_days,
        {{ value_parameter('max_overdue_ratio', 'double') }} as max_overdue_ratio
),

predicted as (
    select
        members.member_key,
        members.brand,
        members.currency,
        members.repeat_day_count,
        members.last_order_date,
        members.silent_days,
        members.net_amount,
        models.version,
        case
            when models.readiness = 'ready' then 'model'
            when cohort_outlooks.frequency_bucket is not null then 'cohort'
        end as basis,
        case
            when models.version is null then 'not_fitted'
            when models.readiness <> 'ready' then models.reason
        end as reason,
        case
            when models.readiness = 'ready' and models.spend_reason is null then 'model'
            when models.version is not null then 'cohort'
        end as value_basis,
        case
            when models.version is null then 'not_fitted'
            when models.readiness <> 'ready' then models.reason
            else models.spend_reason
        end as value_reason,
        case
            when models.readiness = 'ready'
                then {{ alive_probability(
                    'members.repeat_day_count', 'members.recency_days', 'members.age_days', 'models'
                ) }}
        end as alive_probability,
        members.age_days,
        models.r,
        models.alpha_days,
        outlooks.expected_orders_30d as alive_orders_30d,
        outlooks.expected_orders_90d as alive_orders_90d,
        outlooks.expected_orders_365d as alive_orders_365d,
        cast(outlooks.discounted_orders as double) as alive_discounted_orders,
        cohort_outlooks.expected_orders_30d as cohort_orders_30d,
        cohort_outlooks.expected_orders_90d as cohort_orders_90d,
        cohort_outlooks.expected_orders_365d as cohort_orders_365d,
        cohort_outlooks.no_order_90d_probability as cohort_no_order_90d_probability,
        case
            when models.readiness = 'ready' and models.spend_reason is null
                then {{ expected_order_value(
                    'members.repeat_day_count', 'cast(members.repeat_net_amount as double)', 'models'
                ) }}
            else models.mean_order_value
        end as order_value,
        coalesce(own_costs.kept_rate, brand_costs.kept_rate, all_costs.kept_rate) as kept_rate,
        (
            members.recency_days
            + periods.prior_gaps * coalesce(models.cycle_days, periods.cycle_fallback_days)
        ) / nullif(members.repeat_day_count + periods.prior_gaps, 0) as gap_days,
        periods.horizon_days,
        periods.horizon_years,
        periods.period_count,
        periods.discount_rate,
        periods.max_overdue_ratio
    from members
    cross join periods
    left join models
        on
            members.brand = models.brand
            and members.currency = models.currency
    left join outlooks
        on
            members.brand = outlooks.brand
            and members.currency = outlooks.currency
            and members.repeat_day_count = outlooks.repeat_day_count
            and members.age_days = outlooks.age_days
    left join cohort_outlooks
        on
            members.brand = cohort_outlooks.brand
            and members.currency = cohort_outlooks.currency
            and members.frequency_bucket = cohort_outlooks.frequency_bucket
    left join costs as own_costs
        on
            members.brand = own_costs.brand
            and members.currency = own_costs.currency
    left join costs as brand_costs
        on
            members.brand = brand_costs.brand
            and brand_costs.currency = '*'
    left join costs as all_costs
        on
            all_costs.brand = '*'
            and all_costs.currency = '*'
),

-- Nobody can watch a young shop's members for a year: what a cohort spends within the horizon is
-- known where the horizon of 365 days is, and discounted as if it came half-way.
outlook as (
    select
        predicted.*,
        case
            when basis = 'model' then alive_probability * alive_orders_30d
            else cohort_orders_30d
        end as expected_orders_30d,
        case
            when basis = 'model' then alive_probability * alive_orders_90d
            else cohort_orders_90d
        end as expected_orders_90d,
        case
            when basis = 'model' then alive_probability * alive_orders_365d
            else cohort_orders_365d
        end as expected_orders_365d,
        case
            when basis = 'model'
                then {{ no_order_probability(
                    'alive_probability', 'repeat_day_count', 'age_days', '90', 'predicted'
                ) }}
            else cohort_no_order_90d_probability
        end as no_order_90d_probability,
        case
            when basis = 'model' then alive_probability * alive_discounted_orders
            else
                cohort_orders_365d * horizon_years
                * power(1e0 + discount_rate, -0.5e0 * period_count)
        end as discounted_orders,
        cast(net_amount * kept_rate as decimal(18, 2)) as historic_clv_amount
    from predicted
),

valued as (
    select
        outlook.*,
        cast(
            round(discounted_orders * order_value * cast(kept_rate as double), 2) as decimal(18, 2)
        ) as predicted_clv_amount
    from outlook
)

select
    valued.member_key,
    valued.brand,
    valued.currency,
    run.as_of_date,
    valued.repeat_day_count,
    valued.version as model_version,
    valued.basis as prediction_basis,
    valued.reason,
    cast(valued.alive_probability as decimal(9, 8)) as alive_probability,
    cast(valued.no_order_90d_probability as decimal(9, 8)) as no_order_90d_probability,
    cast(valued.expected_orders_30d as decimal(18, 8)) as expected_orders_30d,
    cast(valued.expected_orders_90d as decimal(18, 8)) as expected_orders_90d,
    cast(valued.expected_orders_365d as decimal(18, 8)) as expected_orders_365d,
    case
        when valued.silent_days <= valued.max_overdue_ratio * valued.gap_days
            then {{ add_days('valued.last_order_date', 'round(valued.gap_days)') }}
    end as expected_next_order_date,
    valued.value_basis,
    valued.value_reason,
    cast(valued.order_value as decimal(18, 8)) as expected_order_value,
    valued.historic_clv_amount,
    valued.predicted_clv_amount,
    cast(valued.historic_clv_amount + valued.predicted_clv_amount as decimal(18, 2))
        as total_clv_amount,
    cast(valued.horizon_days as integer) as clv_horizon_days,
    cast(valued.discount_rate as decimal(9, 6)) as clv_discount_rate
from valued
cross join run
