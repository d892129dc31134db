{#- One query with every key check of a mart: uniqueness and references. Each row it returns names
    what is broken and in how many keys; nulls are refused by the contract already.

    relation    the mart
    key         columns that identify a row
    touched     (model, column) that listed tonight's keys; only those rows are looked at, all of
                them with --vars '{full_checks: true}', which belongs into a weekly run
    references  list of {column, to, field}: every non-null column value stands in to.field -#}
{% macro broken_keys(relation, key, touched=none, references=[]) -%}
    {%- set name = relation.identifier -%}
with checked as (
    select *
    from {{ relation }}
    {%- if touched and not var('full_checks') %}
    where {{ touched[1] }} in (select touched.{{ touched[1] }} from {{ touched[0] }} as touched)
    {%- endif %}
),

repeated_keys as (
    select {{ key | join(', ') }}
    from checked
    group by {{ key | join(', ') }}
    having count(*) > 1
)

select
    '{{ name }}: {{ key | join(' + ') }} is not unique' as violation,
    count(*) as violation_count
from repeated_keys
having count(*) > 0
    {%- for reference in references %}
union all
select
    '{{ name }}: {{ reference.column }} is missing in {{ reference.to.identifier }}' as violation,
    count(*) as violation_count
from checked
left join {{ reference.to }} as referenced
    on checked.{{ reference.column }} = referenced.{{ reference.field }}
where checked.{{ reference.column }} is not null and referenced.{{ reference.field }} is null
having count(*) > 0
    {%- endfor %}
{%- endmacro %}

{#- Several checks as one query: a check of its own costs a night sixty milliseconds, whatever it
    looks at. What is broken is named in each row. -#}
{% macro all_hold(checks) -%}
    {%- for check in checks %}
select
    violation,
    violation_count
from (
    {{ check }}
) as check_{{ loop.index }}
        {%- if not loop.last %}
union all
        {%- endif %}
    {%- endfor %}
{%- endmacro %}
