{{ config(meta={'touched_relation': 'int_campaigns__touched', 'touched_key': 'customer_key'}) }}

with run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

brand_shops as (
    select
        brand,
        max(visible_until) as visible_until
    from run_shops
    group by brand
),

-- The customer whose order was the occasion, at whose shop it was decided; where that one is gone,
-- the one who founded the member that was decided about. Facts name customers, and a merge moves
-- none.
decisions as (
    select
        recorded.*,
        customers.platform,
        customers.shop,
        customers.customer_key as addressed_key
    from {{ recorded_about_members('state__decisions') }} as recorded
    inner join {{ ref('dim_customers') }} as customers
        on coalesce(recorded.named_key, recorded.founder_key) = customers.customer_key
),

touched_sends as (
    select sends.send_key
    from {{ ref('stg_file__sends') }} as sends
    where {{ only_touched('sends.customer_key', 'int_campaigns__touched') }}
    group by sends.send_key
),

-- Only the newest version of a message counts, and only its buyer is looked at.
newest_sends as (
    select sends.*
    from {{ ref('stg_file__sends') }} as sends
    inner join touched_sends
        on sends.send_key = touched_sends.send_key
    qualify row_number() over (
        partition by sends.send_key
        order by
            sends._extracted_at desc nulls last,
            sends._batch_id desc nulls last,
            sends._line desc nulls last
    ) = 1
),

dropped_sends as (
    select *
    from newest_sends
    where {{ only_touched('customer_key', 'int_campaigns__touched') }}
),

newest_arms as (
    select *
    from {{ ref('stg_file__campaign_arms') }}
    where {{ only_touched('customer_key', 'int_campaigns__touched') }}
    qualify row_number() over (
        partition by campaign_key, customer_key
        order by _extracted_at desc nulls last, _batch_id desc nulls last, _line desc nulls last
    ) = 1
),

dropped_arms as (
    select
        arms.*,
        campaigns.channel
    from newest_arms as arms
    left join {{ ref('int_campaigns__registered') }} as campaigns
        on arms.campaign_key = campaigns.campaign_key
    where arms.arm = 'holdout'
),

message_events as (
    select * from {{ source('raw', 'state__message_events') }}
),

exits as (
    select
        message_id,
        max(case when event = 'exported' then 1 else 0 end) = 1 as is_exported,
        min(send_at) as send_at,
        max(case when event = 'suppressed_at_exit' then 1 else 0 end) = 1 as is_stopped
    from message_events
    group by message_id
),

decided as (
    select
        decisions.message_id,
        decisions.campaign,
        decisions.brand,
        decisions.platform,
        decisions.shop,
        decisions.addressed_key as customer_key,
        decisions.channel,
        decisions.purpose,
        decisions.outcome,
        decisions.arm,
        decisions.reason,
        decisions.bucket,
        decisions.planned_at,
        decisions.coupon_code,
        -- The exit may have moved it to a later hour; until then it has not been sent.
        coalesce(
            exits.is_exported
            and coalesce(exits.send_at, decisions.planned_at) < brand_shops.visible_until,
            false
        ) as is_sent,
        coalesce(exits.send_at, decisions.planned_at) as send_at,
        coalesce(exits.is_stopped, false) as is_stopped
    from decisions
    inner join brand_shops
        on
            decisions.brand = brand_shops.brand
            -- A decision of tonight is planned for tomorrow: not yet a fact of the business date.
            and decisions.planned_at < brand_shops.visible_until
    left join exits
        on decisions.message_id = exits.message_id
    where {{ only_touched('decisions.addressed_key', 'int_campaigns__touched', 'customer_key') }}
),

messages as (
    select
        sends.send_key,
        sends.send_id as message_id,
        sends.campaign_key,
        sends.campaign_id,
        sends.brand,
        sends.platform,
        sends.shop,
        sends.customer_key,
        sends.channel,
        'marketing' as purpose,
        'sent' as kind,
        sends.sent_at as touched_at,
        coalesce(sends.planned_at, sends.sent_at) as planned_at,
        cast(null as varchar) as arm,
        cast(null as varchar) as reason,
        cast(null as integer) as bucket,
        sends.coupon_id as coupon_code,
        sends.cost_amount,
        sends.record_source,
        sends.native_status,
        sends._batch_id,
        sends._line
    from dropped_sends as sends
    inner join run_shops
        on
            sends.brand = run_shops.brand
            and sends.platform = run_shops.platform
            and sends.shop = run_shops.shop
            and sends.sent_at < run_shops.visible_until
    union all
    select
        {{ shop_key("'arm|' || arms.campaign_id || '|' || arms.buyer_id", 'arms') }} as send_key,
        arms.campaign_id || '|' || arms.buyer_id as message_id,
        arms.campaign_key,
        arms.campaign_id,
        arms.brand,
        arms.platform,
        arms.shop,
        arms.customer_key,
        arms.channel,
        'marketing' as purpose,
        'holdout' as kind,
        arms.assigned_at as touched_at,
        arms.assigned_at as planned_at,
        arms.arm,
        cast(null as varchar) as reason,
        cast(null as integer) as bucket,
        cast(null as varchar) as coupon_code,
        cast(null as decimal(18, 2)) as cost_amount,
        arms.record_source,
        cast(null as varchar) as native_status,
        arms._batch_id,
        arms._line
    from dropped_arms as arms
    inner join run_shops
        on
            arms.brand = run_shops.brand
            and arms.platform = run_shops.platform
            and arms.shop = run_shops.shop
            and (arms.assigned_at < run_shops.visible_until or arms.assigned_at is null)
    union all
    select
        {{ generate_key(['decided.brand', "'regulars'", 'decided.message_id']) }} as send_key,
        decided.message_id,
        {{ own_campaign_key('decided.brand', 'decided.campaign') }} as campaign_key,
        decided.campaign as campaign_id,
        decided.brand,
        decided.platform,
        decided.shop,
        decided.customer_key,
        decided.channel,
        decided.purpose,
        case
            when decided.outcome = 'holdout' then 'holdout'
            when decided.outcome = 'suppressed' or decided.is_stopped then 'suppressed'
            when decided.is_sent then 'sent'
            else 'committed'
        end as kind,
        -- The hour it was handed over for and not the machine's: what a mart holds is the shop's
        -- time alone.
        case when decided.is_sent then decided.send_at else decided.planned_at end as touched_at,
        decided.planned_at,
        decided.arm,
        case when decided.is_stopped then 'stopped_at_exit' else decided.reason end as reason,
        decided.bucket,
        decided.coupon_code,
        cast(null as decimal(18, 2)) as cost_amount,
        'regulars' as record_source,
        cast(null as varchar) as native_status,
        cast(null as varchar) as _batch_id,
        cast(null as bigint) as _line
    from decided
),

sent_messages as (
    select * from messages
    where kind = 'sent'
),

newest_receipts as (
    select receipts.*
    from {{ ref('int_receipts__unioned') }} as receipts
    qualify row_number() over (
        partition by receipts.receipt_key
        order by
            receipts._extracted_at desc nulls last,
            receipts._batch_id desc nulls last,
            receipts._line desc nulls last
    ) = 1
),

receipts as (
    select receipts.*
    from newest_receipts as receipts
    inner join run_shops
        on
            receipts.brand = run_shops.brand
            and receipts.platform = run_shops.platform
            and receipts.shop = run_shops.shop
            and receipts.occurred_at < run_shops.visible_until
),

-- Receipts of one message; ours come back under the message's own id, or are recorded already.
evidence as (
    select
        messages.send_key,
        receipts.event as kind,
        receipts.occurred_at as touched_at
    from sent_messages as messages
    inner join receipts
        on messages.send_key = receipts.send_key
    where messages.record_source = 'file'
    union
    select
        messages.send_key,
        receipts.event as kind,
        receipts.occurred_at as touched_at
    from sent_messages as messages
    inner join receipts
        on
            messages.brand = receipts.brand
            and messages.message_id = receipts.send_id
    where messages.record_source = 'regulars'
    union
    select
        messages.send_key,
        events.event as kind,
        events.occurred_at as touched_at
    from sent_messages as messages
    inner join message_events as events
        on messages.message_id = events.message_id
    inner join brand_shops
        on
            messages.brand = brand_shops.brand
            and events.occurred_at < brand_shops.visible_until
    where
        messages.record_source = 'regulars'
        and events.event not in ('committed', 'exported', 'suppressed_at_exit', 'contaminated')
    union
    -- A source without receipts may still say by its status what became of the message.
    select
        messages.send_key,
        messages.native_status as kind,
        messages.touched_at
    from sent_messages as messages
    left join receipts
        on
            messages.send_key = receipts.send_key
            and messages.native_status = receipts.event
    where
        messages.native_status in ('delivered', 'failed', 'intercepted')
        and receipts.send_key is null
),

deliveries as (
    select
        send_key,
        min(touched_at) as delivered_at
    from evidence
    where kind = 'delivered'
    group by send_key
),

judged_evidence as (
    select
        evidence.send_key,
        case
            when
                evidence.kind in ('opened', 'clicked')
                and evidence.touched_at < {{ add_seconds(
                    'deliveries.delivered_at', parameter('machine_click_seconds', 'integer')
                ) }}
                then 'machine_' || evidence.kind
            else evidence.kind
        end as kind,
        evidence.touched_at
    from evidence
    left join deliveries
        on evidence.send_key = deliveries.send_key
)

select
    send_key,
    message_id,
    campaign_key,
    campaign_id,
    brand,
    platform,
    shop,
    customer_key,
    channel,
    purpose,
    kind,
    touched_at,
    true as is_message,
    planned_at,
    arm,
    reason,
    bucket,
    coupon_code,
    cost_amount,
    record_source,
    _batch_id,
    _line
from messages
union all
select
    messages.send_key,
    messages.message_id,
    messages.campaign_key,
    messages.campaign_id,
    messages.brand,
    messages.platform,
    messages.shop,
    messages.customer_key,
    messages.channel,
    messages.purpose,
    evidence.kind,
    evidence.touched_at,
    false as is_message,
    messages.planned_at,
    messages.arm,
    messages.reason,
    messages.bucket,
    messages.coupon_code,
    cast(null as decimal(18, 2)) as cost_amount,
    messages.record_source,
    messages._batch_id,
    messages._line
from judged_evidence as evidence
inner join sent_messages as messages
    on evidence.send_key = messages.send_key
