{#- Value of a row of seed lifecycle_parameters. -#}
{% macro lifecycle_parameter(name, data_type) -%}
    (
        select cast(parameters.value as {{ data_type }})
        from {{ ref('lifecycle_parameters') }} as parameters
        where parameters.name = '{{ name }}'
    )
{%- endmacro %}

{#- Group by which products are bought again: the shop's own, else the category, else all that
    nobody has sorted. ``products`` is an alias of dim_products. -#}
{% macro cycle_group(products) -%}
    coalesce({{ products }}.product_group, {{ products }}.category, 'unsorted')
{%- endmacro %}

{#- Aggregate: the value below which ``pct`` per cent of a histogram lie, interpolated (type 7).
    Columns ``value`` and ``counted`` (observations up to and with the value) and the literal or
    column ``total``; all whole numbers, so that the result is exact. -#}
{% macro histogram_quantile(value, counted, total, pct) -%}
    {%- set place = '((' ~ total ~ ' - 1) * ' ~ pct ~ ' * 0.01)' -%}
    {%- set lower = 'min(' ~ value ~ ') filter (where ' ~ counted ~ ' > floor(' ~ place ~ '))' -%}
    {%- set upper = 'min(' ~ value ~ ') filter (where ' ~ counted ~ ' > floor(' ~ place ~ ') + 1)' -%}
    cast(
        {{ lower }}
        + (max({{ place }}) - floor(max({{ place }}))) * coalesce({{ upper }} - {{ lower }}, 0)
        as decimal(12, 4)
    )
{%- endmacro %}
