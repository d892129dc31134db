{{ config(meta={'touched_relation': 'int_campaigns__touched', 'touched_key': 'customer_key'}) }}

with identities as (
    select *
    from {{ ref('dim_member_identities') }}
    where {{ only_touched('customer_key', 'int_campaigns__touched') }}
),

run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

campaigns as (
    select * from {{ ref('int_campaigns__registered') }}
),

attribution_windows as (
    select * from {{ ref('attribution_windows') }}
),

evidence_ranks as (
    select
        evidence,
        max(evidence_rank) as evidence_rank
    from attribution_windows
    group by evidence
),

orders as (
    select
        identities.member_key,
        orders.order_key,
        orders.customer_key,
        orders.brand,
        orders.platform,
        orders.shop,
        orders.created_at,
        orders.paid_at,
        run_shops.zone
    from {{ ref('fct_orders') }} as orders
    inner join identities
        on orders.customer_key = identities.customer_key
    inner join run_shops
        on
            orders.brand = run_shops.brand
            and orders.platform = run_shops.platform
            and orders.shop = run_shops.shop
    where {{ is_countable_order('orders') }}
),

touches as (
    select
        identities.member_key,
        touches.*
    from {{ ref('int_campaigns__touches') }} as touches
    inner join identities
        on touches.customer_key = identities.customer_key
),

-- Only evidence that a message arrived can earn credit, each kind within its own window; the
-- window in force on the day of the touch counts.
windowed_touches as (
    select
        touches.member_key,
        touches.send_key,
        touches.campaign_key,
        touches.kind as evidence,
        touches.touched_at,
        windows.window_hours,
        {{ add_hours('touches.touched_at', 'windows.window_hours') }} as window_ends_at,
        {{ time_bucket_number('touches.touched_at', 'windows.window_hours * 3600') }} as bucket
    from touches
    inner join attribution_windows as windows
        on
            touches.channel = windows.channel
            and touches.kind = windows.evidence
            and windows.valid_from <= cast(touches.touched_at as date)
    where
        not touches.is_message
        and touches.purpose = 'marketing'
    qualify
        row_number() over (
            partition by touches.send_key, touches.kind, touches.touched_at
            order by windows.valid_from desc nulls last
        ) = 1
        and windows.credit_rule = 'within'
),

-- A touch reaches into its own and the next bucket of its window's width: an equality join that
-- finds every pair a range join would find.
bucketed_touches as (
    select
        member_key,
        send_key,
        campaign_key,
        evidence,
        touched_at,
        window_hours,
        window_ends_at,
        {{ explode(list_of(['bucket', 'bucket + 1'])) }} as bucket
    from windowed_touches
),

window_widths as (
    select window_hours
    from attribution_windows
    where credit_rule = 'within'
    group by window_hours
),

bucketed_orders as (
    select
        orders.member_key,
        orders.order_key,
        orders.created_at,
        orders.paid_at,
        window_widths.window_hours,
        {{ time_bucket_number('orders.paid_at', 'window_widths.window_hours * 3600') }} as bucket
    from orders
    cross join window_widths
    where orders.paid_at is not null
),

touch_candidates as (
    select
        orders.order_key,
        touches.campaign_key,
        touches.send_key,
        touches.evidence,
        touches.touched_at,
        touches.window_ends_at,
        false as is_coupon
    from bucketed_orders as orders
    inner join bucketed_touches as touches
        on
            orders.member_key = touches.member_key
            and orders.window_hours = touches.window_hours
            and orders.bucket = touches.bucket
    where
        -- Nobody orders or pays because of a message that came later.
        orders.created_at > touches.touched_at
        and orders.paid_at > touches.touched_at
        and orders.paid_at <= touches.window_ends_at
),

newest_coupon_events as (
    select *
    from {{ ref('stg_file__coupon_events') }}
    qualify row_number() over (
        partition by coupon_event_key
        order by
            _extracted_at desc nulls last, _batch_id desc nulls last, _line desc nulls last
    ) = 1
),

coupon_uses as (
    select
        events.order_key,
        events.campaign_key
    from newest_coupon_events as events
    inner join run_shops
        on
            events.brand = run_shops.brand
            and events.platform = run_shops.platform
            and events.shop = run_shops.shop
            and events.occurred_at < run_shops.visible_until
    where
        events.event = 'used'
        and events.order_key is not null
        and events.campaign_key is not null
    union
    select
        lines.order_key,
        {{ shop_key('lines.campaign_id', 'lines') }} as campaign_key
    from {{ ref('fct_order_lines') }} as lines
    where
        lines.campaign_id is not null
        and {{ only_touched('lines.customer_key', 'int_campaigns__touched') }}
    union
    select
        lines.order_key,
        campaigns.campaign_key
    from {{ ref('fct_order_lines') }} as lines
    inner join campaigns
        on
            lines.brand = campaigns.brand
            and lines.coupon_id = campaigns.coupon_code
    where {{ only_touched('lines.customer_key', 'int_campaigns__touched') }}
),

coupon_candidates as (
    select
        orders.order_key,
        coupon_uses.campaign_key,
        {{ generate_key(["'coupon'", 'orders.order_key', 'coupon_uses.campaign_key']) }}
            as send_key,
        'coupon_used' as evidence,
        -- The payment itself, which is later than any touch: a used coupon wins.
        orders.paid_at as touched_at,
        orders.paid_at as window_ends_at,
        true as is_coupon
    from orders
    inner join coupon_uses
        on orders.order_key = coupon_uses.order_key
    where orders.paid_at is not null
),

candidates as (
    select
        candidates.*,
        {{ ordering([
            'candidates.touched_at',
            'evidence_ranks.evidence_rank',
            'candidates.campaign_key',
            'candidates.send_key',
        ]) }} as sequence
    from (
        select * from touch_candidates
        union all
        select * from coupon_candidates
    ) as candidates
    inner join evidence_ranks
        on candidates.evidence = evidence_ranks.evidence
),

campaign_credits as (
    select
        order_key,
        campaign_key,
        max_by(evidence, sequence) as evidence,
        max_by(case when not is_coupon then send_key end, sequence) as send_key,
        max_by(touched_at, sequence) as touched_at,
        max_by(window_ends_at, sequence) as window_ends_at,
        max(sequence) as sequence
    from candidates
    group by order_key, campaign_key
),

credits as (
    select
        *,
        row_number() over (partition by order_key order by sequence desc nulls last) = 1
            as is_credited
    from campaign_credits
),

-- What the usual tool counts: whoever was sent a message and ordered or paid before the campaign
-- was no longer watched.
naive_pairs as (
    select
        orders.order_key,
        messages.campaign_key,
        max(
            case
                when
                    orders.created_at >= messages.touched_at
                    and orders.created_at < coalesce(
                        campaigns.monitor_until,
                        {{ add_hours('messages.planned_at', 'campaigns.monitor_hours') }}
                    )
                    then 1
                else 0
            end
        ) as naive_ordered,
        max(
            case
                when
                    orders.paid_at >= messages.touched_at
                    and orders.paid_at < coalesce(
                        campaigns.monitor_until,
                        {{ add_hours('messages.planned_at', 'campaigns.monitor_hours') }}
                    )
                    then 1
                else 0
            end
        ) as naive_paid
    from touches as messages
    inner join campaigns
        on messages.campaign_key = campaigns.campaign_key
    inner join orders
        on messages.member_key = orders.member_key
    where
        messages.kind = 'sent'
        and coalesce(orders.paid_at, orders.created_at) >= messages.touched_at
        and orders.created_at < coalesce(
            campaigns.monitor_until,
            {{ add_hours('messages.planned_at', 'campaigns.monitor_hours') }}
        )
    group by orders.order_key, messages.campaign_key
),

pairs as (
    select
        order_key,
        campaign_key
    from credits
    union
    select
        order_key,
        campaign_key
    from naive_pairs
    where naive_ordered + naive_paid > 0
)

select
    pairs.order_key,
    pairs.campaign_key,
    orders.customer_key,
    credits.evidence,
    credits.send_key,
    credits.touched_at,
    credits.window_ends_at,
    coalesce(credits.is_credited, false) as is_credited,
    {{ add_days(
        to_local_date('credits.window_ends_at', 'orders.zone'),
        parameter('credit_final_days', 'integer')
    ) }} as credit_final_on,
    coalesce(naive_pairs.naive_ordered, 0) = 1 as is_naive_ordered,
    coalesce(naive_pairs.naive_paid, 0) = 1 as is_naive_paid
from pairs
inner join orders
    on pairs.order_key = orders.order_key
left join credits
    on
        pairs.order_key = credits.order_key
        and pairs.campaign_key = credits.campaign_key
left join naive_pairs
    on
        pairs.order_key = naive_pairs.order_key
        and pairs.campaign_key = naive_pairs.campaign_key
