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
        or 2 * sum(member_count) filter (where customer_group = 'total') <> sum(member_count)
        or 2 * sum(order_count) filter (where customer_group = 'total') <> sum(order_count)
        or 2 * sum(buyer_count) filter (where customer_group = 'total') <> sum(buyer_count)
        or 2 * sum(paid_amount) filter (where customer_group = 'total') <> sum(paid_amount)
        or 2 * sum(refunded_amount) filter (where customer_group = 'total') <> sum(refunded_amount)
) as broken_days
having count(*) > 0
