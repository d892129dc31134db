{#- Rewritten every night: what is known of the business date alone may be new for everyone. -#}
{{ config(materialized='table') }}

with run as (
    select * from {{ source('ops', 'run') }}
),

clauses as (
    select clauses.*
    from {{ source('config', 'segment_clauses') }} as clauses
    inner join run
        on
            clauses.valid_from <= run.as_of_date
            and coalesce(clauses.valid_to, date '9999-12-31') > run.as_of_date
    where not clauses.is_dated
),

conditions as (
    select *
    from {{ source('config', 'segment_conditions') }}
    where is_as_of
),

members as (
    select * from {{ ref('dim_members') }}
),

rfm_facts as (
    select
        rfm.member_key,
        conditions.condition_id,
        conditions.brand,
        case conditions.field
            when 'recency_band' then rfm.recency_band
            when 'frequency_band' then rfm.frequency_band
            when 'aov_band' then rfm.aov_band
            when 'rfm_class' then rfm.rfm_class
            when 'rfm_segment' then rfm.rfm_segment
        end as text_value,
        case conditions.field
            when 'recency_score' then rfm.recency_score
            when 'frequency_score' then rfm.frequency_score
            when 'monetary_score' then rfm.monetary_score
        end as number_value
    from {{ ref('mart_member_rfm') }} as rfm
    inner join conditions
        on
            rfm.brand = conditions.brand
            and conditions.family = 'rfm'
),

behaviour_facts as (
    select
        behaviour.member_key,
        conditions.condition_id,
        conditions.brand,
        case conditions.field
            when 'loyalty_type' then behaviour.loyalty_type
            when 'member_quality' then behaviour.member_quality
        end as text_value,
        case
            when conditions.field = 'refunded_order_count' then behaviour.refunded_order_count
        end as number_value
    from {{ ref('mart_member_behaviour') }} as behaviour
    inner join conditions
        on
            behaviour.brand = conditions.brand
            and conditions.family = 'behaviour'
),

lifecycle_facts as (
    select
        lifecycle.member_key,
        conditions.condition_id,
        conditions.brand,
        case conditions.field
            when 'is_high_quality_sleeper'
                then case when lifecycle.is_high_quality_sleeper then 'true' else 'false' end
            when 'is_reactivated'
                then case when lifecycle.is_reactivated then 'true' else 'false' end
            when 'newcomer_quality' then lifecycle.newcomer_quality
            when 'cycle_activity_stage' then lifecycle.cycle_activity_stage
        end as text_value,
        cast(null as decimal(28, 8)) as number_value
    from {{ ref('mart_member_lifecycle') }} as lifecycle
    inner join conditions
        on
            lifecycle.brand = conditions.brand
            and conditions.family = 'lifecycle'
),

value_facts as (
    select
        worth.member_key,
        conditions.condition_id,
        conditions.brand,
        cast(null as varchar) as text_value,
        case conditions.field
            when 'alive_probability' then worth.alive_probability
            when 'no_order_90d_probability' then worth.no_order_90d_probability
            when 'predicted_clv_amount' then worth.predicted_clv_amount
            when 'total_clv_amount' then worth.total_clv_amount
        end as number_value
    from {{ ref('mart_member_value') }} as worth
    inner join conditions
        on
            worth.brand = conditions.brand
            and worth.currency = conditions.currency
            and conditions.family = 'value'
),

tier_facts as (
    select
        tiers.member_key,
        conditions.condition_id,
        conditions.brand,
        case when conditions.field = 'tier' then tiers.tier end as text_value,
        case when conditions.field = 'tier_level' then tiers.tier_level end as number_value
    from {{ ref('mart_member_tiers') }} as tiers
    inner join conditions
        on
            tiers.brand = conditions.brand
            and conditions.family = 'tier'
),

point_facts as (
    select
        points.member_key,
        conditions.condition_id,
        conditions.brand,
        cast(null as varchar) as text_value,
        case conditions.field
            when 'point_balance' then points.point_balance
            when 'expiring_count' then points.expiring_count
        end as number_value
    from {{ ref('mart_member_points') }} as points
    inner join conditions
        on
            points.brand = conditions.brand
            and conditions.family = 'points'
),

consent_facts as (
    select
        members.member_key,
        conditions.condition_id,
        conditions.brand,
        case conditions.field
            when 'sms_consent' then members.sms_consent
            when 'email_consent' then members.email_consent
            when 'is_employee' then case when members.is_employee then 'true' else 'false' end
            when 'is_blacklisted' then case when members.is_blacklisted then 'true' else 'false' end
        end as text_value,
        cast(null as decimal(28, 8)) as number_value
    from members
    inner join conditions
        on
            members.brand = conditions.brand
            and conditions.family = 'consent'
),

facts as (
    {%- for family in (
        'rfm', 'behaviour', 'lifecycle', 'value', 'tier', 'point', 'consent'
    ) %}
        select
            member_key,
            condition_id,
            brand,
            text_value,
            cast(number_value as decimal(28, 8)) as number_value
        from {{ family }}_facts
        {{ 'union all' if not loop.last }}
    {%- endfor %}
),

held as (
    select
        facts.member_key,
        facts.condition_id
    from facts
    inner join conditions
        on
            facts.condition_id = conditions.condition_id
            and facts.brand = conditions.brand
    where
        {{ condition_holds(
            'conditions', 'facts.text_value', 'facts.number_value', 'cast(null as date)'
        ) }}
    union all
    select
        truths.member_key,
        truths.condition_id
    from {{ ref('int_segments__truths') }} as truths
    inner join run
        on
            truths.valid_from <= run.as_of_date
            and coalesce(truths.valid_to, date '9999-12-31') > run.as_of_date
    where truths.condition_id in (select clauses.condition_id from clauses)
),

fulfilled as (
    select
        held.member_key,
        clauses.brand,
        clauses.segment,
        clauses.version
    from held
    inner join members
        on held.member_key = members.member_key
    inner join clauses
        on
            held.condition_id = clauses.condition_id
            and members.brand = clauses.brand
    group by
        held.member_key,
        clauses.brand,
        clauses.segment,
        clauses.version,
        clauses.clause_no,
        clauses.positive_count
    having
        sum(case when clauses.is_negated then 0 else 1 end) = clauses.positive_count
        and sum(case when clauses.is_negated then 1 else 0 end) = 0
)

select
    membership.member_key,
    membership.brand,
    membership.segment,
    membership.version,
    run.as_of_date,
    membership.entered_on
from {{ ref('mart_segment_membership') }} as membership
cross join run
where membership.left_on is null
union all
select
    fulfilled.member_key,
    fulfilled.brand,
    fulfilled.segment,
    fulfilled.version,
    run.as_of_date,
    cast(null as date) as entered_on
from fulfilled
cross join run
group by
    fulfilled.member_key,
    fulfilled.brand,
    fulfilled.segment,
    fulfilled.version,
    run.as_of_date
