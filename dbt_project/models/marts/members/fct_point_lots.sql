{#- First in, first out, by the day on which points lapse: every debit takes from the lot that
    lapses first among those that stand at its instant.

    All points of a member, laid one lot behind the other, are a line, and debits move along it: where
    lots lapse in the order in which they came, a debit begins where the one before it ended, or where
    the lots that have lapsed by then end, whichever is further (a sum and a running maximum). A refund
    cuts its part out of its own lot before the line is laid, if no debit had come so far by then.
    Other members are worked out debit by debit; those without a debit need
    neither. -#}
{{ config(meta={'touched_relation': 'int_points__touched', 'touched_key': 'member_key'}) }}

{%- set never = "timestamp '9999-12-31 00:00:00'" %}
{%- set movements = [
    {'name': 'redeemed', 'of': "'redeem'"},
    {'name': 'reversed', 'of': "'reverse'"},
    {'name': 'booked_expired', 'of': "'expire'"},
    {'name': 'adjusted', 'of': "'adjust', 'earn'"},
    {'name': 'repaid', 'of': "'repaid'"},
] %}

-- The linter takes the template's loops over columns for indentation.
-- noqa: disable=LT02
with recursive entries as materialized (
    select
        *,
        -- Where the ledger books what lapses, nothing lapses by itself.
        case when expiry = 'computed' then expires_at end as closes_at
    from {{ ref('int_points__entries') }}
    where {{ only_touched('member_key', 'int_points__touched') }}
),

debits as materialized (
    select
        member_key,
        brand,
        cast(row_number() over (
            partition by member_key order by occurred_at asc nulls last, entry_key asc nulls last
        ) as integer) as step,
        movement,
        -point_count as point_count,
        occurred_at,
        order_key
    from entries
    where point_count < 0
),

lots as materialized (
    select
        member_key,
        brand,
        cast(row_number() over (
            partition by member_key
            order by
                coalesce(expires_at, {{ never }}) asc nulls last,
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

-- What a refund gives back from the lot of its own order, as long as nothing else has reached it.
own_cuts as (
    select
        *,
        -- Over all refunds of the lot together never more than it held.
        least(sum(asked_count) over cut_order, lot_point_count)
        - least(sum(asked_count) over cut_order - asked_count, lot_point_count) as cut_count
    from (
        select
            debits.member_key,
            debits.step,
            debits.point_count as asked_count,
            lots.lot_number,
            lots.point_count as lot_point_count,
            count(*) over (partition by debits.member_key, debits.step) as own_lot_count
        from debits
        inner join lots
            on
                debits.member_key = lots.member_key
                and debits.order_key = lots.order_key
                and debits.occurred_at >= lots.earned_at
        where debits.movement = 'reverse'
    ) as own_lots
    window cut_order as (
        partition by member_key, lot_number
        order by step asc nulls last
        rows between unbounded preceding and current row
    )
),

cuts as (
    select
        member_key,
        lot_number,
        sum(cut_count) as cut_count
    from own_cuts
    group by member_key, lot_number
),

debited_lots as (
    select
        lots.member_key,
        lots.lot_number,
        lots.earned_at,
        lots.closes_at,
        lots.point_count,
        coalesce(cuts.cut_count, 0) as cut_count,
        lots.point_count - coalesce(cuts.cut_count, 0) as line_count,
        sum(lots.point_count - coalesce(cuts.cut_count, 0)) over (
            partition by lots.member_key
            order by lots.lot_number asc nulls last
            rows between unbounded preceding and current row
        ) as line_end,
        lag(lots.lot_number) over arrival_order as previous_number,
        lag(coalesce(lots.closes_at, {{ never }})) over arrival_order
            as previous_closes_at
    from lots
    inner join debits
        on
            lots.member_key = debits.member_key
            and debits.step = 1
    left join cuts
        on
            lots.member_key = cuts.member_key
            and lots.lot_number = cuts.lot_number
    window arrival_order as (
        partition by lots.member_key
        order by lots.earned_at asc nulls last, lots.lot_number asc nulls last
    )
),

happenings as (
    select
        member_key,
        earned_at as happened_at,
        0 as step,
        line_count as came_count,
        0 as lapsed_count,
        0 as demand_count,
        cast(null as varchar) as movement
    from debited_lots
    union all
    select
        member_key,
        closes_at as happened_at,
        0 as step,
        0 as came_count,
        line_count as lapsed_count,
        0 as demand_count,
        cast(null as varchar) as movement
    from debited_lots
    where closes_at is not null
    union all
    select
        debits.member_key,
        debits.occurred_at as happened_at,
        debits.step,
        0 as came_count,
        0 as lapsed_count,
        debits.point_count - coalesce(own_cuts.cut_count, 0) as demand_count,
        debits.movement
    from debits
    left join own_cuts
        on
            debits.member_key = own_cuts.member_key
            and debits.step = own_cuts.step
            and own_cuts.own_lot_count = 1
),

-- Of one instant what comes and what lapses is there before what is taken.
counted as (
    select
        *,
        sum(came_count) over event_order as came_so_far,
        sum(lapsed_count) over event_order as lapsed_so_far,
        sum(demand_count) over event_order as demanded_so_far
    from happenings
    window event_order as (
        partition by member_key
        order by happened_at asc nulls last, step asc nulls last
        rows between unbounded preceding and current row
    )
),

demands as (
    select
        member_key,
        step,
        movement,
        demand_count,
        came_so_far,
        demanded_so_far + greatest(
            max(lapsed_so_far - demanded_so_far + demand_count) over (
                partition by member_key
                order by step asc nulls last
                rows between unbounded preceding and current row
            ),
            0
        ) as line_end
    from counted
    where step > 0
),

-- Lots that lapse in another order than they came, lapsed lots that an entry reaches all the same,
-- several lots of one order, or a refund that comes after other debits have reached its lot.
irregular as (
    select member_key
    from debited_lots
    where
        lot_number < previous_number
        or coalesce(closes_at, {{ never }}) < previous_closes_at
        or closes_at <= earned_at
    union
    select debits.member_key
    from debits
    inner join debited_lots
        on debits.member_key = debited_lots.member_key
    where debits.movement = 'expire' and debited_lots.closes_at is not null
    union
    select own_cuts.member_key
    from own_cuts
    inner join debited_lots
        on
            own_cuts.member_key = debited_lots.member_key
            and own_cuts.lot_number = debited_lots.lot_number
    left join demands as previous_demands
        on
            own_cuts.member_key = previous_demands.member_key
            and own_cuts.step - 1 = previous_demands.step
    where
        own_cuts.own_lot_count > 1
        or (own_cuts.cut_count > 0 and previous_demands.line_end > debited_lots.line_end)
),

-- Where on the line a debit begins and ends; what lies beyond all that had come by then is owed,
-- and paid by what comes there later.
stretches as (
    select
        member_key,
        movement,
        line_end - demand_count as stretch_begin,
        least(line_end, greatest(line_end - demand_count, came_so_far)) as stretch_end
    from demands
    union all
    select
        member_key,
        'repaid' as movement,
        greatest(line_end - demand_count, came_so_far) as stretch_begin,
        line_end as stretch_end
    from demands
    where line_end > came_so_far
),

-- Of each movement what lies before the end of a lot: what has begun by there, less what of the
-- stretch that holds the end lies behind it.
boundaries as (
    select
        member_key,
        stretch_begin as place,
        0 as lot_number,
        movement,
        stretch_begin,
        stretch_end
    from stretches
    where stretch_end > stretch_begin
    union all
    select
        member_key,
        line_end as place,
        lot_number,
        cast(null as varchar) as movement,
        cast(null as bigint) as stretch_begin,
        cast(null as bigint) as stretch_end
    from debited_lots
),

taken_before as (
    select
        member_key,
        lot_number,
        {%- for movement in movements %}
        coalesce(
            sum(case when movement in ({{ movement.of }}) then stretch_end - stretch_begin end)
                over line_order,
            0
        ) - greatest(
            coalesce(
                max(case when movement in ({{ movement.of }}) then stretch_end end) over line_order,
                0
            ) - place,
            0
        ) as {{ movement.name }}_before
        {{- ',' if not loop.last }}
        {%- endfor %}
    from boundaries
    window
        line_order as (
            partition by member_key
            order by place asc nulls last, lot_number asc nulls last
            rows between unbounded preceding and current row
        )
    qualify lot_number > 0
),

taken as (
    select
        member_key,
        lot_number,
        {%- for movement in movements %}
        {{ movement.name }}_before - coalesce(lag({{ movement.name }}_before) over lot_order, 0)
            as {{ movement.name }}_count
        {{- ',' if not loop.last }}
        {%- endfor %}
    from taken_before
    window lot_order as (partition by member_key order by lot_number asc nulls last)
),

lines as (
    select
        member_key,
        sum(line_count) as line_end
    from debited_lots
    group by member_key
),

debts as (
    select
        demands.member_key,
        greatest(max(demands.line_end) - coalesce(max(lines.line_end), 0), 0) as debt_count
    from demands
    left join lines
        on demands.member_key = lines.member_key
    group by demands.member_key
),

irregular_debits as materialized (
    select *
    from debits
    where member_key in (select irregular.member_key from irregular)
),

-- The debit that is the first to find a lot there. What comes after the last one waits for a step
-- that takes nothing, by which it pays what is owed.
arrivals as (
    select
        member_key,
        lot_number,
        earned_at,
        1 + coalesce(
            max(step) over (
                partition by member_key
                order by earned_at asc nulls last, step asc nulls last
                rows between unbounded preceding and current row
            ),
            0
        ) as step
    from (
        select
            member_key,
            lot_number,
            earned_at,
            0 as step
        from lots
        where member_key in (select irregular.member_key from irregular)
        union all
        select
            member_key,
            0 as lot_number,
            occurred_at as earned_at,
            step
        from irregular_debits
    ) as happened
    qualify lot_number > 0
),

steps as (
    select
        member_key,
        step,
        movement,
        point_count,
        occurred_at,
        order_key
    from irregular_debits
    union all
    select
        member_key,
        cast(max(step) + 1 as integer) as step,
        'settle' as movement,
        0 as point_count,
        {{ never }} as occurred_at,
        cast(null as uuid) as order_key
    from irregular_debits
    group by member_key
),

-- Lapsed lots that an entry still reaches: a refund of their order, or what the ledger books.
reached_late as (
    select
        lots.member_key,
        lots.lot_number
    from lots
    inner join irregular_debits as debits
        on
            lots.member_key = debits.member_key
            and lots.closes_at <= debits.occurred_at
            and lots.order_key = debits.order_key
    where debits.movement = 'reverse'
    union
    select
        lots.member_key,
        lots.lot_number
    from lots
    inner join irregular_debits as debits
        on lots.member_key = debits.member_key
    where debits.movement = 'expire'
),

-- What a step meets: as lot 0 all that is there already, and each lot that has come since the step
-- before, of which a debt takes what it needs in the order of earning.
offered as materialized (
    select
        steps.member_key,
        steps.step,
        0 as lot_number,
        steps.movement,
        steps.point_count as demand_count,
        steps.occurred_at,
        steps.order_key as demand_order_key,
        cast(null as timestamp) as closes_at,
        cast(null as timestamp) as gone_at,
        cast(null as uuid) as order_key,
        cast(0 as bigint) as came_count,
        cast(coalesce(sum(lots.point_count), 0) as bigint) as came_so_far
    from steps
    left join arrivals
        on
            steps.member_key = arrivals.member_key
            and steps.step = arrivals.step
    left join lots
        on
            arrivals.member_key = lots.member_key
            and arrivals.lot_number = lots.lot_number
    group by all
    union all
    select
        steps.member_key,
        steps.step,
        lots.lot_number,
        steps.movement,
        steps.point_count as demand_count,
        steps.occurred_at,
        steps.order_key as demand_order_key,
        lots.closes_at,
        case when reached_late.lot_number is null then lots.closes_at end as gone_at,
        lots.order_key,
        lots.point_count as came_count,
        cast(
            sum(lots.point_count) over (
                partition by arrivals.member_key, arrivals.step
                order by arrivals.earned_at asc nulls last, arrivals.lot_number asc nulls last
                rows between unbounded preceding and current row
            ) as bigint
        ) as came_so_far
    from steps
    inner join arrivals
        on
            steps.member_key = arrivals.member_key
            and steps.step = arrivals.step
    inner join lots
        on
            arrivals.member_key = lots.member_key
            and arrivals.lot_number = lots.lot_number
    left join reached_late
        on
            arrivals.member_key = reached_late.member_key
            and arrivals.lot_number = reached_late.lot_number
),

-- Debit by debit, all members at once. A lot enters when it has come and is left out as soon as
-- nothing can be taken from it: what is carried on is what stands.
consumed as (
    select
        member_key,
        0 as step,
        0 as lot_number,
        cast(null as timestamp) as closes_at,
        cast(null as timestamp) as gone_at,
        cast(null as uuid) as order_key,
        cast(null as varchar) as movement,
        cast(0 as bigint) as open_count,
        cast(0 as bigint) as taken_count,
        cast(0 as bigint) as repaid_count,
        cast(0 as bigint) as debt_count
    from irregular_debits
    where step = 1
    union all
    select
        reached.member_key,
        reached.step,
        reached.lot_number,
        reached.closes_at,
        reached.gone_at,
        reached.order_key,
        reached.movement,
        reached.left_count - cast(greatest(least(
            reached.reachable_count,
            reached.demand_count - sum(reached.reachable_count) over turn + reached.reachable_count
        ), 0) as bigint) as open_count,
        cast(greatest(least(
            reached.reachable_count,
            reached.demand_count - sum(reached.reachable_count) over turn + reached.reachable_count
        ), 0) as bigint) as taken_count,
        reached.repaid_count,
        case
            when reached.lot_number = 0
                then
                    reached.debt_count + cast(greatest(
                        reached.demand_count - sum(reached.reachable_count) over whole_turn, 0
                    ) as bigint)
            else 0
        end as debt_count
    from (
        select
            *,
            came_count - repaid_count + carried_count as left_count,
            case
                when lot_number = 0 then 0
                -- Its own lot gives back even what has lapsed, and so does what lapses.
                when is_own = 1 or movement = 'expire'
                    then came_count - repaid_count + carried_count
                when closes_at <= occurred_at then 0
                else came_count - repaid_count + carried_count
            end as reachable_count
        from (
            select
                offered.member_key,
                offered.step,
                offered.movement,
                offered.demand_count,
                offered.occurred_at,
                offered.came_count,
                consumed.lot_number + offered.lot_number as lot_number,
                coalesce(offered.closes_at, consumed.closes_at) as closes_at,
                coalesce(offered.gone_at, consumed.gone_at) as gone_at,
                coalesce(offered.order_key, consumed.order_key) as order_key,
                case when offered.lot_number = 0 then consumed.open_count else 0 end
                    as carried_count,
                -- A debt is paid by what is earned next, in the order of earning.
                greatest(least(
                    offered.came_count,
                    consumed.debt_count - offered.came_so_far + offered.came_count
                ), 0) as repaid_count,
                greatest(consumed.debt_count - offered.came_so_far, 0) as debt_count,
                case
                    when
                        offered.movement = 'reverse'
                        and coalesce(offered.order_key, consumed.order_key)
                        = offered.demand_order_key
                        then 1
                    else 0
                end as is_own
            from consumed
            inner join offered
                on
                    consumed.member_key = offered.member_key
                    and consumed.step + 1 = offered.step
            where
                consumed.lot_number = 0
                or (
                    offered.lot_number = 0
                    and consumed.open_count > 0
                    and coalesce(consumed.gone_at > offered.occurred_at, true)
                )
        ) as met
    ) as reached
    window
        turn as (
            partition by reached.member_key
            order by reached.is_own desc nulls last, reached.lot_number asc nulls last
            rows between unbounded preceding and current row
        ),
        whole_turn as (
            partition by reached.member_key
            order by reached.is_own desc nulls last, reached.lot_number asc nulls last
            rows between unbounded preceding and unbounded following
        )
),

settled as (
    select
        member_key,
        lot_number,
        {%- for movement in movements[:4] %}
            coalesce(sum(taken_count) filter (where movement in ({{ movement.of }})), 0)
                as {{ movement.name }}_count,
        {%- endfor %}
        sum(repaid_count) as repaid_count,
        max(case when movement = 'settle' then debt_count else 0 end) as debt_count
    from consumed
    group by member_key, lot_number
    union all
    select
        lots.member_key,
        lots.lot_number,
        taken.redeemed_count,
        taken.reversed_count + lots.cut_count as reversed_count,
        taken.booked_expired_count,
        taken.adjusted_count,
        taken.repaid_count,
        0 as debt_count
    from debited_lots as lots
    inner join taken
        on
            lots.member_key = taken.member_key
            and lots.lot_number = taken.lot_number
    where lots.member_key not in (select irregular.member_key from irregular)
    union all
    select
        member_key,
        0 as lot_number,
        {%- for movement in movements %}
            0 as {{ movement.name }}_count,
        {%- endfor %}
        debt_count
    from debts
    where member_key not in (select irregular.member_key from irregular)
),

-- What no debit could reach is whole.
outcomes as (
    select
        accounts.*,
        {%- for movement in movements %}
            coalesce(settled.{{ movement.name }}_count, 0) as {{ movement.name }}_count,
        {%- endfor %}
        coalesce(settled.debt_count, 0) as settled_debt_count
    from accounts
    left join settled
        on
            accounts.member_key = settled.member_key
            and accounts.lot_number = settled.lot_number
)

select
    member_key,
    brand,
    lot_key,
    origin,
    movement,
    rule,
    order_key,
    earned_at,
    expires_at,
    closes_at,
    cast(point_count as bigint) as point_count,
    {%- for movement in movements %}
        cast({{ movement.name }}_count as bigint) as {{ movement.name }}_count,
    {%- endfor %}
    cast(
        point_count - redeemed_count - reversed_count - booked_expired_count - adjusted_count
        - repaid_count as bigint
    ) as remaining_count,
    cast(case when lot_number = 0 then settled_debt_count else 0 end as bigint) as debt_count
from outcomes
where lot_number > 0 or settled_debt_count > 0
