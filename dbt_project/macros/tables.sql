{#- What a table costs besides its query, kept small: a night builds dozens of them.

    The adapter builds a table under another name, asks for its indexes, renames twice and drops the
    old one, six statements through Python. The engine replaces a table within one transaction:
    whoever reads sees the old rows or the new ones, and a build that fails leaves the old ones. -#}
{% materialization table, adapter='duckdb', supported_languages=['sql'] %}
    {%- set existing_relation = load_cached_relation(this) -%}
    {%- set target_relation = this.incorporate(type='table') -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- if existing_relation is not none and not existing_relation.is_table -%}
        {%- do adapter.drop_relation(existing_relation) -%}
    {%- endif -%}
    {%- call statement('main') -%}
        drop table if exists {{ target_relation }};
        {{ create_table_as(False, target_relation, sql) }}
    {%- endcall -%}

    {%- do persist_docs(target_relation, model) -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {%- do adapter.commit() -%}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}

{#- The check of a contract describes the whole query twice. REGULARS_CONTRACTS=changed leaves it out
    where it was passed before and nothing can have changed since: whoever sets that rebuilds each
    model whose code, columns or parents differ (`full_refresh`), and a rebuild is checked. -#}
{% macro duckdb__get_assert_columns_equivalent(sql) -%}
    {%- if should_check_contract() -%}
        {{ return(assert_columns_equivalent(sql)) }}
    {%- endif -%}
{%- endmacro %}

{% macro should_check_contract() -%}
    {{ return(
        env_var('REGULARS_CONTRACTS', 'always') != 'changed'
        or should_full_refresh()
        or load_cached_relation(this) is none
    ) }}
{%- endmacro %}
