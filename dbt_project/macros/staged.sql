{#- Names of the staging models of an entity, one for each source whose folder has a
    stg_<source>__<entity>.sql: a platform joins the unions by its folder alone.

    Which files there are has to be known while parsing, when dbt's graph is still empty. A night
    names them in REGULARS_STAGED (regulars.transform.staged); when that changes, dbt parses the
    unions anew. dbt by hand, and sqlfluff with it, goes by the files that dbt has read: a list
    that dbt keeps but does not document, so nights do without it.

    entity       last part of the models' names
    is_required  whether having none is an error -#}
{% macro staged(entity, is_required=true) -%}
    {%- set files = env_var('REGULARS_STAGED', '') -%}
    {%- if not files and ref.manifest is defined -%}
        {%- set files = ref.manifest.files | join(' ') -%}
    {%- endif -%}
    {%- set pattern = 'models/staging/([a-z0-9_]+)/stg_\\1__' ~ entity ~ '\\.sql' -%}
    {%- set models = [] -%}
    {%- for source in modules.re.findall(pattern, files) | unique | sort -%}
        {%- do models.append('stg_' ~ source ~ '__' ~ entity) -%}
    {%- endfor -%}
    {%- if is_required and not models -%}
        {%- do exceptions.raise_compiler_error(
            'no staging model of ' ~ entity ~ ' is known. Set the environment variable'
            ~ ' REGULARS_STAGED to the files that `echo models/staging/*/stg_*.sql` lists in'
            ~ ' the folder of the dbt project.'
        ) -%}
    {%- endif -%}
    {#- A union that left a source out would take its orders out of the marts without a word. -#}
    {%- if execute -%}
        {%- set built = [] -%}
        {%- for node in graph.nodes.values() if node.resource_type == 'model' -%}
            {%- if node.fqn[1] == 'staging' and node.name.endswith('__' ~ entity) -%}
                {%- do built.append(node.name) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- if built | sort != models -%}
            {%- do exceptions.raise_compiler_error(
                'the staging models of ' ~ entity ~ ' are ' ~ built | sort | join(', ')
                ~ ', but REGULARS_STAGED names ' ~ models | join(', ')
                ~ '. Unset it or set it to what `echo models/staging/*/stg_*.sql` lists.'
            ) -%}
        {%- endif -%}
    {%- endif -%}
    {{ return(models) }}
{%- endmacro %}
