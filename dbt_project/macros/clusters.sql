{#- Who belongs together (F-ID3): the materialization `clusters` and what it is made of.

    A model of it gives links of a graph, one row each, with the columns
        customer_key, other_customer_key, kind
    where kind is
        joined   an identifier joins the two
        by_hand  a recorded decision does
        parted   a recorded decision says that they are two people
        alone    no link: the customer is to be looked at (both columns name it)
    and its table holds, for every customer that something joins to another,
        customer_key, cluster_key   the connected component over everything that joins
        component_key               the component that holds: where a cluster joins people who are
                                    known to be two, only what was joined by hand still joins in it
        is_parted                   whether that is so

    Incremental: what the model gives on a later night must hold whole clusters, as they were and
    as they are; their rows are replaced, and all customers that it names are handed on through
    ops.touched_keys as `clustered`. -#}
{% materialization clusters, default %}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set is_partial = is_incremental() -%}
    {%- set links, whole, parted = 'cluster_links', 'cluster_labels', 'cluster_parts' -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- do run_query('create or replace temporary table ' ~ links ~ ' as ' ~ sql) -%}
    {%- do label_components(whole, links, "kind in ('joined', 'by_hand')") -%}
    {%- set contradictions = run_query(
        'create or replace temporary table cluster_contradictions as '
        ~ 'select one.label as cluster_key from ' ~ links ~ ' as links '
        ~ 'inner join ' ~ whole ~ ' as one on links.customer_key = one.vertex '
        ~ 'inner join ' ~ whole ~ ' as other on links.other_customer_key = other.vertex '
        ~ "where links.kind = 'parted' and one.label = other.label group by one.label"
    ) -%}
    {%- do label_components(
        parted,
        links,
        "kind = 'by_hand' and customer_key in (select labels.vertex from " ~ whole ~ ' as labels '
        ~ 'inner join cluster_contradictions as contradictions '
        ~ 'on labels.label = contradictions.cluster_key)'
    ) -%}
    {%- set rows -%}
        select
            labels.vertex as customer_key,
            labels.label as cluster_key,
            case
                when contradictions.cluster_key is null then labels.label
                else coalesce(parts.label, labels.vertex)
            end as component_key,
            contradictions.cluster_key is not null as is_parted
        from {{ whole }} as labels
        left join cluster_contradictions as contradictions
            on labels.label = contradictions.cluster_key
        left join {{ parted }} as parts
            on labels.vertex = parts.vertex
    {%- endset -%}

    {%- call statement('main') -%}
        {%- if is_partial %}
            delete from {{ target_relation }}
            where customer_key in (select links.customer_key from {{ links }} as links);

            insert into {{ target_relation }} (customer_key, cluster_key, component_key, is_parted)
            {{ rows }};

            {{ propagate_keys('clustered', 'customer_key', links, 'true') }};
        {%- else %}
            create or replace table {{ target_relation }} as {{ rows }};
        {%- endif %}
    {%- endcall -%}

    {%- do run_query(
        'drop table ' ~ links ~ '; drop table ' ~ whole ~ '; drop table ' ~ parted
        ~ '; drop table cluster_contradictions'
    ) -%}
    {%- do persist_docs(target_relation, model) -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {%- do adapter.commit() -%}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}

{#- dbt's own, which knows one incremental materialization, for ours as well. -#}
{% macro is_incremental() -%}
    {%- if not execute -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set relation = load_cached_relation(this) -%}
    {{ return(
        relation is not none
        and relation.type == 'table'
        and model.config.materialized in ('incremental', 'clusters')
        and not should_full_refresh()
    ) }}
{%- endmacro %}

{#- Connected components, as temporary table ``labels`` (vertex, label): the label is the least
    vertex of the component. Vertices are those of the links that ``condition`` keeps.

    Rounds of contraction: every vertex points to its least neighbour, pointers are followed sixteen
    steps ahead, each group that points to one vertex becomes that vertex, and links within a group
    fall away. A round leaves at most half of the vertices; chains and stars go much faster. A
    recursive query takes as many rounds as a chain is long. -#}
{% macro label_components(labels, links, condition) -%}
    {%- do run_query(
        'create or replace temporary table contracted as '
        ~ 'select least(customer_key, other_customer_key) as one, '
        ~ 'greatest(customer_key, other_customer_key) as other '
        ~ 'from ' ~ links ~ ' where ' ~ condition ~ ' and customer_key <> other_customer_key '
        ~ 'group by all'
    ) -%}
    {%- do run_query(
        'create or replace temporary table ' ~ labels ~ ' as '
        ~ 'select vertex, vertex as label from ('
        ~ 'select one as vertex from contracted union select other from contracted)'
    ) -%}
    {#- 2 to the 64th vertices would need more rounds. -#}
    {%- set remaining = namespace(count=load_count('contracted')) -%}
    {%- for round in range(64) -%}
        {%- if remaining.count > 0 -%}
            {%- do run_query(
                'create or replace temporary table pointers as '
                ~ 'select vertex, min(target) as target from ('
                ~ 'select one as vertex, one as target from contracted '
                ~ 'union all select other, one from contracted) group by vertex'
            ) -%}
            {%- for jump in range(4) -%}
                {%- do run_query(
                    'create or replace temporary table pointers as '
                    ~ 'select near.vertex, far.target from pointers as near '
                    ~ 'inner join pointers as far on near.target = far.vertex'
                ) -%}
            {%- endfor -%}
            {%- do run_query(
                'create or replace temporary table contracted as '
                ~ 'select least(ones.target, others.target) as one, '
                ~ 'greatest(ones.target, others.target) as other from contracted '
                ~ 'inner join pointers as ones on contracted.one = ones.vertex '
                ~ 'inner join pointers as others on contracted.other = others.vertex '
                ~ 'where ones.target <> others.target group by all'
            ) -%}
            {%- do run_query(
                'create or replace temporary table ' ~ labels ~ ' as '
                ~ 'select labels.vertex, coalesce(pointers.target, labels.label) as label '
                ~ 'from ' ~ labels ~ ' as labels '
                ~ 'left join pointers on labels.label = pointers.vertex'
            ) -%}
            {%- set remaining.count = load_count('contracted') -%}
        {%- endif -%}
    {%- endfor -%}
    {%- do run_query('drop table contracted; drop table if exists pointers') -%}
{%- endmacro %}

{% macro load_count(table) -%}
    {{ return(run_query('select count(*) from ' ~ table).rows[0][0] | int) }}
{%- endmacro %}

{#- Rows of a recorded stream about members, with whose they are today: `present_member_key`. What is
    recorded under a key is the customer's who founded that key, whoever that belongs to by now; when
    that customer is gone, the one's whom the row names beside. `founder_key` and `named_key` are
    the two, each null when there is no such customer any more. -#}
{% macro recorded_about_members(stream) -%}
    (
        select
            recorded.*,
            founders.customer_key as founder_key,
            named.customer_key as named_key,
            coalesce(founders.member_key, named.member_key, recorded.member_key)
                as present_member_key
        from {{ source('raw', stream) }} as recorded
        left join {{ ref('dim_member_identities') }} as founders
            on recorded.member_key = founders.founded_member_key
        left join {{ ref('dim_member_identities') }} as named
            on recorded.customer_key = named.customer_key
    )
{%- endmacro %}

{#- Pairs of customers about whom the last recorded decision is ``kind``, since it was first made:
    what is taken back and decided again is what it was. -#}
{% macro decided_pairs(kind) -%}
    (
        select
            decisions.customer_key,
            decisions.other_customer_key,
            min(decisions.decided_at) over (
                partition by
                    decisions.customer_key, decisions.other_customer_key, decisions.kind
            ) as decided_at
        from {{ source('raw', 'state__identity_decisions') }} as decisions
        qualify
            row_number() over (
                partition by decisions.customer_key, decisions.other_customer_key
                order by decisions.seq desc nulls last
            ) = 1
            and decisions.kind = '{{ kind }}'
    )
{%- endmacro %}
