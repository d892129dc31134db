{#- Rewritten every night: one gap more may move a quantile. The purchases are counted once into a
    histogram of days; all that follows is of its size. -#}
{{ config(materialized='table') }}

{%- set levels = ['group', 'category', 'shop'] %}
{%- set tail = [75, 80, 90] %}
{%- set level_names = {
    'group': 'groups.product_group', 'category': 'groups.category', 'shop': "''",
} %}

with run as (
    select
        as_of_date,
        {{ lifecycle_parameter('cycle_horizon_days', 'integer') }} as horizon_days,
        {{ lifecycle_parameter('cycle_median_min_gaps', 'integer') }} as median_min_gaps,
        {{ lifecycle_parameter('cycle_tail_min_gaps', 'integer') }} as tail_min_gaps,
        {{ lifecycle_parameter('cycle_fallback_days', 'integer') }} as fallback_days,
        {{ lifecycle_parameter('cycle_silent_factor', 'integer') }} as silent_factor,
        {{ lifecycle_parameter('cycle_lost_factor', 'integer') }} as lost_factor
    from {{ source('ops', 'run') }}
),

categorised as (
    select
        products.brand,
        {{ cycle_group('products') }} as product_group,
        coalesce(products.category, 'unsorted') as category,
        count(*) as product_count,
        max(products.cycle_days) as manual_cycle_days,
        max(case when products.repurchase = 'none' then 0 else 1 end) = 1 as is_repurchasable
    from {{ ref('dim_products') }} as products
    group by all
),

-- A group's parent is the category of most of its products.
groups as (
    select
        brand,
        product_group,
        max_by(category, {{ ordering(['product_count', 'category']) }}) as category,
        sum(product_count) as product_count,
        max(manual_cycle_days) as manual_cycle_days,
        max(case when is_repurchasable then 1 else 0 end) = 1 as is_repurchasable
    from categorised
    group by brand, product_group
),

-- Days from a purchase to the next of its group, or to the business date where none has come.
durations as (
    select
        purchases.brand,
        purchases.product_group,
        coalesce(
            purchases.gap_days, {{ days_between('purchases.purchase_date', 'run.as_of_date') }}
        ) as duration_days,
        purchases.gap_days is not null as is_completed,
        {{ days_between('purchases.purchase_date', 'run.as_of_date') }} >= run.horizon_days
            as is_watched,
        count(*) as purchase_count
    from {{ ref('int_members__product_purchases') }} as purchases
    cross join run
    where purchases.is_repurchasable
    group by all
),

-- Parents pool the gaps of their groups: each is still one between purchases of the same group.
levelled as (
    {%- for level in levels %}
        select
            '{{ level }}' as cycle_level,
            durations.brand,
            {{ level_names[level] }} as level_name,
            durations.duration_days,
            durations.is_completed,
            durations.is_watched,
            sum(durations.purchase_count) as purchase_count
        from durations
        inner join groups
            on
                durations.brand = groups.brand
                and durations.product_group = groups.product_group
        group by all
        {{ 'union all' if not loop.last }}
    {%- endfor %}
),

-- Fixed horizon: only purchases watched to its end, and gaps within it. Who never returns does not
-- bias these, as it does the naive median of whatever has been completed.
watched as (
    select
        levelled.cycle_level,
        levelled.brand,
        levelled.level_name,
        levelled.duration_days as gap_days,
        levelled.is_completed and levelled.duration_days <= run.horizon_days as is_gap,
        sum(levelled.purchase_count) as purchase_count
    from levelled
    cross join run
    where levelled.is_watched
    group by all
),

counted as (
    select
        *,
        sum(purchase_count) over (
            partition by cycle_level, brand, level_name, is_gap
            order by gap_days asc nulls last
            rows between unbounded preceding and current row
        ) as counted,
        sum(purchase_count) over (partition by cycle_level, brand, level_name, is_gap) as gap_count
    from watched
),

learned as (
    select
        cycle_level,
        brand,
        level_name,
        gap_count,
        {%- for pct in tail %}
            {{ histogram_quantile('gap_days', 'counted', 'gap_count', pct) }}
                as gap_p{{ pct }}_days,
        {%- endfor %}
        {{ histogram_quantile('gap_days', 'counted', 'gap_count', 50) }} as gap_p50_days
    from counted
    where is_gap
    group by cycle_level, brand, level_name, gap_count
),

watched_groups as (
    select
        brand,
        level_name as product_group,
        sum(purchase_count) as watched_count
    from watched
    where cycle_level = 'group'
    group by brand, level_name
),

-- Kaplan-Meier: whoever has not returned yet is at risk until the business date.
risks as (
    select
        cycle_level,
        brand,
        level_name,
        duration_days,
        sum(case when is_completed then purchase_count else 0 end) as event_count,
        sum(sum(purchase_count)) over (
            partition by cycle_level, brand, level_name order by duration_days desc nulls last
            rows between unbounded preceding and current row
        ) as at_risk_count
    from levelled
    group by cycle_level, brand, level_name, duration_days
),

-- A sum of logarithms as decimals: the same in any order. Nobody left is as good as e^-99.
survivals as (
    select
        cycle_level,
        brand,
        level_name,
        duration_days,
        sum(
            case
                when event_count = at_risk_count then cast(-99 as decimal(30, 15))
                else cast(
                    ln(1 - cast(event_count as double) / nullif(at_risk_count, 0))
                    as decimal(30, 15)
                )
            end
        ) over (
            partition by cycle_level, brand, level_name order by duration_days asc nulls last
            rows between unbounded preceding and current row
        ) as log_survival
    from risks
),

estimated as (
    select
        survivals.cycle_level,
        survivals.brand,
        survivals.level_name,
        -- Rounding of the logarithms must not hide a half that is reached exactly.
        min(survivals.duration_days) filter (
            where survivals.log_survival <= cast(ln(0.5) as decimal(30, 15)) + 0.000000000001
        ) as km_median_days,
        cast(
            1 - exp(
                cast(
                    coalesce(
                        min(survivals.log_survival) filter (
                            where survivals.duration_days <= run.horizon_days
                        ),
                        0
                    ) as double
                )
            ) as decimal(9, 6)
        ) as km_returned_share
    from survivals
    cross join run
    group by survivals.cycle_level, survivals.brand, survivals.level_name
),

known as (
    select
        groups.*,
        run.as_of_date,
        run.fallback_days,
        run.silent_factor,
        run.lost_factor,
        {%- for level in levels %}
            case
                when {{ level }}_learned.gap_count >= run.median_min_gaps
                    then {{ level }}_learned.gap_p50_days
            end as {{ level }}_p50_days,
            {%- for pct in tail %}
                case
                    when {{ level }}_learned.gap_count >= run.tail_min_gaps
                        then {{ level }}_learned.gap_p{{ pct }}_days
                end as {{ level }}_p{{ pct }}_days,
            {%- endfor %}
        {%- endfor %}
        coalesce(group_learned.gap_count, 0) as gap_count,
        coalesce(watched_groups.watched_count, 0) as watched_count,
        estimated.km_median_days,
        estimated.km_returned_share
    from groups
    cross join run
    {%- for level in levels %}
        left join learned as {{ level }}_learned
            on
                {{ level }}_learned.cycle_level = '{{ level }}'
                and groups.brand = {{ level }}_learned.brand
                and {{ level }}_learned.level_name
                = {{ level_names[level] }}
    {%- endfor %}
    left join watched_groups
        on
            groups.brand = watched_groups.brand
            and groups.product_group = watched_groups.product_group
    left join estimated
        on
            estimated.cycle_level = 'group'
            and groups.brand = estimated.brand
            and groups.product_group = estimated.level_name
),

-- One chain for all: set by hand, learned of the group, of its category, of the shop. What ends it
-- is the default for the cycle, and the fixed windows of everybody for windows and dates.
decided as (
    select
        *,
        case
            when not is_repurchasable then 'no_repurchase'
            when manual_cycle_days is not null then 'manual'
            when group_p50_days is not null then 'group'
            when category_p50_days is not null then 'category'
            when shop_p50_days is not null then 'shop'
            else 'default'
        end as cycle_basis,
        case
            when not is_repurchasable then 'no_repurchase'
            when manual_cycle_days is not null then 'manual'
            when group_p80_days is not null then 'group'
            when category_p80_days is not null then 'category'
            when shop_p80_days is not null then 'shop'
            else 'fixed'
        end as window_basis
    from known
),

measured as (
    select
        *,
        cast(
            case cycle_basis
                when 'manual' then manual_cycle_days
                when 'group' then ceil(group_p50_days)
                when 'category' then ceil(category_p50_days)
                when 'shop' then ceil(shop_p50_days)
                when 'default' then fallback_days
            end as integer
        ) as cycle_days,
        cast(
            case window_basis
                when 'manual' then manual_cycle_days
                when 'group' then ceil(group_p80_days)
                when 'category' then ceil(category_p80_days)
                when 'shop' then ceil(shop_p80_days)
            end as integer
        ) as active_last_day,
        -- F-LC8: dates are foretold from the same step of the chain as the windows; a cycle that is
        -- set by hand has no quantiles but its windows.
        cast(
            case window_basis
                when 'manual' then manual_cycle_days + 1
                when 'group' then ceil(group_p75_days)
                when 'category' then ceil(category_p75_days)
                when 'shop' then ceil(shop_p75_days)
            end as integer
        ) as at_risk_days,
        cast(
            case window_basis
                when 'manual' then manual_cycle_days * silent_factor + 1
                when 'group' then ceil(group_p90_days)
                when 'category' then ceil(category_p90_days)
                when 'shop' then ceil(shop_p90_days)
            end as integer
        ) as lapsed_days
    from decided
)

select
    brand,
    product_group,
    as_of_date,
    category,
    cast(product_count as integer) as product_count,
    is_repurchasable,
    manual_cycle_days,
    cast(gap_count as bigint) as gap_count,
    cast(watched_count as bigint) as watched_count,
    cast(gap_count as double) / nullif(watched_count, 0) as returned_rate,
    group_p50_days as gap_p50_days,
    group_p75_days as gap_p75_days,
    group_p80_days as gap_p80_days,
    group_p90_days as gap_p90_days,
    cast(km_median_days as integer) as km_median_days,
    km_returned_share,
    cycle_days,
    cycle_basis,
    active_last_day,
    active_last_day * silent_factor as silent_last_day,
    active_last_day * lost_factor as lost_last_day,
    window_basis,
    case when is_repurchasable then at_risk_days end as at_risk_days,
    case when is_repurchasable then lapsed_days end as lapsed_days
from measured
