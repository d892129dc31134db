{{ config(meta={'touched_relation': 'int_members__touched', 'touched_key': 'member_key'}) }}
{#- A program has at most so many levels, as the platforms allow; regulars.loyalty refuses more. -#}
{%- set levels = range(1, 5) %}

with identities as (
    select *
    from {{ ref('dim_member_identities') }}
    where {{ only_touched('member_key', 'int_members__touched') }}
),

run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

programs as (
    select
        brand,
        program,
        measure,
        currency,
        counts_from,
        {%- for level in levels %}
            max(threshold) filter (where level = {{ level }}) as threshold_{{ level }},
        {%- endfor %}
        window_days
    from {{ source('config', 'tier_levels') }}
    group by brand, program, measure, currency, counts_from, window_days
),

-- Money of another currency is never added: such an order counts as an order alone.
orders as (
    select
        identities.member_key,
        identities.brand,
        programs.program,
        programs.window_days,
        case programs.counts_from
            when 'finished' then {{ to_local_date('orders.finished_at', 'run_shops.zone') }}
            else orders.paid_date
        end as counted_date,
        case
            when orders.currency = programs.currency then orders.net_amount
            else 0
        end as net_amount
    from programs
    inner join identities
        on programs.brand = identities.brand
    inner join {{ ref('fct_orders') }} as orders
        on identities.customer_key = orders.customer_key
    inner join run_shops
        on
            orders.brand = run_shops.brand
            and orders.platform = run_shops.platform
            and orders.shop = run_shops.shop
    where orders.is_valid_order
),

-- An order counts on its day and until the window has passed over it; both days are known when it
-- is counted, so that a night has to look at nobody whose order leaves.
changes as (
    select
        member_key,
        brand,
        program,
        counted_date as change_date,
        net_amount as amount_change,
        1 as order_change
    from orders
    where counted_date is not null
    union all
    select
        member_key,
        brand,
        program,
        {{ add_days('counted_date', 'window_days') }} as change_date,
        -net_amount as amount_change,
        -1 as order_change
    from orders
    where counted_date is not null
),

change_days as (
    select
        member_key,
        brand,
        program,
        change_date,
        sum(amount_change) as amount_change,
        sum(order_change) as order_change
    from changes
    group by member_key, brand, program, change_date
),

spans as (
    select
        member_key,
        brand,
        program,
        change_date as valid_from,
        lead(change_date) over (
            partition by member_key, program order by change_date asc nulls last
        ) as valid_to,
        cast(sum(amount_change) over history as decimal(18, 2)) as qualifying_amount,
        cast(sum(order_change) over history as bigint) as qualifying_order_count
    from change_days
    window history as (
        partition by member_key, program order by change_date asc nulls last
        rows between unbounded preceding and current row
    )
),

measured_spans as (
    select
        spans.*,
        {%- for level in levels %}
            programs.threshold_{{ level }},
        {%- endfor %}
        case programs.measure
            when 'orders' then spans.qualifying_order_count
            else spans.qualifying_amount
        end as measured
    from spans
    inner join programs
        on
            spans.brand = programs.brand
            and spans.program = programs.program
)

select
    member_key,
    brand,
    program,
    valid_from,
    valid_to,
    qualifying_amount,
    qualifying_order_count,
    -- Whoever has bought nothing in the window reaches nothing, a tier for nothing apart.
    case
        {%- for level in levels | reverse %}
            when
                measured >= threshold_{{ level }}
                and (qualifying_order_count > 0 or threshold_{{ level }} = 0)
                then {{ level }}
        {%- endfor %}
        else 0
    end as level
from measured_spans
