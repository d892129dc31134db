{{ config(meta={'touched_relation': 'int_campaigns__touched', 'touched_key': 'customer_key'}) }}

with touches as (
    select *
    from {{ ref('int_campaigns__touches') }}
    where {{ only_touched('customer_key', 'int_campaigns__touched') }}
),

campaigns as (
    select * from {{ ref('int_campaigns__registered') }}
),

run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

evidence as (
    select
        send_key,
        min(touched_at) filter (where kind = 'accepted') as accepted_at,
        min(touched_at) filter (where kind = 'delivered') as delivered_at,
        min(touched_at) filter (where kind = 'opened') as opened_at,
        min(touched_at) filter (where kind = 'clicked') as clicked_at,
        min(touched_at) filter (where kind = 'machine_clicked') as machine_clicked_at,
        min(touched_at) filter (where kind in ('failed', 'bounced')) as failed_at,
        min(touched_at) filter (where kind = 'intercepted') as intercepted_at,
        min(touched_at) filter (where kind in ('unsubscribed', 'complained')) as refused_at
    from touches
    where not is_message
    group by send_key
),

coupon_uses as (
    select
        order_key,
        campaign_key,
        customer_key,
        touched_at as used_at
    from {{ ref('int_campaigns__credits') }}
    where
        evidence = 'coupon_used'
        and {{ only_touched('customer_key', 'int_campaigns__touched') }}
),

-- A use proves one message: the last that its buyer was sent before it.
proven_by_use as (
    select
        coupon_uses.order_key,
        coupon_uses.campaign_key,
        max_by(touches.send_key, {{ ordering(['touches.touched_at', 'touches.send_key']) }})
            as send_key
    from coupon_uses
    inner join touches
        on
            coupon_uses.campaign_key = touches.campaign_key
            and coupon_uses.customer_key = touches.customer_key
            and coupon_uses.used_at >= touches.touched_at
    where
        touches.is_message
        and touches.kind = 'sent'
    group by coupon_uses.order_key, coupon_uses.campaign_key
),

used_messages as (
    select send_key
    from proven_by_use
    group by send_key
),

messages as (
    select
        touches.*,
        evidence.accepted_at,
        evidence.delivered_at,
        evidence.opened_at,
        evidence.clicked_at,
        evidence.machine_clicked_at,
        evidence.failed_at,
        evidence.intercepted_at,
        evidence.refused_at,
        case when touches.kind = 'sent' then touches.touched_at end as sent_at,
        used_messages.send_key is not null as has_used_coupon
    from touches
    left join evidence
        on touches.send_key = evidence.send_key
    left join used_messages
        on touches.send_key = used_messages.send_key
    where touches.is_message
)

select
    messages.send_key,
    messages.message_id,
    messages.campaign_key,
    messages.campaign_id,
    messages.record_source,
    messages.brand,
    messages.platform,
    messages.shop,
    messages.customer_key,
    coalesce(messages.channel, campaigns.channel) as channel,
    messages.purpose,
    messages.kind as outcome,
    messages.reason,
    messages.arm,
    messages.bucket,
    messages.planned_at,
    {{ to_local_date('coalesce(messages.planned_at, messages.touched_at)', 'run_shops.zone') }}
        as planned_date,
    messages.sent_at,
    messages.accepted_at,
    messages.delivered_at,
    messages.opened_at,
    messages.clicked_at,
    messages.machine_clicked_at,
    messages.failed_at,
    messages.intercepted_at,
    messages.refused_at,
    -- What proves most decides; a message that failed may still have been accepted before.
    case
        when messages.kind <> 'sent' then null
        when messages.clicked_at is not null or messages.delivered_at is not null then 'delivered'
        when messages.intercepted_at is not null then 'intercepted'
        when messages.failed_at is not null then 'failed'
        else 'no_receipt'
    end as delivery_state,
    case
        when messages.kind = 'sent' then {{ add_hours(
            'messages.sent_at', parameter('receipt_wait_hours', 'integer')
        ) }}
    end as receipt_due_at,
    case
        when messages.kind <> 'sent' then 0
        when messages.has_used_coupon then 5
        when messages.clicked_at is not null then 4
        when messages.delivered_at is not null then 3
        when messages.accepted_at is not null then 2
        else 1
    end as evidence_level,
    messages.coupon_code,
    messages.cost_amount,
    run_shops.currency,
    messages._batch_id,
    messages._line
from messages
left join campaigns
    on messages.campaign_key = campaigns.campaign_key
inner join run_shops
    on
        messages.brand = run_shops.brand
        and messages.platform = run_shops.platform
        and messages.shop = run_shops.shop
