{#- A view: read when a fit is due and by nothing else. -#}
{{ config(materialized='view') }}

with horizons as (
    {%- for days in (outlook_days() + [tested_days()]) | unique %}
        select {{ days }} as horizon_days
        {{ 'union all' if not loop.last }}
    {%- endfor %}
),

sizes as (
    select
        brand,
        currency,
        count(*) as member_count
    from {{ ref('int_value__purchases') }}
    group by brand, currency
),

-- Of a large population a share, drawn by the key: the same members in every cell.
purchases as (
    select purchases.*
    from {{ ref('int_value__purchases') }} as purchases
    inner join sizes
        on
            purchases.brand = sizes.brand
            and purchases.currency = sizes.currency
    where {{ is_in_fit_sample('purchases.member_key', 'sizes.member_count') }}
),

order_days as (
    select order_days.*
    from {{ ref('int_value__order_days') }} as order_days
    inner join purchases
        on
            order_days.member_key = purchases.member_key
            and order_days.currency = purchases.currency
),

snapshots as (
    select
        horizons.horizon_days,
        {{ add_days('run.as_of_date', '-horizons.horizon_days') }} as snapshot_date
    from horizons
    cross join {{ source('ops', 'run') }} as run
),

-- Each member as it stood so many days ago, and what it has bought since.
members_then as (
    select
        order_days.member_key,
        order_days.brand,
        order_days.currency,
        snapshots.horizon_days,
        snapshots.snapshot_date,
        min(order_days.paid_date) as first_order_date,
        max(order_days.paid_date) filter (where order_days.paid_date <= snapshots.snapshot_date)
            as last_order_date,
        count(*) filter (where order_days.paid_date <= snapshots.snapshot_date) as order_day_count,
        count(*) filter (where order_days.paid_date > snapshots.snapshot_date) as later_day_count
    from order_days
    cross join snapshots
    group by
        order_days.member_key,
        order_days.brand,
        order_days.currency,
        snapshots.horizon_days,
        snapshots.snapshot_date
    having min(order_days.paid_date) <= snapshots.snapshot_date
)

select
    brand,
    currency,
    horizon_days,
    order_day_count - 1 as repeat_day_count,
    {{ days_between('first_order_date', 'last_order_date') }} as recency_days,
    {{ days_between('first_order_date', 'snapshot_date') }} as age_days,
    count(*) as member_count,
    cast(sum(later_day_count) as bigint) as later_day_count,
    count(*) filter (where later_day_count = 0) as none_count
from members_then
group by brand, currency, horizon_days, repeat_day_count, recency_days, age_days
union all
-- As they stand today: what the model that scores them is fitted on.
select
    purchases.brand,
    purchases.currency,
    0 as horizon_days,
    purchases.repeat_day_count,
    {{ days_between('purchases.first_order_date', 'purchases.last_order_date') }} as recency_days,
    {{ days_between('purchases.first_order_date', 'run.as_of_date') }} as age_days,
    count(*) as member_count,
    cast(0 as bigint) as later_day_count,
    cast(0 as bigint) as none_count
from purchases
cross join {{ source('ops', 'run') }} as run
group by
    purchases.brand,
    purchases.currency,
    purchases.repeat_day_count,
    recency_days,
    age_days
