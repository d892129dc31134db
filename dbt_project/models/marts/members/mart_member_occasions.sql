{#- Only what may be kept tomorrow: a few members of each night. -#}
{{ config(materialized='table') }}

with run as (
    select
        as_of_date,
        {{ add_days('as_of_date', '1') }} as send_date
    from {{ source('ops', 'run') }}
),

occasions as (
    select * from {{ ref('occasions') }}
),

-- What is caught up in January may be of December.
years as (
    select
        occasions.occasion,
        occasions.kind,
        occasions.month_day,
        {{ explode(list_of([
            'year(run.send_date)',
            'year(run.send_date) - 1',
        ])) }} as occasion_year
    from occasions
    cross join run
),

members as (
    select
        member_key,
        brand,
        birth_month,
        birth_day
    from {{ ref('dim_members') }}
),

-- Whoever is born on 29 February has a birthday every year: in most years on the 28th.
birthdays as (
    select
        members.member_key,
        members.brand,
        years.occasion,
        coalesce(
            try_cast(
                years.occasion_year || '-' || members.birth_month || '-' || members.birth_day
                as date
            ),
            case
                when members.birth_month = 2 and members.birth_day = 29
                    then make_date(years.occasion_year, 2, 28)
            end
        ) as occasion_date,
        years.occasion || ':' || years.occasion_year as occasion_code
    from members
    inner join years
        on years.kind = 'birthday'
    where members.birth_month is not null
),

since_first_orders as (
    select
        order_values.member_key,
        order_values.brand,
        occasions.occasion,
        {{ add_days('order_values.first_paid_date', 'occasions.day_number') }} as occasion_date,
        occasions.occasion || ':' || order_values.first_paid_order_key as occasion_code
    from {{ ref('int_rfm__member_values') }} as order_values
    inner join occasions
        on occasions.kind = 'since_first_order'
),

-- Dates of everybody, narrowed before they meet everybody.
common_dates as (
    select
        occasion,
        try_cast(occasion_year || '-' || month_day as date) as occasion_date
    from years
    where kind = 'fixed_date'
    union all
    select
        occasion,
        festival_date as occasion_date
    from {{ ref('festival_dates') }}
),

common_due as (
    select
        common_dates.occasion,
        common_dates.occasion_date
    from common_dates
    inner join occasions
        on common_dates.occasion = occasions.occasion
    cross join run
    where
        common_dates.occasion_date <= run.send_date
        and {{ add_days('common_dates.occasion_date', 'occasions.catch_up_days') }} >= run.send_date
),

all_dates as (
    select
        member_key,
        brand,
        occasion,
        occasion_date,
        occasion_code
    from birthdays
    union all
    select
        member_key,
        brand,
        occasion,
        occasion_date,
        occasion_code
    from since_first_orders
    union all
    select
        members.member_key,
        members.brand,
        common_due.occasion,
        common_due.occasion_date,
        common_due.occasion || ':' || year(common_due.occasion_date) as occasion_code
    from members
    cross join common_due
)

select
    all_dates.member_key,
    all_dates.brand,
    all_dates.occasion,
    occasions.label_zh as occasion_zh,
    all_dates.occasion_code,
    all_dates.occasion_date,
    run.as_of_date,
    {{ days_between('all_dates.occasion_date', 'run.send_date') }} as days_late
from all_dates
inner join occasions
    on all_dates.occasion = occasions.occasion
cross join run
where
    all_dates.occasion_date <= run.send_date
    and {{ add_days('all_dates.occasion_date', 'occasions.catch_up_days') }} >= run.send_date
