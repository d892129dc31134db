-- A shop's day has every group once, and they add up to the total.
select
    'mart_shop_daily: the groups of a day do not add up' as violation,
    count(*) as violation_count
from (
    select
        brand,
        platform,
        shop,
        day_date
    from {{ ref('mart_shop_daily') }}
    group by brand, platform, shop, day_date
    having
        count(*) <> 5
        or count(distinct customer_group) <> 5
        or 2 * sum(case when customer_group = 'total' then member_count else 0 end) <> sum(member_count)
        or 2 * sum(case when customer_group = 'total' then order_count else 0 end) <> sum(order_count)
        or 2 * sum(case when customer_group = 'total' then paid_amount else 0 end) <> sum(paid_amount)
) as broken_days
having count(*) > 0
