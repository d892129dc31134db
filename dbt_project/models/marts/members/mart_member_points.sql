{#- Rewritten every night, as points lapse by themselves; a sum over lots, empty without. -#}
{{ config(materialized='table') }}

with run as (
    select * from {{ source('ops', 'run') }}
),

brand_shops as (
    select
        brand,
        max(visible_until) as visible_until,
        min_by(zone, shop) as zone
    from {{ source('ops', 'run_shops') }}
    group by brand
),

rules as (
    select *
    from {{ source('config', 'point_rules') }}
    where valid_from <= {{ as_of_date() }}
    qualify valid_from = max(valid_from) over (partition by brand)
),

lots as (
    select
        lots.*,
        brand_shops.visible_until,
        case
            when coalesce(lots.closes_at > brand_shops.visible_until, true)
                then lots.remaining_count
            else 0
        end as open_count,
        -- The last day: one that lapses at midnight stands through the day before.
        {{ to_local_date("(lots.expires_at - interval '1 second')", 'brand_shops.zone') }}
            as last_date
    from {{ ref('fct_point_lots') }} as lots
    inner join brand_shops
        on lots.brand = brand_shops.brand
),

accounts as (
    select
        lots.member_key,
        lots.brand,
        sum(lots.open_count) - sum(lots.debt_count) as point_balance,
        sum(lots.debt_count) as debt_count,
        sum(
            case
                when
                    lots.expires_at > lots.visible_until
                    and lots.last_date <= {{ add_days('run.as_of_date', 'rules.expiring_days') }}
                    then lots.open_count
                else 0
            end
        ) as expiring_count,
        min(lots.last_date) filter (
            where lots.open_count > 0 and lots.expires_at > lots.visible_until
        ) as next_expiry_date,
        sum(lots.point_count) as earned_count,
        sum(lots.redeemed_count) as redeemed_count,
        sum(lots.reversed_count) as reversed_count,
        sum(lots.booked_expired_count + lots.remaining_count - lots.open_count) as expired_count,
        sum(lots.adjusted_count) as adjusted_count,
        sum(lots.repaid_count) as repaid_count
    from lots
    cross join run
    left join rules
        on lots.brand = rules.brand
    group by lots.member_key, lots.brand
),

next_expiring as (
    select
        accounts.member_key,
        sum(lots.open_count) as next_expiring_count
    from accounts
    inner join lots
        on
            accounts.member_key = lots.member_key
            and accounts.next_expiry_date = lots.last_date
    group by accounts.member_key
),

-- As it was recorded, which an erasure leaves: what a person took is still gone, and offers to
-- others stay what they were.
taken_gifts as (
    select * from {{ ref('int_points__taken_gifts') }}
),

gifts as (
    select gifts.*
    from {{ source('config', 'gifts') }} as gifts
    inner join rules
        on
            gifts.brand = rules.brand
            and gifts.rule = rules.rule
    cross join run
    left join taken_gifts
        on
            gifts.brand = taken_gifts.brand
            and gifts.gift = taken_gifts.gift
    where
        gifts.valid_from <= run.as_of_date
        and coalesce(gifts.valid_to, date '9999-12-31') >= run.as_of_date
        and coalesce(gifts.stock > coalesce(taken_gifts.taken_count, 0), true)
),

offers as (
    select
        accounts.member_key,
        gifts.gift,
        gifts.name,
        gifts.points,
        gifts.points <= accounts.point_balance as is_within_reach
    from accounts
    inner join gifts
        on accounts.brand = gifts.brand
    left join {{ ref('mart_member_tiers') }} as tiers
        on accounts.member_key = tiers.member_key
    where coalesce(tiers.tier_level, 0) >= gifts.min_level
),

best_offers as (
    select *
    from offers
    where is_within_reach
    qualify row_number() over (
        partition by member_key order by points desc nulls last, gift asc nulls last
    ) = 1
),

next_offers as (
    select *
    from offers
    where not is_within_reach
    qualify row_number() over (
        partition by member_key order by points asc nulls last, gift asc nulls last
    ) = 1
),

order_values as (
    select * from {{ ref('int_rfm__member_values') }}
)

select
    accounts.member_key,
    accounts.brand,
    rules.rule,
    rules.text as rule_text,
    rules.currency,
    cast(accounts.point_balance as bigint) as point_balance,
    cast(
        floor(greatest(accounts.point_balance, 0) * rules.point_value * 100) * 0.01
        as decimal(18, 2)
    ) as balance_amount,
    cast(
        greatest(accounts.point_balance, 0) * rules.point_value * rules.redemption_rate
        as decimal(18, 6)
    ) as liability_value,
    accounts.debt_count > 0 as is_overdrawn,
    cast(accounts.debt_count as bigint) as debt_count,
    cast(accounts.expiring_count as bigint) as expiring_count,
    accounts.next_expiry_date,
    cast(coalesce(next_expiring.next_expiring_count, 0) as bigint) as next_expiring_count,
    cast(accounts.earned_count as bigint) as earned_count,
    cast(accounts.redeemed_count as bigint) as redeemed_count,
    cast(accounts.reversed_count as bigint) as reversed_count,
    cast(accounts.expired_count as bigint) as expired_count,
    cast(accounts.adjusted_count as bigint) as adjusted_count,
    cast(accounts.repaid_count as bigint) as repaid_count,
    best_offers.gift,
    best_offers.name as gift_name,
    best_offers.points as gift_count,
    next_offers.gift as next_gift,
    cast(next_offers.points - accounts.point_balance as bigint) as points_to_next_gift,
    best_offers.gift is not null
    and coalesce(order_values.window_order_count between 1 and rules.gift_max_orders, false)
        as is_gift_candidate
from accounts
left join rules
    on accounts.brand = rules.brand
left join next_expiring
    on accounts.member_key = next_expiring.member_key
left join best_offers
    on accounts.member_key = best_offers.member_key
left join next_offers
    on accounts.member_key = next_offers.member_key
left join order_values
    on accounts.member_key = order_values.member_key
