{#- A view: read by the model beside it alone, and by nothing on a first night. -#}
{{ config(materialized='view') }}

-- Whose orders are worth another margin tonight: everybody touched, and whoever bought a product
-- whose cost the pending records change.
with pending_batches as (
    select * from {{ source('ops', 'pending_batches') }}
),

product_records as (
    select
        product_key,
        coalesce(cast(cost_amount as varchar), 'unknown') as cost,
        _batch_id not in (select pending_batches.batch_id from pending_batches) as is_known,
        {{ ordering([
            "coalesce(modified_at, timestamp '1970-01-01 00:00:00')",
            '_extracted_at',
            '_batch_id',
            '_line',
        ]) }} as version
    from {{ ref('stg_file__products') }}
),

recosted_products as (
    select product_key
    from product_records
    group by product_key
    having
        max_by(cost, version)
        <> coalesce(max_by(cost, version) filter (where is_known), 'unknown')
)

select touched.member_key
from {{ ref('int_members__touched') }} as touched
union
select identities.member_key
from {{ ref('fct_order_lines') }} as lines
inner join {{ ref('dim_member_identities') }} as identities
    on lines.customer_key = identities.customer_key
where
    lines.product_key in (select recosted.product_key from recosted_products as recosted)
