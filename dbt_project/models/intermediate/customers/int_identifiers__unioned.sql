{{ config(materialized='view') }}

-- Optional: a source that knows further ids of an order's buyer has stg_<source>__identifiers.
{% for model in staged('identifiers', is_required=false) %}
    select
        brand,
        platform,
        shop,
        order_key,
        field,
        native_id,
        seen_at,
        record_source,
        _batch_id,
        _line,
        _extracted_at
    from {{ ref(model) }}
    {{ 'union all' if not loop.last }}
{% else %}
    select
        cast(null as varchar) as brand,
        cast(null as varchar) as platform,
        cast(null as varchar) as shop,
        cast(null as uuid) as order_key,
        cast(null as varchar) as field,
        cast(null as varchar) as native_id,
        cast(null as timestamp) as seen_at,
        cast(null as varchar) as record_source,
        cast(null as varchar) as _batch_id,
        cast(null as bigint) as _line,
        cast(null as timestamp) as _extracted_at
    where false
{% endfor %}
