{#- Rewritten every night: a late order restates its days. Members are counted once, by the days on
    which they came and went; stocks follow by sums. -#}
{{ config(materialized='table') }}

with run as (
    select * from {{ source('ops', 'run') }}
),

versions as (
    select
        segments.*,
        coalesce(segments.valid_to, date '9999-12-31') as ends_on,
        run.as_of_date
    from {{ source('config', 'segments') }} as segments
    inner join run
        on segments.valid_from <= run.as_of_date
),

-- Of a version without a history only the business date is known.
version_days as (
    select
        versions.brand,
        versions.segment,
        versions.version,
        versions.is_dated,
        versions.covered_condition_id,
        {{ explode(dates_between(
            'case when versions.is_dated then versions.valid_from else versions.as_of_date end',
            'least(versions.as_of_date, ' ~ add_days('versions.ends_on', '-1') ~ ')'
        )) }} as day_date
    from versions
),

movements as (
    select
        brand,
        segment,
        entered_on as day_date,
        count(*) as stock_change,
        sum(case when is_continued then 0 else 1 end) as entered_count,
        0 as left_count
    from {{ ref('mart_segment_membership') }}
    group by brand, segment, entered_on
    union all
    select
        brand,
        segment,
        left_on as day_date,
        -count(*) as stock_change,
        0 as entered_count,
        sum(case when is_followed then 0 else 1 end) as left_count
    from {{ ref('mart_segment_membership') }}
    where left_on is not null
    group by brand, segment, left_on
),

movement_days as (
    select
        brand,
        segment,
        day_date,
        sum(stock_change) as stock_change,
        sum(entered_count) as entered_count,
        sum(left_count) as left_count
    from movements
    group by brand, segment, day_date
),

stocks as (
    select
        *,
        coalesce(
            lead(day_date) over (partition by brand, segment order by day_date asc nulls last),
            date '9999-12-31'
        ) as next_date,
        sum(stock_change) over (
            partition by brand, segment order by day_date asc nulls last
            rows between unbounded preceding and current row
        ) as member_count
    from movement_days
),

-- Whom the segment could have: known, and on a platform that tells what it asks.
covered_days as (
    select
        members.brand,
        truths.condition_id,
        truths.valid_from as day_date,
        count(*) as known_count
    from {{ ref('int_segments__truths') }} as truths
    inner join {{ ref('dim_members') }} as members
        on truths.member_key = members.member_key
    where truths.condition_id in (select versions.covered_condition_id from versions)
    group by members.brand, truths.condition_id, truths.valid_from
),

covered_stocks as (
    select
        *,
        coalesce(
            lead(day_date) over (partition by brand, condition_id order by day_date asc nulls last),
            date '9999-12-31'
        ) as next_date,
        sum(known_count) over (
            partition by brand, condition_id order by day_date asc nulls last
            rows between unbounded preceding and current row
        ) as covered_count
    from covered_days
),

members_tonight as (
    select
        brand,
        segment,
        count(*) as member_count
    from {{ ref('mart_segment_members') }}
    group by brand, segment
),

counted as (
    select
        version_days.brand,
        version_days.segment,
        version_days.day_date,
        version_days.version,
        cast(
            coalesce(
                case when version_days.is_dated then stocks.member_count end,
                case when not version_days.is_dated then members_tonight.member_count end,
                0
            ) as bigint
        ) as member_count,
        case
            when version_days.is_dated
                then cast(coalesce(movement_days.entered_count, 0) as bigint)
        end as entered_count,
        case
            when version_days.is_dated
                then cast(coalesce(movement_days.left_count, 0) as bigint)
        end as left_count,
        cast(coalesce(covered_stocks.covered_count, 0) as bigint) as covered_count
    from version_days
    left join stocks
        on
            version_days.brand = stocks.brand
            and version_days.segment = stocks.segment
            and version_days.day_date >= stocks.day_date
            and version_days.day_date < stocks.next_date
    left join movement_days
        on
            version_days.brand = movement_days.brand
            and version_days.segment = movement_days.segment
            and version_days.day_date = movement_days.day_date
    left join members_tonight
        on
            version_days.brand = members_tonight.brand
            and version_days.segment = members_tonight.segment
    left join covered_stocks
        on
            version_days.brand = covered_stocks.brand
            and version_days.covered_condition_id = covered_stocks.condition_id
            and version_days.day_date >= covered_stocks.day_date
            and version_days.day_date < covered_stocks.next_date
)

select
    brand,
    segment,
    day_date,
    version,
    member_count,
    entered_count,
    left_count,
    covered_count,
    {{ exact_rate('member_count', 'covered_count') }} as coverage_rate,
    member_count = 0 as is_empty,
    coalesce(
        {{ exact_rate('member_count', 'covered_count') }}
        > {{ segment_parameter('max_coverage_rate', 'decimal(9, 6)') }},
        false
    ) as is_too_wide
from counted
