{{ config(materialized='table') }}

with identities as (
    select * from {{ ref('dim_member_identities') }}
),

run as (
    select
        *,
        {{ add_days(
            'least(previous_as_of_date, as_of_date)',
            '-' ~ parameter('decision_watch_days', 'integer')
        ) }} as watched_after_date
    from {{ source('ops', 'run') }}
),

run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

pending_batches as (
    select * from {{ source('ops', 'pending_batches') }}
),

sends as (
    select * from {{ ref('stg_file__sends') }}
),

coupon_events as (
    select * from {{ ref('stg_file__coupon_events') }}
),

-- What names a message or a coupon and when; receipts find their buyer through the message. A
-- corrected record may name another buyer or order than before: the earlier one changes as well.
mentions as (
    select
        sends.brand, sends.platform, sends.shop, versions.customer_key,
        coalesce(sends.sent_at, sends.planned_at) as happened_at, sends._batch_id
    from sends
    inner join sends as versions
        on sends.send_key = versions.send_key
    union all
    select
        receipts.brand, receipts.platform, receipts.shop, sends.customer_key, receipts.occurred_at,
        receipts._batch_id
    from {{ ref('int_receipts__unioned') }} as receipts
    inner join sends
        on receipts.send_key = sends.send_key
    union all
    -- A coupon may be used on somebody else's order, and it is the order that is credited.
    select
        events.brand, events.platform, events.shop, orders.customer_key, events.occurred_at,
        events._batch_id
    from coupon_events as events
    inner join coupon_events as versions
        on events.coupon_event_key = versions.coupon_event_key
    inner join {{ ref('fct_orders') }} as orders
        on versions.order_key = orders.order_key
    union all
    select brand, platform, shop, customer_key, assigned_at, _batch_id
    from {{ ref('stg_file__campaign_arms') }}
    union all
    -- A campaign that changed may watch its messages for longer.
    select
        campaigns.brand, campaigns.platform, campaigns.shop, sends.customer_key,
        campaigns.modified_at, campaigns._batch_id
    from {{ ref('stg_file__campaigns') }} as campaigns
    inner join sends
        on campaigns.campaign_key = sends.campaign_key
),

-- Evidence about messages of our own comes without a batch: whoever was decided about lately is
-- looked at every night, for longer than any credit may still move.
decided as (
    select
        decisions.present_member_key,
        decisions.named_key
    from {{ recorded_about_members('state__decisions') }} as decisions
    inner join run
        on decisions.decided_on > run.watched_after_date
),

-- A receipt names a message of ours by its own id, and may come later than anybody looks.
answered as (
    select
        decisions.present_member_key,
        decisions.named_key
    from {{ ref('int_receipts__unioned') }} as receipts
    inner join run_shops
        on
            receipts.brand = run_shops.brand
            and receipts.platform = run_shops.platform
            and receipts.shop = run_shops.shop
    inner join {{ recorded_about_members('state__decisions') }} as decisions
        on
            receipts.brand = decisions.brand
            and receipts.send_id = decisions.message_id
    where
        receipts._batch_id in (select batches.batch_id from pending_batches as batches)
        or {{ became_visible('receipts.occurred_at') }}
),

-- The member it was decided about, and the customer it was about, who may be another's by now.
decided_members as (
    select present_member_key as member_key from decided
    union
    select present_member_key as member_key from answered
    union
    select identities.member_key
    from identities
    inner join decided
        on identities.customer_key = decided.named_key
    union
    select identities.member_key
    from identities
    inner join answered
        on identities.customer_key = answered.named_key
),

members as (
    select touched.member_key
    from {{ ref('int_members__touched') }} as touched
    union
    select decided_members.member_key
    from decided_members
    union
    select identities.member_key
    from mentions
    inner join run_shops
        on
            mentions.brand = run_shops.brand
            and mentions.platform = run_shops.platform
            and mentions.shop = run_shops.shop
    inner join identities
        on mentions.customer_key = identities.customer_key
    where
        mentions._batch_id in (select batches.batch_id from pending_batches as batches)
        or {{ became_visible('mentions.happened_at') }}
)

-- Customers, because facts carry nothing else; all of a member's, because credit is per person.
select identities.customer_key
from identities
inner join members
    on identities.member_key = members.member_key
union
-- Buyers in an arm who are not known as customers yet.
select mentions.customer_key
from mentions
where mentions._batch_id in (select batches.batch_id from pending_batches as batches)
union
-- Customers who vanished when their last order moved away: the bridge does not know them any more.
select touched.customer_key
from {{ ref('int_customers__touched') }} as touched
