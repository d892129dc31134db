{#- Whether a fact holds what a condition asks; null or false for what is not known, whatever is
    asked of it. ``conditions`` is an alias of config.segment_conditions; no text of its holds the
    | that stands between them, so a value that holds one is none of them. -#}
{% macro condition_holds(conditions, text_value, number_value, since_date) -%}
    case {{ conditions }}.comparison
        when 'texts'
            then
                (
                    position('|' || {{ text_value }} || '|' in {{ conditions }}.texts) > 0
                    and position('|' in {{ text_value }}) = 0
                ) <> {{ conditions }}.is_excluded
        when 'range'
            then
                {{ number_value }} is not null
                and (
                    coalesce(
                        {{ number_value }} > {{ conditions }}.low
                        or ({{ number_value }} = {{ conditions }}.low
                            and not {{ conditions }}.is_low_open),
                        {{ conditions }}.low is null
                    )
                    and coalesce(
                        {{ number_value }} < {{ conditions }}.high
                        or ({{ number_value }} = {{ conditions }}.high
                            and not {{ conditions }}.is_high_open),
                        {{ conditions }}.high is null
                    )
                ) <> {{ conditions }}.is_excluded
        when 'known'
            then
                {{ text_value }} is not null
                or {{ number_value }} is not null
                or {{ since_date }} is not null
        when 'age' then {{ since_date }} is not null
    end
{%- endmacro %}

{#- Query: spans of ``relation`` (valid_from, valid_to excluded and never null) that touch or
    overlap made one, per ``keys``; an end that is no end becomes null. -#}
{% macro merged_spans(relation, keys) -%}
    {%- set listed = keys | join(', ') -%}
    {%- set order = 'partition by ' ~ listed ~ ' order by valid_from asc nulls last, '
        ~ 'valid_to asc nulls last' -%}
    select
        {{ listed }},
        min(valid_from) as valid_from,
        nullif(max(valid_to), date '9999-12-31') as valid_to
    from (
        select
            *,
            sum(case when valid_from <= reached_date then 0 else 1 end) over (
                {{ order }} rows between unbounded preceding and current row
            ) as span_no
        from (
            select
                *,
                max(valid_to) over (
                    {{ order }} rows between unbounded preceding and 1 preceding
                ) as reached_date
            from {{ relation }}
        ) as reaching
    ) as numbered
    group by {{ listed }}, span_no
{%- endmacro %}

{#- Value of a row of seed segment_parameters. -#}
{% macro segment_parameter(name, data_type) -%}
    (
        select cast(parameters.value as {{ data_type }})
        from {{ ref('segment_parameters') }} as parameters
        where parameters.name = '{{ name }}'
    )
{%- endmacro %}

{#- Share of ``part`` in ``whole``, whole numbers both, to the sixth decimal and rounded to the
    nearest: exact, where a quotient would be a double. Null for an empty whole. -#}
{% macro exact_rate(part, whole) -%}
    {{ adapter.dispatch('exact_rate', 'regulars')(part, whole) }}
{%- endmacro %}

{% macro default__exact_rate(part, whole) -%}
    cast(
        cast(
            divide(
                cast({{ part }} as hugeint) * 2000000 + {{ whole }},
                nullif(cast(2 * {{ whole }} as hugeint), 0)
            )
            as decimal(18, 0)
        ) * 0.000001 as decimal(9, 6)
    )
{%- endmacro %}
