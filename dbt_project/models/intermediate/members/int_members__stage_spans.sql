{{ config(meta={'touched_relation': 'int_members__touched', 'touched_key': 'member_key'}) }}

with identities as (
    select *
    from {{ ref('dim_member_identities') }}
    where {{ only_touched('member_key', 'int_members__touched') }}
),

windows as (
    {{ activity_windows() }}
),

count_rules as (
    select
        valid_from,
        {{ count_stage_needs() }}
    from {{ ref('count_stages') }}
    group by valid_from
),

-- Rules carry the date they hold from: an edited rule never rewrites the stages of earlier days.
rule_dates as (
    select valid_from from windows
    union
    select valid_from from count_rules
),

rule_versions as (
    select
        valid_from,
        lead(valid_from) over (order by valid_from asc nulls last) as valid_to
    from rule_dates
),

windows_in_force as (
    select
        versions.valid_from,
        windows.activity_stage,
        windows.first_day,
        windows.last_day
    from rule_versions as versions
    inner join windows
        on versions.valid_from >= windows.valid_from
    qualify windows.valid_from = max(windows.valid_from) over (partition by versions.valid_from)
),

counts_in_force as (
    select
        versions.valid_from,
        versions.valid_to,
        count_rules.new_min,
        count_rules.new_advocacy,
        count_rules.returning_min,
        count_rules.returning_advocacy,
        count_rules.loyal_min,
        count_rules.loyal_advocacy,
        count_rules.fan_min,
        count_rules.fan_advocacy
    from rule_versions as versions
    inner join count_rules
        on versions.valid_from >= count_rules.valid_from
    qualify
        count_rules.valid_from = max(count_rules.valid_from) over (partition by versions.valid_from)
),

orders as (
    select
        identities.member_key,
        orders.created_date,
        orders.paid_date,
        orders.void_date
    from {{ ref('fct_orders') }} as orders
    inner join identities
        on orders.customer_key = identities.customer_key
    where {{ is_countable_order('orders') }}
),

first_orders as (
    select
        member_key,
        min(created_date) as first_order_date
    from orders
    group by member_key
),

-- An order counts from the day it was paid until the day before it became void. Orders that last
-- need no look back: their newest date only grows.
changes as (
    select
        member_key,
        first_order_date as change_date,
        0 as order_change,
        cast(null as date) as lasting_date,
        0 as advocacy_change
    from first_orders
    union all
    select
        member_key,
        paid_date as change_date,
        case when void_date is null or void_date > paid_date then 1 else 0 end as order_change,
        case when void_date is null then paid_date end as lasting_date,
        0 as advocacy_change
    from orders
    where paid_date is not null
    union all
    select
        member_key,
        void_date as change_date,
        -1 as order_change,
        cast(null as date) as lasting_date,
        0 as advocacy_change
    from orders
    where void_date > paid_date
    union all
    select
        advocacy.member_key,
        greatest(advocacy.first_advocacy_date, first_orders.first_order_date) as change_date,
        0 as order_change,
        cast(null as date) as lasting_date,
        1 as advocacy_change
    from {{ ref('int_members__advocacy') }} as advocacy
    inner join first_orders
        on advocacy.member_key = first_orders.member_key
),

change_days as (
    select
        member_key,
        change_date,
        sum(order_change) as order_change,
        max(lasting_date) as lasting_date,
        max(advocacy_change) as advocacy_change
    from changes
    group by member_key, change_date
),

states as (
    select
        member_key,
        change_date as valid_from,
        lead(change_date) over (partition by member_key order by change_date asc nulls last)
            as valid_to,
        sum(order_change) over history as valid_order_count,
        max(lasting_date) over history as lasting_date,
        max(advocacy_change) over history = 1 as is_advocate
    from change_days
    window history as (
        partition by member_key order by change_date asc nulls last
        rows between unbounded preceding and current row
    )
),

-- Only orders that became void later need to be compared with every change of their member.
voided_dates as (
    select
        states.member_key,
        states.valid_from,
        max(orders.paid_date) as voided_date
    from states
    inner join orders
        on
            states.member_key = orders.member_key
            and states.valid_from >= orders.paid_date
            and states.valid_from < orders.void_date
    group by states.member_key, states.valid_from
),

dated_states as (
    select
        states.member_key,
        states.valid_from,
        states.valid_to,
        cast(states.valid_order_count as integer) as valid_order_count,
        case
            when states.valid_order_count > 0
                then greatest(states.lasting_date, voided_dates.voided_date)
        end as last_valid_order_date,
        states.is_advocate
    from states
    left join voided_dates
        on
            states.member_key = voided_dates.member_key
            and states.valid_from = voided_dates.valid_from
),

spans as (
    select
        states.member_key,
        greatest(
            states.valid_from,
            rules.valid_from,
            {{ add_days('states.last_valid_order_date', 'windows.first_day') }}
        ) as valid_from,
        least(
            states.valid_to,
            rules.valid_to,
            {{ add_days('states.last_valid_order_date', 'windows.last_day + 1') }}
        ) as valid_to,
        {{ count_stage(
            'states.valid_order_count', 'states.is_advocate', 'rules', otherwise="'prospect'"
        ) }} as count_stage,
        windows.activity_stage,
        states.valid_order_count,
        states.last_valid_order_date,
        states.is_advocate
    from dated_states as states
    inner join counts_in_force as rules
        on
            states.valid_from < coalesce(rules.valid_to, date '9999-12-31')
            and coalesce(states.valid_to, date '9999-12-31') > rules.valid_from
    left join windows_in_force as windows
        on
            rules.valid_from = windows.valid_from
            and states.valid_order_count > 0
),

coded_spans as (
    select
        *,
        case
            when count_stage = 'prospect' then 'prospect'
            when activity_stage = 'dead' then 'dead'
            else count_stage || '_' || activity_stage
        end as cell_code
    from spans
    where valid_from < coalesce(valid_to, date '9999-12-31')
)

select
    member_key,
    valid_from,
    valid_to,
    count_stage,
    activity_stage,
    cell_code,
    lag(cell_code) over history as previous_cell_code,
    coalesce(
        lag(count_stage) over history <> count_stage
        or lag(coalesce(activity_stage, 'none')) over history <> coalesce(activity_stage, 'none'),
        true
    ) as is_stay_start,
    valid_order_count,
    last_valid_order_date,
    is_advocate,
    case
        when lag(cell_code) over history is null then 'first_order'
        when valid_order_count > lag(valid_order_count) over history then 'order'
        when valid_order_count < lag(valid_order_count) over history then 'void'
        when last_valid_order_date > lag(last_valid_order_date) over history then 'order'
        when last_valid_order_date < lag(last_valid_order_date) over history then 'void'
        when is_advocate and not lag(is_advocate) over history then 'advocacy'
        else 'time'
    end as entered_by
from coded_spans
window history as (partition by member_key order by valid_from asc nulls last)
