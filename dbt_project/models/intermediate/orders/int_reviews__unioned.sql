{{ config(materialized='view') }}

-- One select for each source that has a folder below models/staging: see macros/staged.sql.
{% for model in staged('reviews') %}
    select
        brand,
        platform,
        shop,
        review_key,
        review_id,
        order_key,
        order_id,
        customer_key,
        buyer_id,
        product_key,
        product_id,
        result,
        content,
        photo_count,
        created_at,
        record_source,
        _batch_id,
        _line,
        _extracted_at
    from {{ ref(model) }}
    {{ 'union all' if not loop.last }}
{% endfor %}
