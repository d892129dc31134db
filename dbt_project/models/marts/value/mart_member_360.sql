{#- A view (law 2): what changes for everybody every day lives in the narrow marts that it joins. It
    stands behind the values' because it shows them. -#}
{{ config(materialized='view') }}

with publication as (
    select * from {{ ref('mart_publication') }}
),

occasions as (
    select
        member_key,
        count(*) as occasion_count,
        min_by(occasion, {{ ordering(['occasion_date', 'occasion']) }}) as occasion,
        min_by(occasion_zh, {{ ordering(['occasion_date', 'occasion']) }}) as occasion_zh
    from {{ ref('mart_member_occasions') }}
    group by member_key
)

select
    members.member_key,
    members.brand,
    publication.as_of_date,
    members.is_enrolled,
    members.enrolled_at,
    members.enrol_source,
    members.birth_month,
    members.birth_day,
    members.gender,
    members.city,
    members.province,
    members.age_band,
    members.route,
    members.sms_consent,
    members.sms_consent_at,
    members.email_consent,
    members.is_employee,
    members.is_blacklisted,
    members.customer_count,
    lifecycle.count_stage,
    lifecycle.activity_stage,
    lifecycle.cell_code,
    lifecycle.cell_label_zh,
    lifecycle.customer_group,
    lifecycle.action_cell_code,
    lifecycle.next_action,
    lifecycle.next_action_zh,
    coalesce(lifecycle.valid_order_count, 0) as valid_order_count,
    coalesce(lifecycle.is_advocate, false) as is_advocate,
    lifecycle.first_valid_order_date,
    lifecycle.last_valid_order_date,
    lifecycle.days_since_last_valid_order,
    lifecycle.silent_on,
    lifecycle.lost_on,
    lifecycle.dead_on,
    lifecycle.cycle_product_group,
    lifecycle.window_basis,
    lifecycle.at_risk_on,
    lifecycle.lapsed_on,
    coalesce(lifecycle.is_high_quality_sleeper, false) as is_high_quality_sleeper,
    coalesce(lifecycle.is_reactivated, false) as is_reactivated,
    lifecycle.newcomer_quality,
    lifecycle.stage_since,
    lifecycle.previous_cell_code,
    rfm.currency,
    coalesce(rfm.window_order_count, 0) as window_order_count,
    rfm.window_net_amount,
    rfm.aov_amount,
    rfm.aov_band,
    rfm.lifetime_net_amount,
    coalesce(rfm.other_currency_order_count, 0) as other_currency_order_count,
    rfm.score_readiness,
    rfm.recency_score,
    rfm.frequency_score,
    rfm.monetary_score,
    rfm.rfm_class,
    rfm.rfm_class_zh,
    rfm.rfm_segment,
    rfm.rfm_segment_zh,
    behaviour.second_order_date,
    coalesce(behaviour.paid_order_count, 0) as paid_order_count,
    coalesce(behaviour.refunded_order_count, 0) as refunded_order_count,
    coalesce(behaviour.contact_count, 0) as contact_count,
    behaviour.service_cost_amount,
    coalesce(behaviour.product_group_count, 0) as product_group_count,
    coalesce(behaviour.discounted_order_count, 0) as discounted_order_count,
    coalesce(behaviour.full_price_order_count, 0) as full_price_order_count,
    behaviour.gap_p80_days,
    coalesce(behaviour.is_recommending, false) as is_recommending,
    behaviour.loyalty_type,
    behaviour.loyalty_type_zh,
    behaviour.member_quality,
    value.prediction_basis,
    value.reason as prediction_gap_reason,
    value.alive_probability,
    value.no_order_90d_probability,
    value.expected_orders_30d,
    value.expected_orders_90d,
    value.expected_orders_365d,
    value.expected_next_order_date,
    value.expected_order_value,
    value.historic_clv_amount,
    value.predicted_clv_amount,
    value.total_clv_amount,
    tiers.program as tier_program,
    tiers.tier_level,
    tiers.tier,
    tiers.tier_name,
    tiers.valid_until_date as tier_valid_until_date,
    tiers.currency as tier_currency,
    tiers.next_tier_name,
    tiers.amount_to_next_tier,
    tiers.orders_to_next_tier,
    tiers.amount_to_keep_tier,
    tiers.orders_to_keep_tier,
    points.currency as point_currency,
    coalesce(points.point_balance, 0) as point_balance,
    points.balance_amount as point_balance_amount,
    coalesce(points.expiring_count, 0) as expiring_point_count,
    points.next_expiry_date as next_point_expiry_date,
    points.gift_name,
    points.points_to_next_gift,
    coalesce(points.is_gift_candidate, false) as is_gift_candidate,
    coalesce(occasions.occasion_count, 0) as occasion_count,
    occasions.occasion,
    occasions.occasion_zh
from {{ ref('dim_members') }} as members
cross join publication
left join {{ ref('mart_member_lifecycle') }} as lifecycle
    on members.member_key = lifecycle.member_key
left join {{ ref('mart_member_rfm') }} as rfm
    on members.member_key = rfm.member_key
left join {{ ref('mart_member_behaviour') }} as behaviour
    on members.member_key = behaviour.member_key
left join {{ ref('mart_member_value') }} as value
    on
        members.member_key = value.member_key
        and rfm.currency = value.currency
left join {{ ref('mart_member_tiers') }} as tiers
    on members.member_key = tiers.member_key
left join {{ ref('mart_member_points') }} as points
    on members.member_key = points.member_key
left join occasions
    on members.member_key = occasions.member_key
