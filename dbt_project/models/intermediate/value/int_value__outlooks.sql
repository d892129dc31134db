{#- A view: it is read once a night, by the scores. Members share their number of repeat order days
    and their age by the thousand, and the series depends on nothing else of theirs.

    Expected orders of a member that is still there, in the form that Euler's transformation gives:

        C (1 - (1 - z)^B) / B - (1 - z)^B S,  S = sum over k >= 1 of
            (A)_k (B + 1)_(k-1) / ((C + 1)_(k-1) k!) z^k,

    with A = a + b - 1 - r, B = a - 1, C = a + b + x - 1 and z = t / (alpha + T + t). B and C are
    divided out of the series, so that a = 1 and a + b = 1 are no special cases but for the limit of
    the first fraction. Thirty-two terms are enough for most; the others go on in blocks of as many
    until the rest is bound to be below 1e-10 orders. -#}
{{ config(materialized='view') }}

{%- set terms = 16 %}

with recursive models as (
    select *
    from {{ ref('int_value__models') }}
    where
        is_in_force
        and readiness = 'ready'
),

members as (
    select
        purchases.brand,
        purchases.currency,
        purchases.repeat_day_count,
        {{ days_between('purchases.first_order_date', 'run.as_of_date') }} as age_days
    from {{ ref('int_value__purchases') }} as purchases
    cross join {{ source('ops', 'run') }} as run
    group by purchases.brand, purchases.currency, purchases.repeat_day_count, age_days
),

periods as (
    select
        {{ value_parameter('clv_period_days', 'double') }} as period_days,
        {{ value_parameter('clv_period_count', 'integer') }} as period_count,
        {{ value_parameter('clv_discount_rate', 'double') }} as discount_rate
),

-- What a period's end is worth: it ends one period, discounted as such, and begins the next.
fixed_horizons as (
    {%- for days in outlook_days() %}
        select
            {{ days }}e0 as horizon_days,
            0e0 as discount_weight
        {{ 'union all' if not loop.last }}
    {%- endfor %}
),

horizons as (
    select
        horizon_days,
        max(discount_weight) as discount_weight
    from (
        select
            ends.step * periods.period_days as horizon_days,
            power(1e0 + periods.discount_rate, -ends.step)
            - case
                when ends.step < periods.period_count
                    then power(1e0 + periods.discount_rate, -ends.step - 1)
                else 0e0
            end as discount_weight
        from periods
        cross join (
            {{ numbers_to('(select count_of.period_count from periods as count_of)') }}
        ) as ends
        union all
        select
            fixed_horizons.horizon_days,
            fixed_horizons.discount_weight
        from fixed_horizons
    ) as ends
    group by horizon_days
),

asked as (
    select
        members.brand,
        members.currency,
        members.repeat_day_count,
        members.age_days,
        horizons.horizon_days,
        horizons.discount_weight,
        models.a + models.b - 1 - models.r as a_term,
        models.a - 1 as b_term,
        models.a + models.b + members.repeat_day_count - 1 as c_term,
        horizons.horizon_days
        / nullif(models.alpha_days + members.age_days + horizons.horizon_days, 0) as z
    from members
    inner join models
        on
            members.brand = models.brand
            and members.currency = models.currency
    cross join horizons
),

series as (
    select
        brand,
        currency,
        repeat_day_count,
        age_days,
        horizon_days,
        discount_weight,
        a_term,
        b_term,
        c_term,
        z,
        cast({{ terms + 1 }} as double) as k,
        a_term * z * {{ series_sum('1', terms) }} as total,
        a_term * z * {{ series_next('1', terms) }} as term
    from asked
    union all
    select
        brand,
        currency,
        repeat_day_count,
        age_days,
        horizon_days,
        discount_weight,
        a_term,
        b_term,
        c_term,
        z,
        k + {{ terms }} as k,
        total + term * {{ series_sum('k', terms) }} as total,
        term * {{ series_next('k', terms) }} as term
    from series
    where {{ is_series_unfinished() }}
),

expected as (
    select
        brand,
        currency,
        repeat_day_count,
        age_days,
        horizon_days,
        discount_weight,
        c_term * case
            when abs(b_term * ln(1e0 - z)) < 1e-4
                then
                    -ln(1e0 - z) * (
                        1e0
                        + b_term * ln(1e0 - z) * (
                            0.5e0 + b_term * ln(1e0 - z) * 0.16666666666666667e0
                        )
                    )
            else (1e0 - power(1e0 - z, b_term)) / nullif(b_term, 0)
        end
        - power(1e0 - z, b_term) * case when {{ is_series_summed() }} then total end
            as expected_orders
    from series
    where not {{ is_series_unfinished() }}
)

-- A sum over doubles depends on their order, one over decimals does not.
select
    brand,
    currency,
    repeat_day_count,
    age_days,
    {%- for days in outlook_days() %}
        max(expected_orders) filter (where horizon_days = {{ days }})
            as expected_orders_{{ days }}d,
    {%- endfor %}
    -- A period that could not be summed leaves none of the value: the rest is not all of it.
    case
        when count(*) filter (where discount_weight <> 0 and expected_orders is null) = 0
            then sum(cast(expected_orders * discount_weight as decimal(38, 15)))
    end as discounted_orders
from expected
group by brand, currency, repeat_day_count, age_days
