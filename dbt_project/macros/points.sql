{#- The part of a whole number that falls to ``part`` of ``whole`` (amounts), rounded down: in whole
    fen, so that nothing is divided before it has been multiplied. Null for an empty whole. -#}
{% macro floor_share(number, part, whole) -%}
    {{ adapter.dispatch('floor_share', 'regulars')(number, part, whole) }}
{%- endmacro %}

{% macro default__floor_share(number, part, whole) -%}
    divide(
        cast({{ number }} as hugeint) * cast(({{ part }}) * 100 as hugeint),
        nullif(cast(({{ whole }}) * 100 as hugeint), 0)
    )
{%- endmacro %}
