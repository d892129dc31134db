{{ config(materialized='view') }}

-- One select for each source that has a folder below models/staging: see macros/staged.sql.
{% for model in staged('order_lines') %}
    select
        order_key,
        line_no,
        line_id,
        product_key,
        product_id,
        sku_id,
        title,
        quantity,
        list_price,
        goods_amount,
        discount_amount,
        paid_amount,
        coupon_id,
        campaign_id,
        modified_at,
        record_source,
        _batch_id,
        _line,
        _extracted_at
    from {{ ref(model) }}
    {{ 'union all' if not loop.last }}
{% endfor %}
