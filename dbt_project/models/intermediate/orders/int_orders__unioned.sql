{{ config(materialized='view') }}

-- One select for each source that has a folder below models/staging: see macros/staged.sql.
{% for model in staged('orders') %}
    select
        brand,
        platform,
        shop,
        order_key,
        order_id,
        customer_key,
        buyer_id,
        native_status,
        status_set,
        created_at,
        paid_at,
        shipped_at,
        signed_at,
        ended_at,
        finished_at,
        closed_at,
        modified_at,
        currency,
        goods_amount,
        discount_amount,
        shipping_amount,
        paid_amount,
        store_id,
        channel,
        has_store_fields,
        is_gift,
        is_test,
        payer_phone_ref,
        payer_phone_hash,
        payer_phone_masked,
        receiver_phone_ref,
        receiver_phone_hash,
        receiver_phone_masked,
        addressee_ref,
        record_source,
        _batch_id,
        _line,
        _extracted_at
    from {{ ref(model) }}
    {{ 'union all' if not loop.last }}
{% endfor %}
