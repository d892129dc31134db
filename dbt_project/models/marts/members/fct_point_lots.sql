{#- First in, first out, by the day on which points lapse: every debit takes from the lot that lapses
    first among those that stand at its instant. Worked out debit by debit, because what a debit
    finds depends on what had lapsed by then; members without a debit need none of it. -#}
{{ config(meta={'touched_relation': 'int_points__touched', 'touched_key': 'member_key'}) }}

with recursive entries as materialized (
    select
        *,
        -- Where the ledger books what lapses, nothing lapses by itself.
        case when expiry = 'computed' then expires_at end as closes_at
    from {{ ref('int_points__entries') }}
    where {{ only_touched('member_key', 'int_points__touched') }}
),

debits as (
    select
        member_key,
        brand,
        cast(row_number() over (
            partition by member_key order by occurred_at asc nulls last, entry_key asc nulls last
        ) as integer) as step,
        movement,
        - point_count as point_count,
        occurred_at,
        order_key
    from entries
    where point_count < 0
),

-- A last step that takes nothing, so that a debt is paid from what was earned after the last debit.
steps as materialized (
    select * from debits
    union all
    select
        member_key,
        brand,
        cast(max(step) + 1 as integer) as step,
        'settle' as movement,
        0 as point_count,
        timestamp '9999-12-31 00:00:00' as occurred_at,
        cast(null as uuid) as order_key
    from debits
    group by member_key, brand
),

lots as (
    select
        member_key,
        brand,
        cast(row_number() over (
            partition by member_key
            order by
                coalesce(expires_at, timestamp '9999-12-31 00:00:00') asc nulls last,
                occurred_at asc nulls last,
                entry_key asc nulls last
        ) as integer) as lot_number,
        entry_key as lot_key,
        rule,
        origin,
        movement,
        order_key,
        occurred_at as earned_at,
        expires_at,
        closes_at,
        point_count
    from entries
    where point_count > 0
),

-- Lot 0 holds nothing: it carries what was taken beyond all lots.
accounts as (
    select * from lots
    union all
    select
        member_key,
        brand,
        0 as lot_number,
        {{ generate_key(["'overdrawn'", 'member_key']) }} as lot_key,
        cast(null as varchar) as rule,
        'overdrawn' as origin,
        'overdrawn' as movement,
        cast(null as uuid) as order_key,
        occurred_at as earned_at,
        cast(null as timestamp) as expires_at,
        cast(null as timestamp) as closes_at,
        0 as point_count
    from debits
    where step = 1
),

consumed as (
    select
        accounts.member_key,
        accounts.lot_number,
        accounts.earned_at,
        accounts.closes_at,
        accounts.order_key,
        0 as step,
        timestamp '0001-01-01 00:00:00' as last_at,
        cast(accounts.point_count as bigint) as open_count,
        cast(0 as bigint) as redeemed_count,
        cast(0 as bigint) as reversed_count,
        cast(0 as bigint) as booked_expired_count,
        cast(0 as bigint) as adjusted_count,
        cast(0 as bigint) as repaid_count,
        cast(0 as bigint) as debt_count
    from accounts
    inner join debits
        on
            accounts.member_key = debits.member_key
            and debits.step = 1
    union all
    select
        taken.member_key,
        taken.lot_number,
        taken.earned_at,
        taken.closes_at,
        taken.order_key,
        taken.step,
        taken.occurred_at as last_at,
        taken.left_count - taken.taken_count as open_count,
        taken.redeemed_count
        + case when taken.movement = 'redeem' then taken.taken_count else 0 end as redeemed_count,
        taken.reversed_count
        + case when taken.movement = 'reverse' then taken.taken_count else 0 end as reversed_count,
        taken.booked_expired_count
        + case when taken.movement = 'expire' then taken.taken_count else 0 end
            as booked_expired_count,
        taken.adjusted_count
        + case when taken.movement in ('adjust', 'earn') then taken.taken_count else 0 end
            as adjusted_count,
        taken.repaid_count + taken.repays_count as repaid_count,
        cast(
            taken.owed_count + taken.point_count
            - sum(taken.taken_count) over (partition by taken.member_key) as bigint
        ) as debt_count
    from (
        select
            *,
            cast(greatest(least(
                reachable_count,
                point_count - coalesce(sum(reachable_count) over (
                    partition by member_key
                    order by is_own desc nulls last, lot_number asc nulls last
                    rows between unbounded preceding and 1 preceding
                ), 0)
            ), 0) as bigint) as taken_count
        from (
            select
                *,
                case
                    when lot_number = 0 or earned_at > occurred_at then 0
                    -- Its own lot gives back even what has lapsed, and so does what lapses.
                    when is_own = 1 or movement = 'expire' then left_count
                    when closes_at <= occurred_at then 0
                    else left_count
                end as reachable_count
            from (
                select
                    *,
                    debt_count - sum(repays_count) over (partition by member_key) as owed_count,
                    open_count - repays_count as left_count
                from (
                    select
                        *,
                        cast(greatest(least(
                            owing_count,
                            debt_count - coalesce(sum(owing_count) over (
                                partition by member_key
                                order by earned_at asc nulls last, lot_number asc nulls last
                                rows between unbounded preceding and 1 preceding
                            ), 0)
                        ), 0) as bigint) as repays_count
                    from (
                        select
                            consumed.member_key,
                            consumed.lot_number,
                            consumed.earned_at,
                            consumed.closes_at,
                            consumed.order_key,
                            steps.step,
                            steps.movement,
                            steps.point_count,
                            steps.occurred_at,
                            consumed.open_count,
                            consumed.redeemed_count,
                            consumed.reversed_count,
                            consumed.booked_expired_count,
                            consumed.adjusted_count,
                            consumed.repaid_count,
                            consumed.debt_count,
                            case
                                when
                                    steps.movement = 'reverse'
                                    and consumed.order_key = steps.order_key
                                    then 1
                                else 0
                            end as is_own,
                            -- A debt is paid by what is earned next, in the order of earning.
                            case
                                when
                                    consumed.debt_count > 0
                                    and consumed.earned_at > consumed.last_at
                                    and consumed.earned_at <= steps.occurred_at
                                    then consumed.open_count
                                else 0
                            end as owing_count
                        from consumed
                        inner join steps
                            on
                                consumed.member_key = steps.member_key
                                and consumed.step + 1 = steps.step
                    ) as met
                ) as repaid
            ) as settled
        ) as reached
    ) as taken
),

last_steps as (
    select
        member_key,
        max(step) as step
    from steps
    group by member_key
),

settled as (
    select consumed.*
    from consumed
    inner join last_steps
        on
            consumed.member_key = last_steps.member_key
            and consumed.step = last_steps.step
)

select
    accounts.member_key,
    accounts.brand,
    accounts.lot_key,
    accounts.origin,
    accounts.movement,
    accounts.rule,
    accounts.order_key,
    accounts.earned_at,
    accounts.expires_at,
    accounts.closes_at,
    cast(accounts.point_count as bigint) as point_count,
    coalesce(settled.redeemed_count, 0) as redeemed_count,
    coalesce(settled.reversed_count, 0) as reversed_count,
    coalesce(settled.booked_expired_count, 0) as booked_expired_count,
    coalesce(settled.adjusted_count, 0) as adjusted_count,
    coalesce(settled.repaid_count, 0) as repaid_count,
    case
        when accounts.lot_number = 0 then 0
        else coalesce(settled.open_count, cast(accounts.point_count as bigint))
    end as remaining_count,
    case when accounts.lot_number = 0 then settled.debt_count else 0 end as debt_count
from accounts
left join settled
    on
        accounts.member_key = settled.member_key
        and accounts.lot_number = settled.lot_number
where accounts.lot_number > 0 or settled.debt_count > 0
