{#- Rewritten every night: one purchase moves every share. A sum over the members, once. -#}
{{ config(materialized='table') }}

-- Members who brought the same stand together, so nobody has to be put before an equal.
with amounts as (
    select
        brand,
        currency,
        net_amount,
        count(*) as tied_count
    from {{ ref('int_value__purchases') }}
    group by brand, currency, net_amount
),

ranked as (
    select
        *,
        -- Of the amount and all above it.
        sum(tied_count) over (
            partition by brand, currency order by net_amount desc nulls last
            rows between unbounded preceding and current row
        ) as reached_count,
        sum(tied_count) over (partition by brand, currency) as member_count
    from amounts
),

totals as (
    select
        brand,
        currency,
        max(member_count) as member_count,
        cast(sum(net_amount * tied_count) as decimal(38, 2)) as net_amount,
        -- Twice the sum of each amount times its rank, 1 the smallest: ranks of equals add up to
        -- their number times the mean of the first and the last.
        cast(
            sum(
                net_amount
                * cast(
                    tied_count * (2 * (member_count - reached_count) + tied_count + 1) as bigint
                )
            ) as decimal(38, 2)
        ) as doubled_rank_sum
    from ranked
    group by brand, currency
),

tops as (
    select
        totals.brand,
        totals.currency,
        totals.member_count,
        totals.net_amount,
        totals.doubled_rank_sum,
        shares.top_pct,
        cast(ceil(totals.member_count * shares.top_pct * 0.01) as bigint) as top_member_count
    from totals
    cross join {{ ref('concentration_shares') }} as shares
),

summed as (
    select
        tops.brand,
        tops.currency,
        tops.top_pct,
        tops.member_count,
        tops.top_member_count,
        tops.net_amount,
        tops.doubled_rank_sum,
        -- The last amount that is among the top brings in as many of its members as are missing.
        sum(
            ranked.net_amount
            * least(
                ranked.tied_count,
                tops.top_member_count - (ranked.reached_count - ranked.tied_count)
            )
        ) as top_net_amount,
        min(ranked.net_amount) as least_top_net_amount
    from tops
    inner join ranked
        on
            tops.brand = ranked.brand
            and tops.currency = ranked.currency
            and tops.top_member_count > ranked.reached_count - ranked.tied_count
    group by
        tops.brand, tops.currency, tops.top_pct, tops.member_count, tops.top_member_count,
        tops.net_amount, tops.doubled_rank_sum
)

select
    brand,
    currency,
    top_pct,
    cast(member_count as bigint) as member_count,
    top_member_count,
    cast(net_amount as decimal(18, 2)) as net_amount,
    cast(top_net_amount as decimal(18, 2)) as top_net_amount,
    least_top_net_amount,
    cast(cast(top_net_amount as double) / nullif(net_amount, 0) as decimal(9, 6))
        as top_net_amount_share,
    cast(
        cast(doubled_rank_sum - (member_count + 1) * net_amount as double)
        / nullif(member_count * net_amount, 0) as decimal(9, 6)
    ) as gini_coefficient
from summed
