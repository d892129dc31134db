{#- Rewritten every night: one enrolment moves its buyer's whole past to the other side. A sum over
    the members, once. -#}
{{ config(materialized='table') }}

with bands as (
    select
        band,
        currency,
        lower_amount,
        is_lower_included,
        lead(lower_amount) over by_amount as upper_amount,
        not lead(is_lower_included) over by_amount as is_upper_included
    from {{ ref('aov_bands') }}
    window by_amount as (partition by currency order by lower_amount asc nulls last)
),

-- The bound times the orders against their sum: exact, where a rounded average is not.
buyers as (
    select
        purchases.brand,
        purchases.currency,
        make_date(year(purchases.first_order_date), month(purchases.first_order_date), 1)
            as first_month_date,
        coalesce(bands.band, 'none') as aov_band,
        members.is_enrolled,
        purchases.repeat_day_count > 0 as is_rebuyer,
        purchases.net_amount
    from {{ ref('int_value__purchases') }} as purchases
    inner join {{ ref('dim_members') }} as members
        on purchases.member_key = members.member_key
    left join bands
        on
            purchases.currency = bands.currency
            and (
                purchases.net_amount > bands.lower_amount * purchases.order_count
                or (
                    purchases.net_amount = bands.lower_amount * purchases.order_count
                    and bands.is_lower_included
                )
            )
            and (
                bands.upper_amount is null
                or purchases.net_amount < bands.upper_amount * purchases.order_count
                or (
                    purchases.net_amount = bands.upper_amount * purchases.order_count
                    and bands.is_upper_included
                )
            )
),

cells as (
    select
        brand,
        currency,
        first_month_date,
        aov_band,
        count(*) filter (where is_enrolled) as member_count,
        count(*) filter (where not is_enrolled) as customer_count,
        count(*) filter (where is_enrolled and is_rebuyer) as member_rebuyer_count,
        count(*) filter (where not is_enrolled and is_rebuyer) as customer_rebuyer_count,
        coalesce(sum(net_amount) filter (where is_enrolled), 0) as member_net_amount,
        coalesce(sum(net_amount) filter (where not is_enrolled), 0) as customer_net_amount
    from buyers
    group by brand, currency, first_month_date, aov_band
),

plain as (
    select
        brand,
        currency,
        'plain' as comparison,
        sum(member_count) as member_count,
        sum(customer_count) as customer_count,
        sum(member_count) as all_member_count,
        sum(member_count + customer_count) as all_buyer_count,
        cast(sum(member_rebuyer_count) as decimal(28, 8)) as member_rebuyers,
        cast(sum(member_net_amount) as decimal(28, 8)) as member_net,
        cast(sum(customer_rebuyer_count) as decimal(28, 8)) as customer_rebuyers,
        cast(sum(customer_net_amount) as decimal(28, 8)) as customer_net,
        sum(customer_count) as customer_weight
    from cells
    group by brand, currency
),

-- Each cell's customers count as many times as there are members in it, so that both sides first
-- bought in the same months at the same prices. Cells with one side alone are left out.
matched as (
    select
        brand,
        currency,
        'matched' as comparison,
        coalesce(sum(member_count) filter (where is_shared), 0) as member_count,
        coalesce(sum(customer_count) filter (where is_shared), 0) as customer_count,
        sum(member_count) as all_member_count,
        sum(member_count + customer_count) as all_buyer_count,
        cast(
            coalesce(sum(member_rebuyer_count) filter (where is_shared), 0) as decimal(28, 8)
        ) as member_rebuyers,
        cast(coalesce(sum(member_net_amount) filter (where is_shared), 0) as decimal(28, 8))
            as member_net,
        sum(
            cast(
                cast(customer_rebuyer_count * member_count as double)
                / nullif(customer_count, 0) as decimal(28, 8)
            )
        ) filter (where is_shared) as customer_rebuyers,
        sum(
            cast(
                cast(customer_net_amount * member_count as double)
                / nullif(customer_count, 0) as decimal(28, 8)
            )
        ) filter (where is_shared) as customer_net,
        coalesce(sum(member_count) filter (where is_shared), 0) as customer_weight
    from (
        select
            *,
            member_count > 0 and customer_count > 0 as is_shared
        from cells
    ) as compared
    group by brand, currency
),

both_ways as (
    select * from plain
    union all
    select * from matched
),

averaged as (
    select
        *,
        cast(member_rebuyers as double) / nullif(member_count, 0) as member_rebuy,
        cast(customer_rebuyers as double) / nullif(customer_weight, 0) as customer_rebuy,
        cast(cast(member_net as double) / nullif(member_count, 0) as decimal(18, 2))
            as member_average_amount,
        cast(cast(customer_net as double) / nullif(customer_weight, 0) as decimal(18, 2))
            as customer_average_amount
    from both_ways
)

select
    brand,
    currency,
    comparison,
    cast(member_count as bigint) as member_count,
    cast(customer_count as bigint) as customer_count,
    cast(cast(all_member_count as double) / nullif(all_buyer_count, 0) as decimal(9, 6))
        as member_rate,
    cast(cast(member_count as double) / nullif(all_member_count, 0) as decimal(9, 6))
        as member_coverage_rate,
    cast(member_rebuy as decimal(9, 6)) as member_rebuy_rate,
    cast(customer_rebuy as decimal(9, 6)) as customer_rebuy_rate,
    cast(
        cast(member_rebuy as decimal(9, 6)) - cast(customer_rebuy as decimal(9, 6))
        as decimal(9, 6)
    ) as rebuy_rate_difference,
    member_average_amount,
    customer_average_amount,
    cast(member_average_amount - customer_average_amount as decimal(18, 2))
        as difference_amount,
    case
        when all_member_count = 0 then 'nobody_enrolled'
        when all_member_count = all_buyer_count then 'everybody_enrolled'
        when member_count = 0 then 'no_common_month_and_band'
    end as gap_reason,
    case
        when comparison = 'plain' then 'members_choose_themselves'
        else 'members_choose_themselves_within_month_and_band'
    end as selection_bias_warning
from averaged
