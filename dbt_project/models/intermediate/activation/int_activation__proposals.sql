{#- Both queues are cut from here: who is considered differs, everything after that is one rule. -#}
{{ config(materialized='table', tags=['activation']) }}

with run as (
    select
        as_of_date,
        {{ add_days('as_of_date', '1') }} as send_date
    from {{ source('ops', 'run') }}
),

run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

sending_hours as (
    select * from {{ source('config', 'sending_hours') }}
),

reasons as (
    select * from {{ ref('suppression_reasons') }}
),

lifecycle as (
    select * from {{ ref('mart_member_lifecycle') }}
),

order_values as (
    select * from {{ ref('int_rfm__member_values') }}
),

members as (
    select * from {{ ref('dim_members') }}
),

abandoned_members as (
    select member_key
    from {{ ref('mart_member_care') }}
    where is_abandoned
),

orders as (
    select * from {{ ref('fct_orders') }}
),

-- Tonight's messages go out tomorrow: a campaign is judged on the day its message would arrive.
campaigns as (
    select
        campaigns.*,
        run.as_of_date,
        run.send_date,
        -- An hour that is not allowed is shifted into the first slot, never sent at night. Service
        -- messages of a night are not urgent either: they are planned by the same hours.
        case
            when
                campaigns.send_at_local >= sending_hours.opens
                and campaigns.send_at_local < sending_hours.closes
                then campaigns.send_at_local
            else sending_hours.first_slot
        end as send_clock
    from {{ source('config', 'campaigns') }} as campaigns
    cross join sending_hours
    cross join run
    where
        campaigns.is_active
        and campaigns.channel = 'sms'
        and (campaigns.start_date <= run.as_of_date or campaigns.start_date is null)
        and (campaigns.end_date >= run.as_of_date or campaigns.end_date is null)
),

windows as (
    select max(last_day) filter (where activity_stage = 'active') + 1 as silent_first_day
    from (
        select *
        from {{ ref('lifecycle_windows') }}
        where valid_from <= {{ as_of_date() }}
        qualify valid_from = max(valid_from) over ()
    ) as in_force
),

-- The first paid order is what a member remembers, even if it was refunded since; whoever has no
-- valid order left is a prospect again and gets no gift.
anniversaries as (
    select
        campaigns.campaign,
        order_values.member_key,
        order_values.first_paid_order_key as occasion_order_key,
        {{ days_between('order_values.first_paid_date', 'campaigns.send_date') }}
        - campaigns.trigger_day as days_late
    from campaigns
    inner join order_values
        on campaigns.brand = order_values.brand
    where
        campaigns.audience = 'first_month_gift'
        and order_values.lifetime_order_count > 0
),

newly_silent as (
    select
        campaigns.campaign,
        lifecycle.member_key,
        order_values.last_valid_order_key as occasion_order_key,
        lifecycle.days_since_last_valid_order
        - coalesce(campaigns.trigger_day, windows.silent_first_day) as days_late
    from campaigns
    inner join lifecycle
        on campaigns.brand = lifecycle.brand
    inner join order_values
        on lifecycle.member_key = order_values.member_key
    cross join windows
    where
        campaigns.audience = 'just_silent_coupon'
        and lifecycle.activity_stage = 'silent'
),

occasions as (
    select * from anniversaries
    union all
    select * from newly_silent
),

due as (
    select
        campaigns.campaign,
        campaigns.audience,
        campaigns.brand,
        occasion_orders.platform,
        occasion_orders.shop,
        occasion_orders.customer_key,
        occasions.member_key,
        campaigns.channel,
        campaigns.purpose,
        cast(occasions.occasion_order_key as varchar) as occasion,
        {{ message_id(
            'campaigns.campaign',
            'occasions.member_key',
            'campaigns.channel',
            'cast(occasions.occasion_order_key as varchar)',
        ) }} as message_id,
        occasions.days_late = campaigns.catch_up_days
        or coalesce(campaigns.end_date <= campaigns.as_of_date, false) as is_last_chance,
        {{ to_utc(at_wall_clock('campaigns.send_date', 'campaigns.send_clock'), 'run_shops.zone') }}
            as planned_at,
        -- Counted from the occasion's own day: what was caught up here is not caught up once more
        -- at the exit.
        {{ to_utc(
            'cast(' ~ add_days(
                'campaigns.send_date', 'campaigns.catch_up_days - occasions.days_late + 1'
            ) ~ ' as timestamp)',
            'run_shops.zone'
        ) }} as expires_at,
        campaigns.salt,
        campaigns.holdout_share,
        campaigns.cooldown_days,
        campaigns.priority,
        campaigns.coupon_code,
        campaigns.coupon_amount,
        campaigns.template,
        campaigns.as_of_date
    from occasions
    inner join campaigns
        on occasions.campaign = campaigns.campaign
    inner join orders as occasion_orders
        on occasions.occasion_order_key = occasion_orders.order_key
    inner join run_shops
        on
            occasion_orders.brand = run_shops.brand
            and occasion_orders.platform = run_shops.platform
            and occasion_orders.shop = run_shops.shop
    where occasions.days_late between 0 and campaigns.catch_up_days
),

-- What was decided about a member who has been merged since was decided about this person.
decisions as (
    select * from {{ recorded_about_members('state__decisions') }} as recorded
),

-- An occasion is an order. Whoever's that is by now, it has been an occasion: two who come apart
-- are not both messaged about it.
decided_occasions as (
    select
        campaign,
        brand,
        channel,
        occasion
    from decisions
    group by campaign, brand, channel, occasion
),

-- A gift of the first month comes once in a life, even if an earlier first order turns up later.
considered as (
    select due.*
    from due
    left join decisions as decided
        on due.message_id = decided.message_id
    left join decided_occasions as decided_before
        on
            due.campaign = decided_before.campaign
            and due.brand = decided_before.brand
            and due.channel = decided_before.channel
            and due.occasion = decided_before.occasion
    left join decisions as given
        on
            due.audience = 'first_month_gift'
            and due.campaign = given.campaign
            and due.brand = given.brand
            and due.member_key = given.present_member_key
    where
        decided.message_id is null
        and decided_before.campaign is null
        and given.message_id is null
),

exits as (
    select
        message_id,
        max(case when event = 'suppressed_at_exit' then 1 else 0 end) = 1 as is_stopped,
        min(send_at) as send_at
    from {{ source('raw', 'state__message_events') }}
    group by message_id
),

-- Everything that was sent or held out, at the hour it left for. A held-out message takes the place
-- it would have had, so that caps fall on both arms alike.
ledger as (
    select
        decisions.*,
        coalesce(exits.send_at, decisions.planned_at) as send_at
    from decisions
    left join exits
        on decisions.message_id = exits.message_id
    where
        decisions.outcome in ('send', 'holdout')
        and not coalesce(exits.is_stopped, false)
),

-- Drawn once and recorded: neither a salt nor a share edited later moves anybody to the other arm.
-- Of merged members the one whose key stands has the word.
recorded_draws as (
    select
        campaign,
        brand,
        present_member_key as member_key,
        min_by(bucket, {{ ordering(['member_key <> present_member_key', 'seq']) }}) as bucket,
        min_by(arm, {{ ordering(['member_key <> present_member_key', 'seq']) }}) as arm
    from decisions
    where
        bucket is not null
        and arm is not null
    group by campaign, brand, present_member_key
),

considered_members as (
    select member_key
    from considered
    group by member_key
),

customers_considered as (
    select
        identities.member_key,
        identities.customer_key
    from {{ ref('dim_member_identities') }} as identities
    inner join considered_members
        on identities.member_key = considered_members.member_key
),

last_orders as (
    select
        customers.member_key,
        max(orders.created_at) as last_order_at
    from customers_considered as customers
    inner join orders
        on customers.customer_key = orders.customer_key
    where {{ is_countable_order('orders') }}
    group by customers.member_key
),

open_refunds as (
    select customers.member_key
    from customers_considered as customers
    inner join {{ ref('fct_refunds') }} as refunds
        on customers.customer_key = refunds.customer_key
    where refunds.refund_status in ('requested', 'agreed')
    group by customers.member_key
),

consents as (
    select * from {{ ref('int_members__consents') }}
),

cells as (
    select * from {{ ref('lifecycle_actions') }}
),

-- What is known against a message, each by its own right; the first by precedence is told.
facts as (
    select
        considered.*,
        members.contact_ref,
        members.phone_hash as contact_hash,
        coalesce(order_values.lifetime_net_amount, 0) as member_value_amount,
        members.is_employee,
        members.is_blacklisted,
        members.sms_consent = 'refused'
        or coalesce(consents.is_refused_by_now, false) as is_refused,
        members.sms_consent <> 'granted' as is_without_consent,
        members.contact_ref is null as is_without_route,
        members.contact_ref is not null and members.phone_hash is null as is_invalid_contact,
        not coalesce(cells.allows_ordinary_sms, true) as is_left_in_peace,
        abandoned_members.member_key is not null as is_abandoned,
        open_refunds.member_key is not null as has_open_refund,
        coalesce(
            last_orders.last_order_at
            > {{ add_hours('considered.planned_at', '-24 * considered.cooldown_days') }},
            false
        ) as has_recent_order
    from considered
    inner join members
        on considered.member_key = members.member_key
    left join consents
        on
            considered.member_key = consents.member_key
            and considered.channel = consents.channel
    left join lifecycle
        on considered.member_key = lifecycle.member_key
    left join cells
        on lifecycle.cell_code = cells.cell_code
    left join order_values
        on considered.member_key = order_values.member_key
    left join last_orders
        on considered.member_key = last_orders.member_key
    left join open_refunds
        on considered.member_key = open_refunds.member_key
    left join abandoned_members
        on considered.member_key = abandoned_members.member_key
),

-- What receipts of earlier messages say against this one: the address, or the person.
told_by_receipts as (
    select facts.message_id, unreachable.suppression_reason as reason
    from facts
    inner join {{ ref('int_activation__unreachable') }} as unreachable
        on
            facts.brand = unreachable.brand
            and facts.channel = unreachable.channel
            and facts.contact_hash = unreachable.contact_hash
    union
    select facts.message_id, unreachable.suppression_reason as reason
    from facts
    inner join {{ ref('int_activation__unreachable') }} as unreachable
        on
            facts.brand = unreachable.brand
            and facts.channel = unreachable.channel
            and facts.member_key = unreachable.member_key
),

objections as (
    select message_id, reason from told_by_receipts
    union all
    select message_id, 'employee' as reason from facts where is_employee
    union all
    select message_id, 'blacklist' as reason from facts where is_blacklisted
    union all
    select message_id, 'refused' as reason from facts where is_refused
    union all
    select message_id, 'no_consent' as reason from facts where is_without_consent
    union all
    select message_id, 'no_route' as reason from facts where is_without_route
    union all
    select message_id, 'invalid_contact' as reason from facts where is_invalid_contact
    union all
    select message_id, 'fan_rule' as reason from facts
    where is_left_in_peace and purpose = 'marketing'
    union all
    select message_id, 'abandoned' as reason from facts
    where is_abandoned and purpose = 'marketing'
    union all
    select message_id, 'open_refund' as reason from facts where has_open_refund
    union all
    select message_id, 'recent_order' as reason from facts where has_recent_order
),

first_objections as (
    select
        objections.message_id,
        min_by(objections.reason, reasons.precedence) as reason
    from objections
    inner join reasons
        on objections.reason = reasons.reason
    group by objections.message_id
),

judged as (
    select
        facts.*,
        first_objections.reason
    from facts
    left join first_objections
        on facts.message_id = first_objections.message_id
),

contacted_before as (
    select judged.message_id
    from judged
    inner join ledger
        on
            judged.campaign = ledger.campaign
            and judged.brand = ledger.brand
            and judged.contact_hash = ledger.contact_hash
            and judged.member_key <> ledger.present_member_key
    group by judged.message_id
),

-- One contact is reached once per campaign: of several members the one worth most to the shop.
unique_contacts as (
    select
        judged.*,
        contacted_before.message_id is not null
        or row_number() over (
            partition by judged.campaign, judged.brand, judged.contact_hash, judged.reason is null
            order by judged.member_value_amount desc nulls last, judged.member_key asc nulls last
        ) > 1 as is_duplicate_contact
    from judged
    left join contacted_before
        on judged.message_id = contacted_before.message_id
),

reachable as (
    select * from unique_contacts
    where
        reason is null
        and not is_duplicate_contact
),

ledger_matches as (
    select
        reachable.message_id,
        ledger.message_id as earlier_message_id,
        ledger.channel,
        reachable.planned_at,
        ledger.send_at as earlier_send_at
    from reachable
    inner join ledger
        on
            reachable.brand = ledger.brand
            and reachable.purpose = ledger.purpose
            and reachable.member_key = ledger.present_member_key
    union
    select
        reachable.message_id,
        ledger.message_id as earlier_message_id,
        ledger.channel,
        reachable.planned_at,
        ledger.send_at as earlier_send_at
    from reachable
    inner join ledger
        on
            reachable.brand = ledger.brand
            and reachable.purpose = ledger.purpose
            and reachable.contact_hash = ledger.contact_hash
),

caps as (
    select * from {{ ref('message_caps') }}
),

-- A cap looks back from the planned time; a message exactly one window ago no longer counts.
room_by_cap as (
    select
        reachable.message_id,
        caps.channel,
        caps.window_hours,
        min(caps.max_messages) - count(ledger_matches.earlier_message_id) as room_count
    from reachable
    inner join caps
        on
            reachable.purpose = caps.purpose
            and caps.channel in (reachable.channel, 'all')
    left join ledger_matches
        on
            reachable.message_id = ledger_matches.message_id
            and caps.channel in (ledger_matches.channel, 'all')
            and ledger_matches.earlier_send_at
            > {{ add_hours('reachable.planned_at', '-caps.window_hours') }}
    group by reachable.message_id, caps.channel, caps.window_hours
),

rooms as (
    select
        message_id,
        min(room_count) as room_count
    from room_by_cap
    group by message_id
),

-- Several campaigns may want the same person tonight: the smaller priority number goes first.
ranked as (
    select
        reachable.message_id,
        rooms.room_count,
        row_number() over (
            partition by reachable.brand, reachable.purpose, reachable.contact_hash
            order by
                reachable.priority asc nulls last,
                reachable.member_value_amount desc nulls last,
                reachable.message_id asc nulls last
        ) as contact_position,
        row_number() over (
            partition by reachable.brand, reachable.purpose, reachable.member_key
            order by
                reachable.priority asc nulls last,
                reachable.member_value_amount desc nulls last,
                reachable.message_id asc nulls last
        ) as member_position
    from reachable
    left join rooms
        on reachable.message_id = rooms.message_id
),

capped as (
    select message_id
    from ranked
    where greatest(contact_position, member_position) > room_count
),

decided as (
    select
        unique_contacts.*,
        case
            when unique_contacts.reason is not null then unique_contacts.reason
            when unique_contacts.is_duplicate_contact then 'duplicate_contact'
            when capped.message_id is not null then 'cap'
        end as suppression_reason,
        recorded_draws.arm as recorded_arm,
        coalesce(
            recorded_draws.bucket,
            {{ holdout_bucket(
                'unique_contacts.salt', 'cast(unique_contacts.member_key as varchar)'
            ) }}
        ) as member_bucket
    from unique_contacts
    left join capped
        on unique_contacts.message_id = capped.message_id
    left join recorded_draws
        on
            unique_contacts.campaign = recorded_draws.campaign
            and unique_contacts.brand = recorded_draws.brand
            and unique_contacts.member_key = recorded_draws.member_key
),

drawn as (
    select
        *,
        case
            when suppression_reason is not null then null
            when recorded_arm is not null then recorded_arm
            when member_bucket < holdout_share * 10000 then 'holdout'
            else 'treatment'
        end as arm
    from decided
)

select
    drawn.message_id,
    drawn.campaign,
    drawn.audience,
    drawn.brand,
    drawn.platform,
    drawn.shop,
    drawn.member_key,
    drawn.customer_key,
    drawn.channel,
    drawn.purpose,
    drawn.occasion,
    case
        when drawn.suppression_reason is not null then 'suppressed'
        when drawn.arm = 'holdout' then 'holdout'
        else 'send'
    end as outcome,
    drawn.arm,
    drawn.suppression_reason as reason,
    coalesce(reasons.is_final, true) or drawn.is_last_chance as is_final,
    case when drawn.suppression_reason is null then drawn.member_bucket end as bucket,
    drawn.planned_at,
    drawn.expires_at,
    drawn.contact_ref,
    drawn.contact_hash,
    drawn.coupon_code,
    drawn.coupon_amount,
    drawn.template,
    drawn.as_of_date
from drawn
left join reasons
    on drawn.suppression_reason = reasons.reason
