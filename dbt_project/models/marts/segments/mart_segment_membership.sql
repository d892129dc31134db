{{ config(meta={'touched_relation': 'int_segments__changes', 'touched_key': 'member_key'}) }}

with clauses as (
    select
        *,
        coalesce(valid_to, date '9999-12-31') as ends_on
    from {{ source('config', 'segment_clauses') }}
    where is_dated
),

truths as (
    select
        member_key,
        condition_id,
        valid_from,
        coalesce(valid_to, date '9999-12-31') as valid_to
    from {{ ref('int_segments__truths') }}
    where {{ only_touched('member_key', 'int_segments__changes') }}
),

members as (
    select
        member_key,
        brand
    from {{ ref('dim_members') }}
    where {{ only_touched('member_key', 'int_segments__changes') }}
),

-- Each version counts on its own days only.
parts as (
    select
        truths.member_key,
        clauses.brand,
        clauses.segment,
        clauses.version,
        clauses.clause_no,
        clauses.positive_count,
        case when clauses.is_negated then 0 else 1 end as wanted_count,
        case when clauses.is_negated then 1 else 0 end as unwanted_count,
        greatest(truths.valid_from, clauses.valid_from) as valid_from,
        least(truths.valid_to, clauses.ends_on) as valid_to
    from truths
    inner join members
        on truths.member_key = members.member_key
    inner join clauses
        on
            truths.condition_id = clauses.condition_id
            and members.brand = clauses.brand
    where
        truths.valid_from < clauses.ends_on
        and truths.valid_to > clauses.valid_from
),

changes as (
    select
        member_key,
        brand,
        segment,
        version,
        clause_no,
        positive_count,
        valid_from as change_date,
        wanted_count,
        unwanted_count
    from parts
    union all
    select
        member_key,
        brand,
        segment,
        version,
        clause_no,
        positive_count,
        valid_to as change_date,
        -wanted_count as wanted_count,
        -unwanted_count as unwanted_count
    from parts
    where valid_to < date '9999-12-31'
),

change_days as (
    select
        member_key,
        brand,
        segment,
        version,
        clause_no,
        positive_count,
        change_date,
        sum(wanted_count) as wanted_change,
        sum(unwanted_count) as unwanted_change
    from changes
    group by
        member_key,
        brand,
        segment,
        version,
        clause_no,
        positive_count,
        change_date
),

states as (
    select
        *,
        lead(change_date) over of_clause as next_date,
        sum(wanted_change) over until_then as wanted_count,
        sum(unwanted_change) over until_then as unwanted_count
    from change_days
    window
        of_clause as (
            partition by member_key, segment, version, clause_no
            order by change_date asc nulls last
        ),
        until_then as (
            partition by member_key, segment, version, clause_no
            order by change_date asc nulls last
            rows between unbounded preceding and current row
        )
),

fulfilled as (
    select
        member_key,
        brand,
        segment,
        version,
        change_date as valid_from,
        coalesce(next_date, date '9999-12-31') as valid_to
    from states
    where wanted_count = positive_count and unwanted_count = 0
),

-- A clause that begins where another ends is no leaving.
stays as (
    {{ merged_spans('fulfilled', ['member_key', 'brand', 'segment', 'version']) }}
),

neighbours as (
    select
        *,
        lag(valid_to) over of_segment as previous_valid_to,
        lead(valid_from) over of_segment as next_valid_from
    from stays
    window of_segment as (
        partition by member_key, segment order by valid_from asc nulls last, version asc nulls last
    )
)

select
    neighbours.member_key,
    neighbours.brand,
    neighbours.segment,
    neighbours.version,
    neighbours.valid_from as entered_on,
    case when neighbours.valid_to <= run.as_of_date then neighbours.valid_to end as left_on,
    coalesce(neighbours.previous_valid_to = neighbours.valid_from, false) as is_continued,
    coalesce(
        neighbours.valid_to <= run.as_of_date
        and neighbours.next_valid_from = neighbours.valid_to,
        false
    ) as is_followed
from neighbours
inner join {{ source('ops', 'run') }} as run
    on neighbours.valid_from <= run.as_of_date
