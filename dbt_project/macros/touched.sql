{#- Incremental by touched keys (law 2).

    A model configures, in its meta:
        touched_relation  the model, or 'source.table', that lists what changed
        touched_key       the column of the model that is listed there
        touched_column    the same column's name in touched_relation, when it differs
        propagates        {subject: column}: keys handed on through ops.touched_keys
    and restricts its own SQL with only_touched(). On an incremental run every touched row of the
    target is deleted and what exists now is inserted, in one transaction: a row that moved away,
    lost its validity or vanished is gone, and a night repeated after a failure doubles nothing.
    Keys are propagated from the rows before and after the change, so the old owner is recomputed
    as well as the new one. Propagating models must live in the warehouse file, because the engine
    writes to one file per transaction. -#}
{% macro get_incremental_touched_sql(arg_dict) -%}
    {{ adapter.dispatch('get_incremental_touched_sql', 'regulars')(arg_dict) }}
{%- endmacro %}

{% macro default__get_incremental_touched_sql(arg_dict) -%}
    {%- set target_relation = arg_dict['target_relation'] -%}
    {%- set temp_relation = arg_dict['temp_relation'] -%}
    {%- set columns = arg_dict['dest_columns'] | map(attribute='quoted') | join(', ') -%}
    {%- set key = config.meta_require('touched_key') -%}
    {%- set touched_keys -%}
        select touched.{{ config.meta_get('touched_column', key) }}
        from {{ touched_relation(config.meta_require('touched_relation')) }} as touched
    {%- endset -%}
    {%- set propagates = config.meta_get('propagates', {}) -%}
    {%- if propagates and target_relation.database != target.database -%}
        {%- do exceptions.raise_compiler_error(
            target_relation ~ ' cannot propagate keys from another database file'
        ) -%}
    {%- endif -%}

    {%- for subject, column in propagates.items() %}
    {{ propagate_keys(subject, column, target_relation, key ~ ' in (' ~ touched_keys ~ ')') }};
    {%- endfor %}

    delete from {{ target_relation }}
    where {{ key }} in ({{ touched_keys }});

    insert into {{ target_relation }} ({{ columns }})
    select {{ columns }} from {{ temp_relation }};

    {%- for subject, column in propagates.items() %}
    {{ propagate_keys(subject, column, temp_relation, 'true') }};
    {%- endfor %}
{%- endmacro %}

{#- Adds the keys of ``relation`` to the pending touched keys; those already pending stay once. -#}
{% macro propagate_keys(subject, column, relation, condition) -%}
    insert into {{ source('ops', 'touched_keys') }} (run_id, subject, key)
    select run.run_id, '{{ subject }}', changed.key
    from (
        select {{ column }} as key
        from {{ relation }}
        where {{ condition }} and {{ column }} is not null
        except
        select pending.key
        from {{ source('ops', 'touched_keys') }} as pending
        where pending.subject = '{{ subject }}'
    ) as changed
    cross join {{ source('ops', 'run') }} as run
{%- endmacro %}

{% macro touched_relation(name) -%}
    {%- if '.' in name -%}
        {%- set parts = name.split('.') -%}
        {{ source(parts[0], parts[1]) }}
    {%- else -%}
        {{ ref(name) }}
    {%- endif -%}
{%- endmacro %}

{#- Condition that keeps an incremental run to the touched keys; true on a first or full build.
    ``column`` may be qualified. Rendered while parsing as well, so that the dependency is known. -#}
{% macro only_touched(column, relation, touched_column=none) -%}
    {%- if not execute or is_incremental() -%}
        {%- set listed = touched_column or column.split('.')[-1] -%}
        {{ column }} in (select touched.{{ listed }} from {{ touched_relation(relation) }} as touched)
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{#- The same for staging: only batches that no good night has consumed. -#}
{% macro only_pending_batches(column='_batch_id') -%}
    {{ only_touched(column, 'ops.pending_batches', 'batch_id') }}
{%- endmacro %}

{#- dbt's check of on_schema_change: fail, in one query instead of two macro calls through Python:
    every incremental model pays for it every night. -#}
{% macro duckdb__process_schema_changes(on_schema_change, source_relation, target_relation) -%}
    {%- if on_schema_change != 'fail' -%}
        {{ return(default__process_schema_changes(on_schema_change, source_relation, target_relation)) }}
    {%- endif -%}
    {%- set described = run_query(
        "select true as is_new, column_name, column_type from (describe " ~ source_relation ~ ")"
        ~ " union all "
        ~ "select false, column_name, column_type from (describe " ~ target_relation ~ ")"
    ) -%}
    {%- set built, existing, columns = [], [], [] -%}
    {%- for is_new, name, type in described.rows -%}
        {%- do (built if is_new else existing).append(name ~ ' ' ~ type) -%}
        {%- if is_new -%}
            {%- do columns.append(api.Column(name, type)) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if built | sort != existing | sort -%}
        {%- do exceptions.raise_compiler_error(
            target_relation ~ ' is out of sync with its model: it holds ' ~ existing | join(', ')
            ~ '; the model gives ' ~ built | join(', ')
            ~ '. Run the model with --full-refresh.'
        ) -%}
    {%- endif -%}
    {{ return(columns) }}
{%- endmacro %}
