{{ config(materialized='view') }}

-- Optional: a source that follows parcels has stg_<source>__logistics_events in its folder.
{% for model in staged('logistics_events', is_required=false) %}
    select
        brand,
        platform,
        shop,
        order_key,
        order_id,
        event,
        event_at,
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
        cast(null as varchar) as order_id,
        cast(null as varchar) as event,
        cast(null as timestamp) as event_at,
        cast(null as varchar) as record_source,
        cast(null as varchar) as _batch_id,
        cast(null as bigint) as _line,
        cast(null as timestamp) as _extracted_at
    where false
{% endfor %}
