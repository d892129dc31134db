{{ config(meta={'touched_relation': 'int_products__touched', 'touched_key': 'product_key'}) }}

select
    product_key,
    brand,
    platform,
    shop,
    product_id,
    title,
    product_group,
    category,
    brand_name,
    cost_amount,
    list_price,
    cycle_days,
    repurchase,
    _batch_id,
    _line
from {{ ref('stg_file__products') }}
where {{ only_touched('product_key', 'int_products__touched') }}
qualify
    row_number() over (
        partition by product_key
        order by
            modified_at desc nulls last,
            _extracted_at desc nulls last,
            _batch_id desc nulls last,
            _line desc nulls last
    ) = 1
