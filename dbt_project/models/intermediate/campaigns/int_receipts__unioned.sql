{{ config(materialized='view') }}

-- One select for each source that has a folder below models/staging: see macros/staged.sql.
{% for model in staged('receipts') %}
    select
        brand,
        platform,
        shop,
        receipt_key,
        receipt_id,
        send_key,
        send_id,
        event,
        occurred_at,
        code,
        record_source,
        _batch_id,
        _line,
        _extracted_at
    from {{ ref(model) }}
    {{ 'union all' if not loop.last }}
{% endfor %}
