{#- Value of a row of seed metric_parameters. -#}
{% macro parameter(name, data_type) -%}
    (
        select cast(parameters.value as {{ data_type }})
        from {{ ref('metric_parameters') }} as parameters
        where parameters.name = '{{ name }}'
    )
{%- endmacro %}

{#- How far our figure is from another's, as a share of theirs: 0 where they do not tell, 1 where
    theirs is nothing and ours is not. -#}
{% macro difference_share(ours, theirs) -%}
    case
        when {{ theirs }} is null or {{ ours }} = {{ theirs }} then 0
        when {{ theirs }} = 0 then 1
        else cast(abs({{ ours }} - {{ theirs }}) as decimal(18, 6)) / nullif(abs({{ theirs }}), 0)
    end
{%- endmacro %}

{#- True for orders that may ever count for members: none of uncounted_flags(). A flag corrects what
    an order always was, so it restates history. ``orders`` is an alias of fct_orders. -#}
{% macro is_countable_order(orders) -%}
    coalesce({{ orders }}.invalid_reason, 'none') not in ('{{ uncounted_flags() | join("', '") }}')
{%- endmacro %}

{#- Number of the bucket of ``seconds`` width that a UTC timestamp falls into. -#}
{% macro time_bucket_number(instant, seconds) -%}
    {{ adapter.dispatch('time_bucket_number', 'regulars')(instant, seconds) }}
{%- endmacro %}

{% macro default__time_bucket_number(instant, seconds) -%}
    cast(floor(epoch({{ instant }}) / nullif({{ seconds }}, 0)) as bigint)
{%- endmacro %}

{#- UTC timestamp moved by so many seconds. -#}
{% macro add_seconds(instant, seconds) -%}
    {{ adapter.dispatch('add_seconds', 'regulars')(instant, seconds) }}
{%- endmacro %}

{% macro default__add_seconds(instant, seconds) -%}
    ({{ instant }} + to_seconds(cast({{ seconds }} as integer)))
{%- endmacro %}

{#- A list of the given expressions. -#}
{% macro list_of(parts) -%}
    {{ adapter.dispatch('list_of', 'regulars')(parts) }}
{%- endmacro %}

{% macro default__list_of(parts) -%}
    [{{ parts | join(', ') }}]
{%- endmacro %}

{#- Every date from one to another, both included, as a list. -#}
{% macro dates_between(first_date, last_date) -%}
    {{ adapter.dispatch('dates_between', 'regulars')(first_date, last_date) }}
{%- endmacro %}

{% macro default__dates_between(first_date, last_date) -%}
    cast(generate_series({{ first_date }}, {{ last_date }}, interval 1 day) as date[])
{%- endmacro %}

{#- Date at a wall clock given as 'HH:MM', as a local timestamp. -#}
{% macro at_wall_clock(day, clock) -%}
    {{ adapter.dispatch('at_wall_clock', 'regulars')(day, clock) }}
{%- endmacro %}

{% macro default__at_wall_clock(day, clock) -%}
    cast(cast({{ day }} as varchar) || ' ' || {{ clock }} || ':00' as timestamp)
{%- endmacro %}

{#- Bucket 0..9999 of a member under a salt (definitions 4.8): the first 32 bits of an MD5. -#}
{% macro holdout_bucket(salt, member) -%}
    {{ adapter.dispatch('holdout_bucket', 'regulars')(salt, member) }}
{%- endmacro %}

{% macro default__holdout_bucket(salt, member) -%}
    cast(
        cast('0x' || left(md5({{ salt }} || ':' || {{ member }}), 8) as bigint) % 10000 as integer
    )
{%- endmacro %}

{#- Id of a message (hex, 32 characters): the decision about it is committed once under this id. -#}
{% macro message_id(campaign, member_key, channel, occasion) -%}
    {{ adapter.dispatch('message_id', 'regulars')(campaign, member_key, channel, occasion) }}
{%- endmacro %}

{% macro default__message_id(campaign, member_key, channel, occasion) -%}
    left(
        sha256(
            {{ campaign }} || '|' || cast({{ member_key }} as varchar)
            || '|' || {{ channel }} || '|' || {{ occasion }}
        ),
        32
    )
{%- endmacro %}

{#- Key of a campaign of config/campaigns: it belongs to a brand, not to a shop. -#}
{% macro own_campaign_key(brand, campaign) -%}
    {{ generate_key([brand, "'regulars'", campaign]) }}
{%- endmacro %}

{#- Every activity window with its first and last day, in every version; what follows the last
    window of the seed is dead. -#}
{% macro activity_windows() -%}
    select
        activity_stage,
        valid_from,
        coalesce(
            lag(last_day) over (partition by valid_from order by stage_rank asc nulls last) + 1, 0
        ) as first_day,
        last_day
    from {{ ref('lifecycle_windows') }}
    union all
    select
        'dead' as activity_stage,
        valid_from,
        max(last_day) + 1 as first_day,
        cast(null as integer) as last_day
    from {{ ref('lifecycle_windows') }}
    group by valid_from
{%- endmacro %}

{#- Columns that say what each count stage needs, for a select from seed count_stages. -#}
{% macro count_stage_needs() -%}
    {%- for stage in ['new', 'returning', 'loyal', 'fan'] %}
        max(min_valid_orders) filter (where count_stage = '{{ stage }}') as {{ stage }}_min,
        max(case when needs_advocacy then 1 else 0 end) filter (where count_stage = '{{ stage }}')
            as {{ stage }}_advocacy{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{#- The highest count stage whose needs are met; ``rules`` carries the columns of
    count_stage_needs(). -#}
{% macro count_stage(order_count, is_advocate, rules, otherwise='null') -%}
    case
        {%- for stage in ['fan', 'loyal', 'returning', 'new'] %}
        when
            {{ order_count }} >= {{ rules }}.{{ stage }}_min
            and ({{ rules }}.{{ stage }}_advocacy = 0 or {{ is_advocate }})
            then '{{ stage }}'
        {%- endfor %}
        else {{ otherwise }}
    end
{%- endmacro %}

{#- Score 1 to 5 of a value by four cut points (columns <cuts>_q20 ... _q80): one more for each cut
    point it lies above. Whole numbers have to lie a whole unit above, so that a value equal to the
    cut, or within one of it, stays in the lower bin. Null without cut points. -#}
{% macro quintile_score(value, cuts, is_whole) -%}
    (
        1
        {%- for share in [20, 40, 60, 80] %}
        + case
            when {{ cuts }}_q{{ share }} is null then null
            {%- if is_whole %}
            when {{ value }} >= {{ cuts }}_q{{ share }} + 1 then 1
            {%- else %}
            when cast({{ value }} as double) > {{ cuts }}_q{{ share }} then 1
            {%- endif %}
            else 0
        end
        {%- endfor %}
    )
{%- endmacro %}

{#- One query with every check of a queue: a message is proposed once; what is suppressed says why,
    what is drawn has an arm. -#}
{% macro broken_proposals(relation) -%}
with repeated_messages as (
    select message_id
    from {{ relation }}
    group by message_id
    having count(*) > 1
)

select
    '{{ relation.identifier }}: a message is proposed twice' as violation,
    count(*) as violation_count
from repeated_messages
having count(*) > 0
union all
select
    '{{ relation.identifier }}: outcome, arm, reason and bucket contradict each other' as violation,
    count(*) as violation_count
from {{ relation }}
where
    (outcome = 'suppressed') <> (reason is not null)
    or (outcome = 'suppressed') <> (arm is null)
    or (outcome = 'suppressed') <> (bucket is null)
    or (outcome = 'holdout') <> (coalesce(arm, '') = 'holdout')
having count(*) > 0
{%- endmacro %}

{#- First day of the month or week (from Monday on, as 5 January 1970 was one) that a date lies in.
    ``grain`` is an expression of the switch cohort_grain: month or week. -#}
{% macro period_start(day, grain) -%}
    case
        when {{ grain }} = 'week'
            then {{ add_days(
                day, '-(' ~ days_between("date '1970-01-05'", day) ~ ' % 7)'
            ) }}
        else make_date(year({{ day }}), month({{ day }}), 1)
    end
{%- endmacro %}
