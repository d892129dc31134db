{#- Rewritten every night: days since the last order change for everyone. Therefore narrow. -#}
{{ config(materialized='table') }}

with run as (
    select
        as_of_date,
        {{ lifecycle_parameter('personal_min_gaps', 'integer') }} as personal_min_gaps,
        {{ lifecycle_parameter('sleeper_min_orders', 'integer') }} as sleeper_min_orders,
        {{ lifecycle_parameter('newcomer_median_share', 'decimal(9, 4)') }}
            as newcomer_median_share,
        {{ add_days(
            'as_of_date', '-' ~ lifecycle_parameter('reactivated_days', 'integer')
        ) }} as reactivated_after_date
    from {{ source('ops', 'run') }}
),

spans as (
    select spans.*
    from {{ ref('int_members__stage_spans') }} as spans
    inner join run
        on
            spans.valid_from <= run.as_of_date
            and coalesce(spans.valid_to, date '9999-12-31') > run.as_of_date
),

stays as (
    select *
    from {{ ref('mart_member_lifecycle_history') }}
    where valid_to is null
),

windows as (
    select
        max(last_day) filter (where activity_stage = 'active') as active_last_day,
        max(last_day) filter (where activity_stage = 'silent') as silent_last_day,
        max(last_day) filter (where activity_stage = 'lost') as lost_last_day
    from (
        select *
        from {{ ref('lifecycle_windows') }}
        where valid_from <= {{ as_of_date() }}
        qualify valid_from = max(valid_from) over ()
    ) as in_force
),

actions as (
    select * from {{ ref('lifecycle_actions') }}
),

order_values as (
    select * from {{ ref('int_rfm__member_values') }}
),

behaviour as (
    select * from {{ ref('mart_member_behaviour') }}
),

-- What a member buys again tells how long a silence is one.
cycles as (
    select
        purchases.member_key,
        purchases.product_group,
        case
            when not purchases.is_repurchasable then 'no_repurchase'
            else cycles.window_basis
        end as window_basis,
        cycles.active_last_day,
        cycles.silent_last_day,
        cycles.lost_last_day,
        cycles.at_risk_days,
        cycles.lapsed_days
    from {{ ref('int_members__product_purchases') }} as purchases
    left join {{ ref('mart_product_cycles') }} as cycles
        on
            purchases.brand = cycles.brand
            and purchases.product_group = cycles.product_group
            and purchases.is_repurchasable
    where purchases.is_telling
),

-- Who came back from being lost or dead, and from where.
returns as (
    select
        history.member_key,
        max(history.valid_from) as reactivated_on,
        max_by(history.previous_cell_code, history.valid_from) as reactivated_from
    from {{ ref('mart_member_lifecycle_history') }} as history
    inner join actions as left_cells
        on history.previous_cell_code = left_cells.cell_code
    cross join run
    where
        history.entered_by = 'order'
        and history.valid_from > run.reactivated_after_date
        and left_cells.customer_group = 'dormant_lost'
    group by history.member_key
),

-- Who came to look again after the day of the first order, where visits are told.
second_visits as (
    select identities.member_key
    from {{ ref('int_customers__visits') }} as visits
    inner join {{ ref('dim_member_identities') }} as identities
        on visits.customer_key = identities.customer_key
    inner join {{ source('ops', 'run_shops') }} as run_shops
        on
            visits.brand = run_shops.brand
            and visits.platform = run_shops.platform
            and visits.shop = run_shops.shop
    inner join behaviour
        on identities.member_key = behaviour.member_key
    where
        visits.visited_at < run_shops.visible_until
        and {{ to_local_date('visits.visited_at', 'run_shops.zone') }} > behaviour.first_order_date
    group by identities.member_key
),

-- The median order of the window's buyers, a buyer counted once.
median_orders as (
    select
        order_values.brand,
        order_values.currency,
        cast(
            {{ quantile(
                'order_values.window_net_amount / nullif(order_values.window_money_order_count, 0)',
                0.5,
            ) }} as decimal(18, 2)
        ) as median_order_amount
    from order_values
    where order_values.window_money_order_count > 0
    group by order_values.brand, order_values.currency
),

dated as (
    select
        stays.*,
        run.as_of_date,
        spans.valid_order_count,
        spans.is_advocate,
        spans.last_valid_order_date,
        {{ days_between('spans.last_valid_order_date', 'run.as_of_date') }}
            as days_since_last_valid_order,
        {{ add_days('spans.last_valid_order_date', 'windows.active_last_day + 1') }} as silent_on,
        {{ add_days('spans.last_valid_order_date', 'windows.silent_last_day + 1') }} as lost_on,
        {{ add_days('spans.last_valid_order_date', 'windows.lost_last_day + 1') }} as dead_on,
        case when spans.valid_order_count > 0 then cycles.product_group end as cycle_product_group,
        case
            when spans.valid_order_count > 0 then coalesce(cycles.window_basis, 'fixed')
        end as window_basis,
        {{ add_days('spans.last_valid_order_date', 'cycles.active_last_day + 1') }}
            as cycle_silent_on,
        {{ add_days('spans.last_valid_order_date', 'cycles.silent_last_day + 1') }}
            as cycle_lost_on,
        {{ add_days('spans.last_valid_order_date', 'cycles.lost_last_day + 1') }} as cycle_dead_on,
        {{ add_days(
            'spans.last_valid_order_date',
            'greatest('
            ~ 'case when behaviour.gap_count >= run.personal_min_gaps '
            ~ 'then behaviour.gap_p80_days end, cycles.at_risk_days)',
        ) }} as learned_at_risk_on,
        {{ add_days('spans.last_valid_order_date', 'cycles.lapsed_days') }} as learned_lapsed_on,
        behaviour.first_order_net_amount
        >= median_orders.median_order_amount * run.newcomer_median_share
        and behaviour.is_first_order_full_price
        and behaviour.refunded_order_count = 0
        and (
            coalesce(advocacy.photo_review_count, 0) > 0
            or second_visits.member_key is not null
        ) as is_promising,
        run.sleeper_min_orders
    from stays
    inner join spans
        on stays.member_key = spans.member_key
    left join cycles
        on stays.member_key = cycles.member_key
    left join behaviour
        on stays.member_key = behaviour.member_key
    left join {{ ref('int_members__advocacy') }} as advocacy
        on stays.member_key = advocacy.member_key
    left join second_visits
        on stays.member_key = second_visits.member_key
    left join median_orders
        on
            stays.brand = median_orders.brand
            and behaviour.first_order_currency = median_orders.currency
    cross join windows
    cross join run
),

-- A silence that means nothing keeps its member active: who bought durables only is never dormant.
staged as (
    select
        *,
        case
            when window_basis = 'no_repurchase' then 'active'
            when as_of_date < cycle_silent_on then 'active'
            when as_of_date < cycle_lost_on then 'silent'
            when as_of_date < cycle_dead_on then 'lost'
            when as_of_date >= cycle_dead_on then 'dead'
        end as cycle_activity_stage
    from dated
),

acted as (
    select
        *,
        case
            when cycle_activity_stage is null then cell_code
            when cycle_activity_stage = 'dead' then 'dead'
            else count_stage || '_' || cycle_activity_stage
        end as action_cell_code
    from staged
)

select
    acted.member_key,
    acted.brand,
    acted.as_of_date,
    acted.count_stage,
    acted.activity_stage,
    acted.cell_code,
    cells.label_zh as cell_label_zh,
    cells.customer_group,
    acted.cycle_product_group,
    acted.window_basis,
    acted.cycle_activity_stage,
    acted.cycle_silent_on,
    acted.cycle_lost_on,
    acted.cycle_dead_on,
    acted.action_cell_code,
    actions.next_action,
    actions.next_action_zh,
    acted.valid_order_count,
    acted.is_advocate,
    order_values.first_valid_order_date,
    acted.last_valid_order_date,
    acted.days_since_last_valid_order,
    acted.silent_on,
    acted.lost_on,
    acted.dead_on,
    case
        when acted.window_basis <> 'no_repurchase'
            then coalesce(acted.learned_at_risk_on, acted.cycle_silent_on, acted.silent_on)
    end as at_risk_on,
    case
        when acted.window_basis <> 'no_repurchase'
            then greatest(
                coalesce(acted.learned_lapsed_on, acted.cycle_lost_on, acted.lost_on),
                acted.learned_at_risk_on
            )
    end as lapsed_on,
    actions.customer_group = 'dormant_lost'
    and acted.valid_order_count >= acted.sleeper_min_orders as is_high_quality_sleeper,
    returns.member_key is not null
    and coalesce(acted.activity_stage in ('active', 'silent'), false)
        as is_reactivated,
    case when acted.activity_stage in ('active', 'silent') then returns.reactivated_on end
        as reactivated_on,
    case when acted.activity_stage in ('active', 'silent') then returns.reactivated_from end
        as reactivated_from,
    case
        when acted.count_stage = 'new' and acted.is_promising then 'high'
        when acted.count_stage = 'new' then 'low'
    end as newcomer_quality,
    acted.valid_from as stage_since,
    acted.previous_cell_code
from acted
inner join actions as cells
    on acted.cell_code = cells.cell_code
inner join actions
    on acted.action_cell_code = actions.cell_code
left join order_values
    on acted.member_key = order_values.member_key
left join returns
    on acted.member_key = returns.member_key
