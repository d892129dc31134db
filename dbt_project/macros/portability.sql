{#- Constructs whose name or meaning differs between engines; models use them through here only. -#}

{#- Interpolated quantile (type 7), as double; the argument must not be a sum over doubles. -#}
{% macro quantile(value, share) -%}
    {{ adapter.dispatch('quantile', 'regulars')(value, share) }}
{%- endmacro %}

{% macro default__quantile(value, share) -%}
    quantile_cont(cast({{ value }} as double), {{ share }})
{%- endmacro %}

{#- One row per element of a list column. -#}
{% macro explode(list) -%}
    {{ adapter.dispatch('explode', 'regulars')(list) }}
{%- endmacro %}

{% macro default__explode(list) -%}
    unnest({{ list }})
{%- endmacro %}

{#- A value that orders rows by several expressions at once, for max_by and min_by. None of them may
    be null: engines disagree on where a null stands. -#}
{% macro ordering(parts) -%}
    {{ adapter.dispatch('ordering', 'regulars')(parts) }}
{%- endmacro %}

{% macro default__ordering(parts) -%}
    row({{ parts | join(', ') }})
{%- endmacro %}

{#- Decimal money of a text; landing has refused more than two decimals. -#}
{% macro parse_amount(text) -%}
    try_cast({{ text }} as decimal(18, 2))
{%- endmacro %}

{% macro parse_quantity(text) -%}
    try_cast({{ text }} as decimal(18, 3))
{%- endmacro %}

{#- Boolean of a text; nothing said is false, because an ``is_`` column is never null. -#}
{% macro parse_flag(text) -%}
    coalesce(try_cast({{ text }} as boolean), false)
{%- endmacro %}

{#- The part of ``amount`` that falls to ``part`` of ``whole``, rounded to the fen; null for an empty
    whole. One division of decimals, never summed as a double. -#}
{% macro prorate(amount, part, whole) -%}
    cast(round(({{ amount }}) * ({{ part }}) / nullif({{ whole }}, 0), 2) as decimal(18, 2))
{%- endmacro %}

{#- The same rounded down, so that parts never exceed the whole: in whole fen, because a quotient of
    decimals is a double. -#}
{% macro prorate_down(amount, part, whole) -%}
    {{ adapter.dispatch('prorate_down', 'regulars')(amount, part, whole) }}
{%- endmacro %}

{% macro default__prorate_down(amount, part, whole) -%}
    cast(
        cast(
            divide(
                cast(({{ amount }}) * 100 as hugeint) * cast(({{ part }}) * 100 as hugeint),
                nullif(cast(({{ whole }}) * 100 as hugeint), 0)
            )
            as decimal(18, 0)
        ) * 0.01 as decimal(18, 2)
    )
{%- endmacro %}
