{#- Relations are named exactly as configured, in every target: never prefixed by the target's own
    schema, so that the same manifest fits the warehouse, the tests and the linter. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name | trim if custom_schema_name is not none else target.schema }}
{%- endmacro %}

{% macro generate_database_name(custom_database_name, node) -%}
    {{ custom_database_name | trim if custom_database_name is not none else target.database }}
{%- endmacro %}
