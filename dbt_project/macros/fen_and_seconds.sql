{#- What platforms write as whole numbers: money in fen, instants in unix seconds. -#}

{#- Yuan of a text in whole fen; exact, because nothing is divided. -#}
{% macro parse_fen(text) -%}
    {{ adapter.dispatch('parse_fen', 'regulars')(text) }}
{%- endmacro %}

{% macro default__parse_fen(text) -%}
    cast(try_cast({{ text }} as decimal(16, 0)) * 0.01 as decimal(18, 2))
{%- endmacro %}

{#- UTC timestamp of a text in unix seconds; null for 0, which means not yet, and for what lies
    beyond the year 9999. -#}
{% macro parse_unix_seconds(text) -%}
    {{ adapter.dispatch('parse_unix_seconds', 'regulars')(text) }}
{%- endmacro %}

{% macro default__parse_unix_seconds(text) -%}
    case
        when try_cast({{ text }} as bigint) between 1 and 253402300799
            then make_timestamp(try_cast({{ text }} as bigint) * 1000000)
    end
{%- endmacro %}
