{{ config(materialized='view') }}

with brand_shops as (
    select
        brand,
        max(visible_until) as visible_until
    from {{ source('ops', 'run_shops') }}
    group by brand
)

-- As they were recorded, which an erasure leaves: what a person took is still gone, and offers to
-- others stay what they were.
select
    redemptions.brand,
    redemptions.gift,
    count(*) as taken_count
from {{ source('raw', 'state__point_redemptions') }} as redemptions
inner join brand_shops
    on
        redemptions.brand = brand_shops.brand
        and redemptions.redeemed_at < brand_shops.visible_until
group by redemptions.brand, redemptions.gift
