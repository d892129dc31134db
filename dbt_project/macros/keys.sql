{#- 128-bit key of the given SQL expressions, in order. Native ids come last, after brand, platform
    and shop, which cannot contain the separator: no two records share the hashed text.
    A null part counts as empty text, so that the key itself is never null. -#}
{% macro generate_key(parts) -%}
    {{ adapter.dispatch('generate_key', 'regulars')(parts) }}
{%- endmacro %}

{% macro default__generate_key(parts) -%}
    cast(md5(
        {%- for part in parts -%}
            coalesce(cast({{ part }} as varchar), ''){{ " || '|' || " if not loop.last }}
        {%- endfor -%}
    ) as uuid)
{%- endmacro %}

{#- Key of a native id at a shop; ``columns`` names the alias that carries brand, platform, shop. -#}
{% macro shop_key(native_id, columns='') -%}
    {%- set prefix = columns ~ '.' if columns else '' -%}
    {{ generate_key([prefix ~ 'brand', prefix ~ 'platform', prefix ~ 'shop', native_id]) }}
{%- endmacro %}

{#- The recorded key of the member that a customer founds. It is derived from the customer's key but
    differs from it, so that joining facts to members without the bridge finds nothing. -#}
{% macro founded_member_key(customer_key) -%}
    {{ generate_key(["'member'", customer_key]) }}
{%- endmacro %}

{#- Orders the versions of a record, newest last (law 4): modification time, rank of the source,
    time and place of extraction. A version without a modification time is older than any with one.
    Rows of one batch that differ in their line alone are one version: some sources write a row for
    each line of an order. -#}
{% macro version_order(source_rank, alias='', modified_at='modified_at') -%}
    {%- set prefix = alias ~ '.' if alias else '' -%}
    {{ ordering([
        "coalesce(" ~ prefix ~ modified_at ~ ", timestamp '1970-01-01 00:00:00')",
        source_rank,
        prefix ~ '_extracted_at',
        prefix ~ '_batch_id',
    ]) }}
{%- endmacro %}

{#- The same order for a window, newest first. -#}
{% macro newest_first(alias='') -%}
    {%- set prefix = alias ~ '.' if alias else '' -%}
    {{ prefix }}modified_at desc nulls last,
    {{ prefix }}source_rank desc nulls last,
    {{ prefix }}_extracted_at desc nulls last,
    {{ prefix }}_batch_id desc nulls last,
    {{ prefix }}_line desc nulls last
{%- endmacro %}

{#- Number of a line within a version of its order, for sources that tell a record of an order with
    its lines in any order: their ids, as numbers, give every version the same line numbers. -#}
{% macro line_no_by_id() -%}
    row_number() over (
        partition by _batch_id, _line
        order by
            length(line_id) asc nulls last,
            line_id asc nulls last,
            product_id asc nulls last
    )
{%- endmacro %}
