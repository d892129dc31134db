{#- Rewritten every night: recency changes for everyone. -#}
{{ config(materialized='table') }}

with run as (
    select * from {{ source('ops', 'run') }}
),

buyers as (
    select
        member_values.*,
        run.as_of_date,
        {{ days_between('member_values.last_valid_order_date', 'run.as_of_date') }} as recency_days,
        case
            when {{ parameter('frequency_grain', 'varchar') }} = 'day'
                then member_values.window_order_day_count
            else member_values.window_order_count
        end as frequency_count,
        cast(
            member_values.window_net_amount / nullif(member_values.window_money_order_count, 0)
            as decimal(18, 2)
        ) as aov_amount
    from {{ ref('int_rfm__member_values') }} as member_values
    cross join run
    where member_values.lifetime_order_count > 0
),

advocates as (
    select * from {{ ref('int_members__advocacy') }}
),

windows as (
    select
        activity_stage,
        first_day,
        last_day
    from ({{ activity_windows() }}) as versions
    where valid_from <= {{ as_of_date() }}
    qualify valid_from = max(valid_from) over ()
),

count_rules as (
    select
        {{ count_stage_needs() }}
    from (
        select *
        from {{ ref('count_stages') }}
        where valid_from <= {{ as_of_date() }}
        qualify valid_from = max(valid_from) over ()
    ) as in_force
),

-- A bound that belongs to its band is left out of the band below, and the other way round.
aov_bands as (
    select
        band,
        band_rank,
        currency,
        lower_amount,
        is_lower_included,
        lead(lower_amount) over bands as upper_amount,
        not lead(is_lower_included) over bands as is_upper_included
    from {{ ref('aov_bands') }}
    window bands as (partition by currency order by lower_amount asc nulls last)
),

frequency_cuts as (
    select
        frequency_score,
        min_orders,
        lead(min_orders) over (order by min_orders asc nulls last) as next_min_orders
    from {{ ref('rfm_frequency_cuts') }}
),

thresholds as (
    select *
    from {{ ref('int_rfm__thresholds') }}
    where currency = '*'
),

money_thresholds as (
    select *
    from {{ ref('int_rfm__thresholds') }}
    where currency <> '*'
),

beginnings as (
    select
        brand,
        min(first_valid_order_date) as first_order_date
    from buyers
    group by brand
),

segments as (
    select *
    from {{ ref('rfm_segments') }}
    where segment_set = {{ parameter('rfm_segment_set', 'varchar') }}
),

-- Means as sum and count, compared by multiplication: exact, where a rounded mean is not.
means as (
    select
        brand,
        currency,
        count(*) as buyer_count,
        sum(recency_days) as recency_sum,
        sum(frequency_count) as frequency_sum,
        sum(window_net_amount) as monetary_sum
    from buyers
    where window_order_count > 0
    group by brand, currency
),

scored as (
    select
        buyers.*,
        windows.activity_stage as recency_band,
        {{ count_stage(
            'buyers.frequency_count', 'advocates.member_key is not null', 'count_rules'
        ) }} as frequency_band,
        aov_bands.band as aov_band,
        frequency_cuts.frequency_score as frequency_cut_score,
        thresholds.version as threshold_version,
        -- 5 is best: many days lower the score of recency, much of the rest lifts its own.
        6 - {{ quintile_score('buyers.recency_days', 'thresholds.recency', is_whole=true) }}
            as recency_score,
        {{ quintile_score('buyers.frequency_count', 'thresholds.frequency', is_whole=true) }}
            as frequency_score,
        coalesce(
            {{ quintile_score(
                'buyers.window_net_amount', 'money_thresholds.monetary', is_whole=false
            ) }},
            {{ quintile_score('buyers.window_net_amount', 'thresholds.monetary', is_whole=false) }}
        ) as monetary_score,
        -- definitions 1.3: what was recorded of few buyers or of a short time is chance.
        case
            when
                thresholds.recency_q20 is null
                or coalesce(money_thresholds.monetary_q20, thresholds.monetary_q20) is null
                then 'no_thresholds'
            when
                least(thresholds.customer_count, money_thresholds.customer_count)
                < {{ parameter('rfm_min_buyers', 'bigint') }}
                then 'too_few_buyers'
            when
                {{ days_between('beginnings.first_order_date', 'thresholds.valid_from') }}
                < {{ parameter('rfm_min_history_days', 'bigint') }}
                then 'short_history'
            else 'ready'
        end as score_readiness,
        -- features 4.2: the source's windows and the year of the orders are cuts that hold anyhow.
        case windows.activity_stage
            when 'active' then 5
            when 'silent' then 4
            when 'lost' then 3
            else
                case
                    when
                        buyers.recency_days <= {{ parameter('rfm_window_days', 'integer') }}
                        then 2
                    else 1
                end
        end as recency_cut_score,
        -- Three bands on five scores: the lowest, the middle, the highest. No money is the lowest.
        case
            when buyers.window_order_count = 0 then 1
            else 2 * aov_bands.band_rank - 1
        end as monetary_cut_score,
        case
            when buyers.recency_days * means.buyer_count < means.recency_sum then 1
            else 0
        end as recency_bit,
        case
            when buyers.frequency_count * means.buyer_count > means.frequency_sum then 1
            else 0
        end as frequency_bit,
        case
            when buyers.window_net_amount * means.buyer_count > means.monetary_sum then 1
            else 0
        end as monetary_bit
    from buyers
    cross join count_rules
    left join advocates
        on buyers.member_key = advocates.member_key
    left join windows
        on
            buyers.recency_days >= windows.first_day
            and buyers.recency_days <= coalesce(windows.last_day, buyers.recency_days)
    left join aov_bands
        on
            buyers.currency = aov_bands.currency
            -- The bound times the orders against their sum, as with the means above: a rounded
            -- average would stand on a bound that the exact one has not reached.
            and buyers.window_money_order_count > 0
            and (
                buyers.window_net_amount > aov_bands.lower_amount * buyers.window_money_order_count
                or (
                    buyers.window_net_amount
                    = aov_bands.lower_amount * buyers.window_money_order_count
                    and aov_bands.is_lower_included
                )
            )
            and (
                aov_bands.upper_amount is null
                or buyers.window_net_amount
                < aov_bands.upper_amount * buyers.window_money_order_count
                or (
                    buyers.window_net_amount
                    = aov_bands.upper_amount * buyers.window_money_order_count
                    and aov_bands.is_upper_included
                )
            )
    left join frequency_cuts
        on
            buyers.frequency_count >= frequency_cuts.min_orders
            and buyers.frequency_count
            < coalesce(frequency_cuts.next_min_orders, buyers.frequency_count + 1)
    left join thresholds
        on buyers.brand = thresholds.brand
    left join money_thresholds
        on
            buyers.brand = money_thresholds.brand
            and buyers.currency = money_thresholds.currency
    left join beginnings
        on buyers.brand = beginnings.brand
    left join means
        on
            buyers.brand = means.brand
            and buyers.currency = means.currency
)

select
    scored.member_key,
    scored.brand,
    scored.as_of_date,
    scored.currency,
    scored.first_valid_order_date,
    scored.last_valid_order_date,
    scored.recency_days,
    cast(scored.window_order_count as integer) as window_order_count,
    cast(scored.window_money_order_count as integer) as window_money_order_count,
    cast(scored.window_order_day_count as integer) as window_order_day_count,
    scored.window_net_amount,
    scored.aov_amount,
    cast(scored.lifetime_order_count as integer) as lifetime_order_count,
    cast(scored.lifetime_order_day_count as integer) as lifetime_order_day_count,
    scored.lifetime_net_amount,
    cast(scored.other_currency_order_count as integer) as other_currency_order_count,
    scored.recency_band,
    scored.frequency_band,
    scored.aov_band,
    scored.frequency_cut_score,
    scored.score_readiness,
    scored.threshold_version,
    scored.recency_score,
    scored.frequency_score,
    scored.monetary_score,
    scored.recency_bit,
    scored.frequency_bit,
    scored.monetary_bit,
    classes.rfm_class,
    classes.label_zh as rfm_class_zh,
    segments.segment_set as rfm_segment_set,
    case when scored.score_readiness = 'ready' then 'cut_points' else 'fixed_cuts' end
        as rfm_segment_basis,
    segments.rfm_segment,
    segments.label_zh as rfm_segment_zh
from scored
left join {{ ref('rfm_classes') }} as classes
    on
        scored.recency_bit = classes.recency_bit
        and scored.frequency_bit = classes.frequency_bit
        and scored.monetary_bit = classes.monetary_bit
left join segments
    on
        case
            when scored.score_readiness = 'ready' then scored.recency_score
            else scored.recency_cut_score
        end between segments.recency_min and segments.recency_max
        and case
            when scored.score_readiness = 'ready' and segments.scoring <> 'fixed_frequency'
                then scored.frequency_score
            else scored.frequency_cut_score
        end between segments.frequency_min and segments.frequency_max
        and case
            when scored.score_readiness = 'ready' then scored.monetary_score
            else coalesce(scored.monetary_cut_score, scored.monetary_score)
        end between segments.monetary_min and segments.monetary_max
