{{ config(materialized='table') }}

with run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

-- A campaign of the installation belongs to a brand; its days are those of the brand's first shop.
brand_zones as (
    select
        brand,
        min_by(zone, platform || '|' || shop) as zone
    from run_shops
    group by brand
),

dropped as (
    select
        campaigns.campaign_key,
        campaigns.brand,
        campaigns.platform,
        campaigns.shop,
        campaigns.campaign_id,
        campaigns.name as campaign_name,
        coalesce(campaigns.campaign_type, 'one_off') as campaign_type,
        campaigns.channel,
        'marketing' as purpose,
        campaigns.started_date,
        campaigns.ended_date,
        campaigns.holdout_share,
        campaigns.cost_amount,
        cast(null as varchar) as coupon_code,
        cast(null as integer) as monitor_days,
        campaigns.record_source,
        run_shops.zone
    from {{ ref('stg_file__campaigns') }} as campaigns
    inner join run_shops
        on
            campaigns.brand = run_shops.brand
            and campaigns.platform = run_shops.platform
            and campaigns.shop = run_shops.shop
    where
        campaigns.modified_at < run_shops.visible_until
        or campaigns.modified_at is null
    qualify row_number() over (
        partition by campaigns.campaign_key
        order by
            campaigns.modified_at desc nulls last,
            campaigns._extracted_at desc nulls last,
            campaigns._batch_id desc nulls last,
            campaigns._line desc nulls last
    ) = 1
),

own as (
    select
        {{ own_campaign_key('campaigns.brand', 'campaigns.campaign') }} as campaign_key,
        campaigns.brand,
        cast(null as varchar) as platform,
        cast(null as varchar) as shop,
        campaigns.campaign as campaign_id,
        campaigns.name as campaign_name,
        campaigns.kind as campaign_type,
        campaigns.channel,
        campaigns.purpose,
        campaigns.start_date as started_date,
        campaigns.end_date as ended_date,
        campaigns.holdout_share,
        cast(null as decimal(18, 2)) as cost_amount,
        campaigns.coupon_code,
        campaigns.monitor_days,
        'regulars' as record_source,
        brand_zones.zone
    from {{ source('config', 'campaigns') }} as campaigns
    inner join brand_zones
        on campaigns.brand = brand_zones.brand
),

campaigns as (
    select * from dropped
    union all
    select * from own
)

select
    campaign_key,
    brand,
    platform,
    shop,
    campaign_id,
    campaign_name,
    campaign_type,
    channel,
    purpose,
    started_date,
    ended_date,
    holdout_share,
    cost_amount,
    coupon_code,
    record_source,
    -- The day after the last day of the monitor window, as an instant; null for a campaign that
    -- is watched from each message's planned time instead.
    case
        when campaign_type = 'one_off' then {{ to_utc(
            'cast(' ~ add_days(
                'ended_date',
                '1 + coalesce(monitor_days, ' ~ parameter('monitor_days_one_off', 'integer') ~ ')'
            ) ~ ' as timestamp)',
            'zone'
        ) }}
    end as monitor_until,
    case
        when campaign_type = 'triggered'
            then 24 * coalesce(monitor_days, {{ parameter('monitor_days_triggered', 'integer') }})
    end as monitor_hours
from campaigns
