{{ config(meta={'touched_relation': 'int_points__touched', 'touched_key': 'member_key'}) }}

with identities as (
    select *
    from {{ ref('dim_member_identities') }}
    where {{ only_touched('member_key', 'int_points__touched') }}
),

run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

-- The end of the business date of an account, which all shops of a brand share.
brand_shops as (
    select
        brand,
        max(visible_until) as visible_until
    from run_shops
    group by brand
),

kinds as (
    select * from {{ ref('point_kinds') }}
),

rules as (
    select
        *,
        lead(valid_from) over (partition by brand order by valid_from asc nulls last) as valid_to
    from {{ source('config', 'point_rules') }}
),

-- Of an entry that is corrected, all versions: an older one may have been somebody else's.
versions as (
    select *
    from {{ ref('stg_file__points') }}
    where
        points_entry_key in (
            select theirs.points_entry_key
            from {{ ref('stg_file__points') }} as theirs
            where theirs.customer_key in (select identities.customer_key from identities)
        )
),

-- A file that is dropped again corrects the one before.
newest as (
    select *
    from versions
    qualify
        row_number() over (
            partition by points_entry_key
            order by
                _extracted_at desc nulls last, _batch_id desc nulls last, _line desc nulls last
        ) = 1
),

delivered as (
    select
        entries.brand,
        entries.points_entry_key as entry_key,
        entries.customer_key,
        coalesce(kinds.movement, other_kinds.movement) as movement,
        cast(entries.point_count as bigint) as point_count,
        entries.occurred_at,
        entries.expires_at,
        entries.order_key,
        rules.rule,
        coalesce(rules.expiry, 'computed') as expiry
    from newest as entries
    inner join run_shops
        on
            entries.brand = run_shops.brand
            and entries.platform = run_shops.platform
            and entries.shop = run_shops.shop
    left join kinds
        on lower(entries.kind) = kinds.kind
    left join kinds as other_kinds
        on other_kinds.kind = '*'
    left join rules
        on
            entries.brand = rules.brand
            and {{ to_local_date('entries.occurred_at', 'run_shops.zone') }} >= rules.valid_from
            and {{ to_local_date('entries.occurred_at', 'run_shops.zone') }}
            < coalesce(rules.valid_to, date '9999-12-31')
    where
        entries.occurred_at < run_shops.visible_until
        and entries.point_count <> 0
),

orders as (
    select *
    from {{ ref('fct_orders') }}
    where customer_key in (select identities.customer_key from identities)
),

succeeded_refunds as (
    select
        refund_key,
        order_key,
        refunded_at,
        refund_amount
    from {{ ref('fct_refunds') }}
    where
        refunded_at is not null
        and order_key in (select orders.order_key from orders)
),

early_refunds as (
    select
        refunds.order_key,
        sum(refunds.refund_amount) as refund_amount
    from succeeded_refunds as refunds
    inner join orders
        on
            refunds.order_key = orders.order_key
            and refunds.refunded_at <= orders.finished_at
    group by refunds.order_key
),

-- Points come with the confirmed receipt, for what was not refunded by then, under the rule of
-- that day; trial orders and those of the staff earn none.
earned as (
    select
        orders.brand,
        orders.order_key,
        orders.customer_key,
        orders.finished_at as occurred_at,
        {{ to_utc(
            'cast(' ~ add_days(
                to_local_date('orders.finished_at', 'run_shops.zone'), 'rules.valid_days'
            ) ~ ' as timestamp)',
            'run_shops.zone'
        ) }} as expires_at,
        rules.rule,
        greatest(orders.paid_amount - coalesce(early_refunds.refund_amount, 0), 0) as base_amount,
        cast(
            floor(
                greatest(orders.paid_amount - coalesce(early_refunds.refund_amount, 0), 0)
                * rules.points_per_unit
            ) as bigint
        ) as point_count
    from rules
    inner join orders
        on
            rules.brand = orders.brand
            and rules.currency = orders.currency
    inner join run_shops
        on
            orders.brand = run_shops.brand
            and orders.platform = run_shops.platform
            and orders.shop = run_shops.shop
    left join early_refunds
        on orders.order_key = early_refunds.order_key
    where
        rules.earns = 'by_orders'
        and orders.is_paid
        and {{ is_countable_order('orders') }}
        and {{ to_local_date('orders.finished_at', 'run_shops.zone') }} >= rules.valid_from
        and {{ to_local_date('orders.finished_at', 'run_shops.zone') }}
        < coalesce(rules.valid_to, date '9999-12-31')
),

-- What came back takes its part of the points along, rounded down over all refunds together: the
-- last one takes the rest, and none takes more than was earned.
clawed_back as (
    select
        earned.*,
        refunds.refund_key,
        refunds.refunded_at,
        least(
            sum(refunds.refund_amount) over so_far, earned.base_amount
        ) as refunded_so_far,
        least(
            sum(refunds.refund_amount) over so_far - refunds.refund_amount, earned.base_amount
        ) as refunded_before
    from earned
    inner join succeeded_refunds as refunds
        on
            earned.order_key = refunds.order_key
            and earned.occurred_at < refunds.refunded_at
    where earned.base_amount > 0
    window so_far as (
        partition by earned.order_key
        order by refunds.refunded_at asc nulls last, refunds.refund_key asc nulls last
        rows between unbounded preceding and current row
    )
),

reversed as (
    select
        *,
        cast(
            -- Whole fen by whole points: nothing is divided before it has been multiplied.
            {{ floor_share('point_count', 'refunded_so_far', 'base_amount') }}
            - {{ floor_share('point_count', 'refunded_before', 'base_amount') }} as bigint
        ) as reversed_count
    from clawed_back
),

-- What a member's own order earns by the rule, whatever day the ledger booked it on.
earned_by_members as (
    select
        identities.member_key,
        earned.order_key
    from earned
    inner join identities
        on earned.customer_key = identities.customer_key
),

counted_twice as (
    select delivered.entry_key
    from delivered
    inner join identities
        on delivered.customer_key = identities.customer_key
    inner join earned_by_members
        on
            identities.member_key = earned_by_members.member_key
            and delivered.order_key = earned_by_members.order_key
    where delivered.movement in ('earn', 'reverse')
),

redeemed as (
    select
        redemptions.*,
        brand_shops.visible_until
    from {{ source('raw', 'state__point_redemptions') }} as redemptions
    inner join brand_shops
        on
            redemptions.brand = brand_shops.brand
            and redemptions.redeemed_at < brand_shops.visible_until
),

entries as (
    select
        brand,
        entry_key,
        customer_key,
        movement,
        point_count,
        occurred_at,
        expires_at,
        order_key,
        rule,
        expiry,
        'delivered' as origin,
        cast(null as varchar) as gift
    from delivered
    -- Where an order earns by the rule, what a ledger says of the same order would count it twice.
    where entry_key not in (select counted_twice.entry_key from counted_twice)
    union all
    select
        brand,
        {{ generate_key(["'points'", 'order_key']) }} as entry_key,
        customer_key,
        'earn' as movement,
        point_count,
        occurred_at,
        expires_at,
        order_key,
        rule,
        'computed' as expiry,
        'order' as origin,
        cast(null as varchar) as gift
    from earned
    where point_count > 0
    union all
    select
        brand,
        {{ generate_key(["'points'", 'refund_key']) }} as entry_key,
        customer_key,
        'reverse' as movement,
        -reversed_count as point_count,
        refunded_at as occurred_at,
        cast(null as timestamp) as expires_at,
        order_key,
        rule,
        'computed' as expiry,
        'refund' as origin,
        cast(null as varchar) as gift
    from reversed
    where reversed_count > 0
    union all
    select
        brand,
        {{ generate_key(["'redemption'", 'redemption_id']) }} as entry_key,
        customer_key,
        'redeem' as movement,
        -point_count as point_count,
        redeemed_at as occurred_at,
        cast(null as timestamp) as expires_at,
        cast(null as uuid) as order_key,
        rule,
        'computed' as expiry,
        'redemption' as origin,
        gift
    from redeemed
)

select
    identities.member_key,
    entries.brand,
    entries.entry_key,
    entries.customer_key,
    entries.movement,
    entries.point_count,
    entries.occurred_at,
    entries.expires_at,
    entries.order_key,
    entries.rule,
    entries.expiry,
    entries.origin,
    entries.gift
from entries
inner join identities
    on
        entries.customer_key = identities.customer_key
        and entries.brand = identities.brand
