{{ config(materialized='table') }}

with run as (
    select * from {{ source('ops', 'run') }}
),

pending_batches as (
    select * from {{ source('ops', 'pending_batches') }}
),

-- Products of touched orders, as int_order_lines__current hands them on.
touched as (
    select key as product_key
    from {{ source('ops', 'touched_keys') }}
    where subject = 'products'
    union all
    select product_key
    from {{ ref('stg_file__products') }}
    where _batch_id in (select pending_batches.batch_id from pending_batches)
    union all
    select lines.product_key
    from {{ ref('int_order_lines__current') }} as lines
    cross join run
    where run.previous_as_of_date is null
    union all
    select products.product_key
    from {{ ref('stg_file__products') }} as products
    cross join run
    where run.previous_as_of_date is null
)

select product_key
from touched
group by product_key
