{{ config(meta={'touched_relation': 'int_products__touched', 'touched_key': 'product_key'}) }}

with recorded as (
    select * from {{ ref('int_products__current') }}
    where {{ only_touched('product_key', 'int_products__touched') }}
),

titled as (
    select product_key
    from recorded
    where title is not null
),

-- What was sold is a product, whether or not anybody recorded it. Sales tell nothing more of a
-- product whose record has a title, so most nights look at none.
sold as (
    select
        product_key,
        brand,
        platform,
        shop,
        product_id,
        title
    from {{ ref('fct_order_lines') }}
    where
        product_key not in (select titled.product_key from titled)
    {% if is_incremental() %}
            and product_key in (
                select touched.product_key
                from {{ ref('int_products__touched') }} as touched
                where touched.product_key not in (select titled.product_key from titled)
            )
    {% endif %}
    qualify
        row_number() over (
            partition by product_key
            order by
                title is not null desc,
                created_date desc nulls last,
                order_key desc nulls last,
                line_no desc nulls last
        ) = 1
)

select
    coalesce(recorded.product_key, sold.product_key) as product_key,
    coalesce(recorded.brand, sold.brand) as brand,
    coalesce(recorded.platform, sold.platform) as platform,
    coalesce(recorded.shop, sold.shop) as shop,
    coalesce(recorded.product_id, sold.product_id) as product_id,
    coalesce(recorded.title, sold.title) as title,
    recorded.product_group,
    recorded.category,
    recorded.brand_name,
    recorded.cost_amount,
    recorded.list_price,
    recorded.cycle_days,
    coalesce(recorded.repurchase, 'yes') as repurchase,
    recorded.product_key is not null as has_product_record
from recorded
full outer join sold on recorded.product_key = sold.product_key
