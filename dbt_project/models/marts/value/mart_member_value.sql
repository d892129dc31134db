{#- Rewritten every night: everybody is a day older. -#}
{{ config(materialized='table') }}

with run as (
    select * from {{ source('ops', 'run') }}
),

-- Members of one brand and currency who came back as often and first ordered on the same day: all
-- that they share is worked out once.
members as (
    select
        purchases.brand,
        purchases.currency,
        purchases.repeat_day_count,
        purchases.first_order_date,
        {{ days_between('purchases.first_order_date', 'run.as_of_date') }} as age_days,
        {{ frequency_bucket('purchases.repeat_day_count') }} as frequency_bucket
    from {{ ref('int_value__purchases') }} as purchases
    cross join run
    group by
        purchases.brand,
        purchases.currency,
        purchases.repeat_day_count,
        purchases.first_order_date,
        age_days
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

numbers as (
    {{ numbers_to(value_parameter('frequency_bucket_max', 'bigint') ~ ' + 1') }}
),

buckets as (
    select
        models.brand,
        models.currency,
        numbers.step - 1 as frequency_bucket
    from models
    cross join numbers
),

cohort_outlooks as (
    select
        buckets.brand,
        buckets.currency,
        buckets.frequency_bucket,
        {%- for days in outlook_days() %}
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
                where
                cohorts.horizon_days = {{ tested_days() }} and cohorts.bucket_kind = 'frequency'
            ),
            max(cohorts.none_rate) filter (
                where cohorts.horizon_days = {{ tested_days() }} and cohorts.bucket_kind = 'all'
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
        {{ value_parameter('clv_period_count', 'double') }} as period_count,
        {{ value_parameter('clv_discount_rate', 'double') }} as discount_rate,
        {{ value_parameter('next_order_prior_gaps', 'double') }} as prior_gaps,
        {{ value_parameter('cycle_fallback_days', 'double') }} as cycle_fallback_days,
        {{ value_parameter('max_overdue_ratio', 'double') }} as max_overdue_ratio
),

bases as (
    select
        members.*,
        models.version,
        models.alpha_days,
        models.r + members.repeat_day_count as rate_shape,
        case
            when members.repeat_day_count = 0 then 0e0
            else models.a / nullif(models.b + members.repeat_day_count - 1, 0)
        end as odds_factor,
        ln(models.alpha_days + members.age_days) as log_age,
        models.spend_p,
        models.spend_q,
        models.spend_v,
        models.mean_order_value,
        coalesce(models.cycle_days, periods.cycle_fallback_days) as cycle_days,
        case
            when models.version is null then 'not_fitted'
            else models.reason
        end as reason,
        case
            when models.readiness = 'ready' then 'model'
            when cohort_outlooks.frequency_bucket is not null then 'cohort'
        end as basis,
        case
            when models.readiness = 'ready' and models.spend_reason is null then 'model'
            when models.version is not null then 'cohort'
        end as value_basis,
        case
            when models.version is null then 'not_fitted'
            when models.readiness = 'ready' then models.spend_reason
            else models.reason
        end as value_reason,
        outlooks.expected_orders_30d as alive_orders_30d,
        outlooks.expected_orders_90d as alive_orders_90d,
        outlooks.expected_orders_365d as alive_orders_365d,
        cast(outlooks.discounted_orders as double) as alive_discounted_orders,
        cohort_outlooks.expected_orders_30d as cohort_orders_30d,
        cohort_outlooks.expected_orders_90d as cohort_orders_90d,
        cohort_outlooks.expected_orders_365d as cohort_orders_365d,
        cohort_outlooks.no_order_90d_probability as cohort_no_order_90d_probability,
        coalesce(own_costs.kept_rate, brand_costs.kept_rate, all_costs.kept_rate) as kept_rate,
        periods.horizon_days,
        periods.period_count,
        periods.discount_rate,
        periods.prior_gaps,
        periods.max_overdue_ratio,
        cast(periods.horizon_days as integer) as clv_horizon_days
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

-- Of a member that is there; of a member of the cohort, gone or not, where there is no model.
-- What a cohort orders within the horizon is what it ordered in the longest time that it could be
-- watched, at that pace, discounted as if it came half-way.
kinds as (
    select
        bases.*,
        case
            when bases.basis = 'model' then bases.alive_orders_30d
            else bases.cohort_orders_30d
        end as orders_30d,
        case
            when bases.basis = 'model' then bases.alive_orders_90d
            else bases.cohort_orders_90d
        end as orders_90d,
        case
            when bases.basis = 'model' then bases.alive_orders_365d
            else bases.cohort_orders_365d
        end as orders_365d,
        case
            when bases.basis = 'model' then bases.alive_discounted_orders
            else
                coalesce(
                    {%- for days in outlook_days() | reverse %}
                        bases.cohort_orders_{{ days }}d * bases.horizon_days / nullif({{ days }}, 0)
                        {{- ',' if not loop.last }}
                    {%- endfor %}
                )
                * power(1e0 + bases.discount_rate, -0.5e0 * bases.period_count)
        end as discounted_orders,
        case
            when bases.basis = 'model' then 'model'
            {%- for days in outlook_days() | reverse %}
                when bases.cohort_orders_{{ days }}d is not null then 'cohort_{{ days }}d'
            {%- endfor %}
        end as clv_basis,
        case
            when bases.basis = 'model' then bases.reason
            when bases.cohort_orders_{{ outlook_days() | last }}d is not null then bases.reason
            when bases.version is null then bases.reason
            when bases.basis = 'cohort' then 'under_one_year'
            else 'not_watched'
        end as clv_reason,
        case
            when bases.basis = 'model' then {{ order_probability(tested_days(), 'bases') }}
            else 1e0 - bases.cohort_no_order_90d_probability
        end as order_90d_probability,
        -- Gamma-Gamma (Fader and Hardie 2013): p (v + x m) / (p x + q - 1), by what does not depend
        -- on the member's money and what does.
        case
            when bases.value_basis = 'model'
                then
                    bases.spend_p * bases.spend_v
                    / nullif(bases.spend_p * bases.repeat_day_count + bases.spend_q - 1, 0)
            else bases.mean_order_value
        end as value_base,
        case
            when bases.value_basis = 'model'
                then
                    bases.spend_p
                    / nullif(bases.spend_p * bases.repeat_day_count + bases.spend_q - 1, 0)
            else 0e0
        end as value_slope
    from bases
),

scored as (
    select
        purchases.member_key,
        purchases.brand,
        purchases.currency,
        purchases.repeat_day_count,
        purchases.last_order_date,
        {{ days_between('purchases.last_order_date', 'run.as_of_date') }} as silent_days,
        (
            {{ days_between('purchases.first_order_date', 'purchases.last_order_date') }}
            + kinds.prior_gaps * kinds.cycle_days
        ) / nullif(purchases.repeat_day_count + kinds.prior_gaps, 0) as gap_days,
        kinds.max_overdue_ratio,
        kinds.version,
        kinds.basis,
        kinds.reason,
        kinds.value_basis,
        kinds.value_reason,
        case
            when kinds.basis = 'model'
                then {{ alive_probability(
                    days_between('purchases.first_order_date', 'purchases.last_order_date'), 'kinds'
                ) }}
        end as alive_probability,
        kinds.order_90d_probability,
        kinds.orders_30d,
        kinds.orders_90d,
        kinds.orders_365d,
        kinds.discounted_orders,
        kinds.clv_basis,
        kinds.clv_reason,
        kinds.value_base + kinds.value_slope * cast(purchases.repeat_net_amount as double)
            as order_value,
        kinds.kept_rate,
        cast(purchases.net_amount * kinds.kept_rate as decimal(18, 2)) as historic_clv_amount,
        kinds.clv_horizon_days,
        kinds.discount_rate,
        run.as_of_date
    from {{ ref('int_value__purchases') }} as purchases
    cross join run
    inner join kinds
        on
            purchases.brand = kinds.brand
            and purchases.currency = kinds.currency
            and purchases.repeat_day_count = kinds.repeat_day_count
            and purchases.first_order_date = kinds.first_order_date
),

valued as (
    select
        *,
        coalesce(alive_probability, 1e0) as presence,
        cast(
            coalesce(alive_probability, 1e0) * discounted_orders * order_value
            * cast(kept_rate as double)
            as decimal(18, 2)
        ) as predicted_clv_amount
    from scored
)

select
    member_key,
    brand,
    currency,
    as_of_date,
    repeat_day_count,
    version as model_version,
    basis as prediction_basis,
    reason,
    cast(alive_probability as decimal(9, 8)) as alive_probability,
    cast(1e0 - presence * order_90d_probability as decimal(9, 8)) as no_order_90d_probability,
    cast(presence * orders_30d as decimal(18, 8)) as expected_orders_30d,
    cast(presence * orders_90d as decimal(18, 8)) as expected_orders_90d,
    cast(presence * orders_365d as decimal(18, 8)) as expected_orders_365d,
    case
        when silent_days <= max_overdue_ratio * gap_days
            then {{ add_days('last_order_date', 'round(gap_days)') }}
    end as expected_next_order_date,
    value_basis,
    value_reason,
    cast(order_value as decimal(18, 8)) as expected_order_value,
    historic_clv_amount,
    clv_basis,
    clv_reason,
    predicted_clv_amount,
    cast(historic_clv_amount + predicted_clv_amount as decimal(18, 2)) as total_clv_amount,
    clv_horizon_days,
    cast(discount_rate as decimal(9, 6)) as clv_discount_rate
from valued
