{#- dbt's own for this engine; a view of the marts names its neighbours without the name of their
    database. It stands in the file that is published, where they are beside it whatever the copy is
    called. -#}
{% macro duckdb__create_view_as(relation, sql) -%}
    {%- if config.get('contract').enforced %}
        {{ get_assert_columns_equivalent(sql) }}
    {%- endif %}
    {%- if relation.database != target.database -%}
        {%- set sql = sql | replace(adapter.quote(relation.database) ~ '.', '') -%}
    {%- endif %}
    create view {{ relation }} as (
        {{ sql }}
    );
{%- endmacro %}
