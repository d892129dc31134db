{{ config(materialized='view') }}

-- One select for each source that has a folder below models/staging: see macros/staged.sql.
{% for model in staged('refunds') %}
    select
        brand,
        platform,
        shop,
        refund_key,
        refund_id,
        order_key,
        order_id,
        line_id,
        buyer_id,
        native_status,
        status_set,
        created_at,
        refunded_at,
        modified_at,
        refund_amount,
        reason,
        is_return_goods,
        record_source,
        _batch_id,
        _line,
        _extracted_at
    from {{ ref(model) }}
    {{ 'union all' if not loop.last }}
{% endfor %}
