{#- Rewritten every night, as tiers end by themselves: narrow, and empty where no brand has a tier
    program. What is granted tonight stands here before it is recorded, made of what was recorded
    before: the same night read again shows and records the same. -#}
{{ config(materialized='table') }}

with run as (
    select * from {{ source('ops', 'run') }}
),

-- The zone in which a day of the brand is told, as mart_member_points has it.
brand_shops as (
    select
        brand,
        min_by(zone, shop) as zone
    from {{ source('ops', 'run_shops') }}
    group by brand
),

-- The program in force: the last one of the brand that has begun.
levels as (
    select
        *,
        lead(level) over by_level as next_level,
        lead(tier) over by_level as next_tier,
        lead(tier_name) over by_level as next_tier_name,
        lead(threshold) over by_level as next_threshold
    from (
        select *
        from {{ source('config', 'tier_levels') }}
        where valid_from <= {{ as_of_date() }}
        qualify valid_from = max(valid_from) over (partition by brand)
    ) as in_force
    window by_level as (partition by brand order by level asc nulls last)
),

programs as (
    select
        brand,
        program,
        valid_from,
        members,
        measure,
        currency,
        validity_days,
        -- What a member has without an order.
        coalesce(max(level) filter (where threshold = 0), 0) as base_level,
        max(level) as top_level
    from levels
    group by brand, program, valid_from, members, measure, currency, validity_days
),

-- A grant is anchored at the customer whose key the member bears: if the member is taken apart
-- again, it goes with whoever it was given to.
members as (
    select
        members.member_key,
        members.brand,
        members.is_enrolled,
        founders.customer_key as founder_customer_key,
        {{ to_local_date('members.enrolled_at', 'brand_shops.zone') }} as enrolled_date
    from {{ ref('dim_members') }} as members
    inner join programs
        on members.brand = programs.brand
    inner join {{ ref('dim_member_identities') }} as founders
        on
            members.member_key = founders.member_key
            and members.member_key = founders.founded_member_key
    inner join brand_shops
        on members.brand = brand_shops.brand
),

spans as (
    select spans.*
    from {{ ref('int_tiers__qualification_spans') }} as spans
    inner join programs
        on
            spans.brand = programs.brand
            and spans.program = programs.program
),

spans_today as (
    select spans.*
    from spans
    inner join run
        on
            spans.valid_from <= run.as_of_date
            and coalesce(spans.valid_to, date '9999-12-31') > run.as_of_date
),

-- The last word about each member, as members were known when it was said.
newest_grants as (
    select *
    from {{ ref('int_tiers__grants') }}
    qualify row_number() over (
        partition by member_key, recorded_member_key
        order by decided_on desc nulls last, seq desc nulls last
    ) = 1
),

-- Whoever was merged of two keeps the better tier. One that has ended counts until somebody has
-- looked at it, which is what every decision after its end has done.
standings as (
    select newest.*
    from (
        select
            *,
            max(decided_on) over (partition by member_key) as last_decided_on
        from newest_grants
    ) as newest
    cross join run
    where
        newest.valid_until is null
        or newest.valid_until >= run.as_of_date
        or newest.valid_until >= newest.last_decided_on
    qualify row_number() over (
        partition by newest.member_key
        order by
            newest.level desc nulls last,
            coalesce(newest.valid_until, date '9999-12-31') desc nulls last,
            newest.decided_on desc nulls last,
            newest.seq desc nulls last
    ) = 1
),

-- An order or a night that comes late: what was reached on any day that nobody has judged yet, as
-- far back as a tier given then would still stand.
reached as (
    select
        members.member_key,
        max(spans.level) as level
    from members
    inner join programs
        on members.brand = programs.brand
    inner join spans
        on members.member_key = spans.member_key
    cross join run
    left join standings
        on members.member_key = standings.member_key
    where
        spans.valid_from <= run.as_of_date
        and coalesce(spans.valid_to, date '9999-12-31') > greatest(
            programs.valid_from,
            {{ add_days('run.as_of_date', '1 - programs.validity_days') }},
            coalesce({{ add_days('standings.decided_on', '1') }}, programs.valid_from),
            case
                when programs.members = 'enrolled'
                    then coalesce(members.enrolled_date, programs.valid_from)
                else programs.valid_from
            end
        )
        and (programs.members = 'buyers' or members.is_enrolled)
    group by members.member_key
),

eligible as (
    select
        members.member_key,
        members.brand,
        members.founder_customer_key,
        programs.program,
        programs.measure,
        programs.currency,
        programs.validity_days,
        coalesce(spans_today.qualifying_amount, 0) as qualifying_amount,
        coalesce(spans_today.qualifying_order_count, 0) as qualifying_order_count,
        case
            when programs.members = 'buyers' then coalesce(spans_today.level, 0)
            when members.is_enrolled then coalesce(spans_today.level, programs.base_level)
            else 0
        end as eligible_level,
        greatest(eligible_level, coalesce(reached.level, 0)) as reached_level,
        standings.program as held_program,
        coalesce(standings.level, 0) as held_level,
        standings.valid_until as held_until,
        standings.decided_on as held_since,
        standings.reason as held_reason,
        standings.previous_level as held_previous_level,
        coalesce(standings.valid_until < run.as_of_date, false) as is_ended
    from members
    inner join programs
        on members.brand = programs.brand
    cross join run
    left join spans_today
        on members.member_key = spans_today.member_key
    left join standings
        on members.member_key = standings.member_key
    left join reached
        on members.member_key = reached.member_key
),

judged as (
    select
        *,
        case
            when held_level > 0 and held_program <> program then 'switch'
            when reached_level > held_level then 'upgrade'
            when not is_ended then null
            -- The lowest tier has nothing below it: once a member, always a member.
            when eligible_level = held_level or held_level = 1 then 'renew'
            else 'downgrade_at_expiry'
        end as decision
    from eligible
    where
        reached_level > 0
        or held_level > 0
        or qualifying_order_count > 0
),

decided as (
    select
        judged.*,
        run.as_of_date,
        case judged.decision
            when 'downgrade_at_expiry' then judged.held_level - 1
            else greatest(judged.held_level, judged.reached_level)
        end as tier_level,
        {{ add_days('run.as_of_date', 'judged.validity_days - 1') }} as new_until
    from judged
    cross join run
),

granted as (
    select
        *,
        case
            when decision is null then held_until
            when tier_level = 1 then null
            when decision = 'switch' and held_until is null and held_level > 1 then null
            -- A switch takes no day away either.
            when decision = 'switch' then greatest(held_until, new_until)
            else new_until
        end as valid_until_date
    from decided
),

-- What will count when the tier ends, if nothing is bought until then.
reviews as (
    select
        granted.member_key,
        spans.qualifying_amount,
        spans.qualifying_order_count,
        spans.level
    from granted
    inner join spans
        on
            granted.member_key = spans.member_key
            and spans.valid_from <= {{ add_days('granted.valid_until_date', '1') }}
            and coalesce(spans.valid_to, date '9999-12-31')
            > {{ add_days('granted.valid_until_date', '1') }}
),

losses as (
    select
        granted.member_key,
        min(spans.valid_from) as loses_on
    from granted
    inner join spans
        on
            granted.member_key = spans.member_key
            and granted.as_of_date < spans.valid_from
            and granted.eligible_level > spans.level
    group by granted.member_key
)

select
    granted.member_key,
    granted.brand,
    granted.founder_customer_key as customer_key,
    granted.program,
    granted.tier_level,
    levels.tier,
    levels.tier_name,
    levels.discount_permille,
    -- The upper half of the tiers, without the middle one.
    2 * granted.tier_level > programs.top_level + 1 as is_top_tier,
    case when granted.decision is null then granted.held_since else granted.as_of_date end
        as granted_date,
    granted.valid_until_date,
    coalesce(granted.decision, granted.held_reason) as grant_reason,
    case
        when granted.decision is null then coalesce(granted.held_previous_level, 0)
        else granted.held_level
    end as previous_level,
    granted.decision is not null as is_granted_tonight,
    -- Not of what is granted: if a night is repeated after a correction, its first word stands.
    case
        when granted.decision is not null
            then cast({{ generate_key([
                "'tier'",
                'granted.brand',
                'granted.member_key',
                'granted.as_of_date',
                'granted.program',
                'granted.held_level',
            ]) }} as varchar)
    end as grant_id,
    granted.eligible_level,
    {{ add_days('losses.loses_on', '-1') }} as eligible_until_date,
    granted.currency,
    cast(granted.qualifying_amount as decimal(18, 2)) as qualifying_amount,
    granted.qualifying_order_count,
    coalesce(levels.next_level, first_levels.level) as next_level,
    coalesce(levels.next_tier, first_levels.tier) as next_tier,
    coalesce(levels.next_tier_name, first_levels.tier_name) as next_tier_name,
    case
        when granted.measure = 'amount' and granted.tier_level < programs.top_level
            then cast(
                greatest(
                    coalesce(levels.next_threshold, first_levels.threshold)
                    - granted.qualifying_amount,
                    0
                ) as decimal(18, 2)
            )
    end as amount_to_next_tier,
    case
        when granted.measure = 'orders' and granted.tier_level < programs.top_level
            then cast(
                greatest(
                    coalesce(levels.next_threshold, first_levels.threshold)
                    - granted.qualifying_order_count,
                    0
                ) as bigint
            )
    end as orders_to_next_tier,
    case
        when granted.valid_until_date is null then null
        when granted.tier_level = 1 or coalesce(reviews.level, 0) >= granted.tier_level
            then granted.tier_level
        else granted.tier_level - 1
    end as level_at_review,
    case
        when granted.valid_until_date is not null and granted.measure = 'amount'
            then cast(
                greatest(levels.threshold - coalesce(reviews.qualifying_amount, 0), 0)
                as decimal(18, 2)
            )
    end as amount_to_keep_tier,
    case
        when granted.valid_until_date is not null and granted.measure = 'orders'
            then cast(
                greatest(levels.threshold - coalesce(reviews.qualifying_order_count, 0), 0)
                as bigint
            )
    end as orders_to_keep_tier
from granted
inner join programs
    on granted.brand = programs.brand
left join levels
    on
        granted.brand = levels.brand
        and granted.tier_level = levels.level
left join levels as first_levels
    on
        granted.brand = first_levels.brand
        and granted.tier_level = 0
        and first_levels.level = 1
left join reviews
    on granted.member_key = reviews.member_key
left join losses
    on granted.member_key = losses.member_key
