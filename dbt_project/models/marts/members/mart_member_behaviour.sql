{#- Nothing here changes without an event of the member's; an order leaving the window is one. -#}
{{ config(meta={'touched_relation': 'int_members__touched', 'touched_key': 'member_key'}) }}

with identities as (
    select *
    from {{ ref('dim_member_identities') }}
    where {{ only_touched('member_key', 'int_members__touched') }}
),

run as (
    select
        as_of_date,
        {{ add_days('as_of_date', '-' ~ parameter('rfm_window_days', 'integer')) }}
            as window_after_date
    from {{ source('ops', 'run') }}
),

run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

rules as (
    select
        {%- for name in [
            'full_price_discount_share', 'discounted_order_share', 'loyalty_high_full_price_share',
            'loyalty_price_discount_share', 'loyalty_inertia_gap_variation',
            'loyalty_inertia_group_share', 'refund_service_cost', 'contact_service_cost',
            'good_full_price_share', 'good_max_demand_share', 'costly_cost_share',
        ] %}
            {{ lifecycle_parameter(name, 'decimal(9, 4)') }} as {{ name }},
        {%- endfor %}
        {%- for name in [
            'loyalty_min_orders', 'loyalty_high_min_reviews', 'good_min_orders',
            'costly_min_demands',
        ] %}
            {{ lifecycle_parameter(name, 'integer') }} as {{ name }},
        {%- endfor %}
        {{ lifecycle_parameter('costly_max_groups', 'integer') }} as costly_max_groups
),

orders as (
    select
        identities.member_key,
        identities.brand,
        orders.order_key,
        orders.currency,
        orders.paid_date,
        orders.net_amount,
        orders.is_valid_order,
        orders.refunded_amount > 0 as is_refunded,
        orders.is_valid_order and orders.paid_date > run.window_after_date as is_in_window,
        orders.discounted_line_count > 0
        or (
            orders.discount_amount > 0
            and orders.discount_amount >= orders.goods_amount * rules.discounted_order_share
        ) as is_discounted,
        orders.discounted_line_count = 0
        and orders.discount_amount <= orders.goods_amount * rules.full_price_discount_share
        and (
            orders.discount_amount = 0
            or orders.discount_amount < orders.goods_amount * rules.full_price_discount_share
        ) as is_full_price,
        {{ ordering(['orders.paid_at', 'orders.order_key']) }} as sequence
    from {{ ref('fct_orders') }} as orders
    inner join identities
        on orders.customer_key = identities.customer_key
    cross join run
    cross join rules
    where
        orders.is_paid
        and {{ is_countable_order('orders') }}
),

-- Currency, money and the window's orders are those that the scores of the member are made of.
order_values as (
    select *
    from {{ ref('int_rfm__member_values') }}
    where {{ only_touched('member_key', 'int_members__touched') }}
),

bought as (
    select
        orders.member_key,
        orders.brand,
        max_by(orders.currency, orders.sequence) as newest_currency,
        min_by(orders.order_key, orders.sequence) filter (where orders.is_valid_order)
            as first_order_key,
        min_by(orders.currency, orders.sequence) filter (where orders.is_valid_order)
            as first_order_currency,
        min_by(orders.net_amount, orders.sequence) filter (where orders.is_valid_order)
            as first_order_net_amount,
        coalesce(
            min_by(orders.is_full_price, orders.sequence) filter (where orders.is_valid_order),
            false
        ) as is_first_order_full_price,
        count(*) as paid_order_count,
        count(*) filter (where orders.is_refunded) as refunded_order_count,
        count(*) filter (where orders.is_in_window and orders.is_discounted)
            as discounted_order_count,
        count(*) filter (where orders.is_in_window and orders.is_full_price)
            as full_price_order_count
    from orders
    group by orders.member_key, orders.brand
),

purchase_days as (
    select
        member_key,
        paid_date,
        count(*) as order_count,
        max(case when is_in_window then 1 else 0 end) as window_mark
    from orders
    where is_valid_order
    group by member_key, paid_date
),

day_gaps as (
    select
        member_key,
        paid_date,
        order_count,
        row_number() over days as position,
        {{ days_between('lag(paid_date) over days', 'paid_date') }} as gap_days,
        -- A gap lies in the window when both of its ends do.
        lag(window_mark) over days = 1 as is_in_window
    from purchase_days
    window days as (partition by member_key order by paid_date asc nulls last)
),

gaps as (
    select
        member_key,
        min(paid_date) as first_order_date,
        min(paid_date) filter (
            where
            position = 2
            -- Where the orders of a day are not one purchase, the second may be of the same day.
            or (
                position = 1
                and order_count > 1
                and {{ parameter('same_day_merge', 'varchar') }} = 'no'
            )
        ) as second_order_date,
        count(gap_days) as gap_count,
        {{ quantile('gap_days', 0.8) }} as gap_p80_days,
        count(gap_days) filter (where is_in_window) as window_gap_count,
        sum(gap_days) filter (where is_in_window) as window_gap_sum,
        sum(gap_days * gap_days) filter (where is_in_window) as window_gap_square_sum
    from day_gaps
    group by member_key
),

group_counts as (
    select
        purchases.member_key,
        purchases.product_group,
        count(*) filter (where purchases.purchase_date > run.window_after_date) as purchase_count
    from {{ ref('int_members__product_purchases') }} as purchases
    cross join run
    where {{ only_touched('purchases.member_key', 'int_members__touched') }}
    group by purchases.member_key, purchases.product_group
),

product_groups as (
    select
        member_key,
        count(*) as product_group_count,
        sum(purchase_count) as purchase_count,
        max(purchase_count) as top_group_purchase_count
    from group_counts
    group by member_key
),

contacts as (
    select
        identities.member_key,
        count(*) as contact_count
    from {{ ref('int_customers__agent_contacts') }} as contacts
    inner join identities
        on contacts.customer_key = identities.customer_key
    inner join run_shops
        on
            contacts.brand = run_shops.brand
            and contacts.platform = run_shops.platform
            and contacts.shop = run_shops.shop
    where contacts.contacted_at < run_shops.visible_until
    group by identities.member_key
),

advocacy as (
    select *
    from {{ ref('int_members__advocacy') }}
    where {{ only_touched('member_key', 'int_members__touched') }}
),

measured as (
    select
        bought.*,
        rules.*,
        -- Who has no valid order has no currency there: the newest order names it.
        coalesce(order_values.currency, bought.newest_currency) as currency,
        coalesce(order_values.lifetime_net_amount, 0) as lifetime_net_amount,
        coalesce(order_values.window_order_count, 0) as window_order_count,
        gaps.first_order_date,
        gaps.second_order_date,
        coalesce(gaps.gap_count, 0) as gap_count,
        gaps.gap_p80_days,
        coalesce(gaps.window_gap_count, 0) as window_gap_count,
        coalesce(gaps.window_gap_sum, 0) as window_gap_sum,
        coalesce(gaps.window_gap_square_sum, 0) as window_gap_square_sum,
        coalesce(product_groups.product_group_count, 0) as product_group_count,
        coalesce(product_groups.purchase_count, 0) as purchase_count,
        coalesce(product_groups.top_group_purchase_count, 0) as top_group_purchase_count,
        coalesce(contacts.contact_count, 0) as contact_count,
        bought.refunded_order_count + coalesce(contacts.contact_count, 0) as demand_count,
        coalesce(advocacy.advocacy_count, 0) as advocacy_count,
        coalesce(
            advocacy.referral_count >= 1
            or advocacy.share_count >= 1
            or advocacy.review_count >= rules.loyalty_high_min_reviews,
            false
        ) as speaks_for_the_shop,
        bought.refunded_order_count * rules.refund_service_cost
        + coalesce(contacts.contact_count, 0) * rules.contact_service_cost as service_cost
    from bought
    cross join rules
    left join order_values on bought.member_key = order_values.member_key
    left join gaps on bought.member_key = gaps.member_key
    left join product_groups on bought.member_key = product_groups.member_key
    left join contacts on bought.member_key = contacts.member_key
    left join advocacy on bought.member_key = advocacy.member_key
),

-- Shares are compared by multiplication: exact. The variation of the gaps is that of all of them,
-- (n sum of squares - square of sum) by square of sum, against the bound squared.
typed as (
    select
        *,
        case
            when window_order_count < loyalty_min_orders then 'na'
            when
                speaks_for_the_shop
                and full_price_order_count >= loyalty_high_full_price_share * window_order_count
                then 'high'
            when discounted_order_count >= loyalty_price_discount_share * window_order_count
                then 'price'
            when
                window_gap_count >= 2
                and window_gap_count * window_gap_square_sum - window_gap_sum * window_gap_sum
                <= loyalty_inertia_gap_variation * loyalty_inertia_gap_variation
                * window_gap_sum * window_gap_sum
                and top_group_purchase_count >= loyalty_inertia_group_share * purchase_count
                and purchase_count > 0
                and advocacy_count = 0
                then 'inertia'
            else 'mixed'
        end as loyalty_type,
        case
            when
                window_order_count >= good_min_orders
                and full_price_order_count >= good_full_price_share * window_order_count
                and demand_count <= good_max_demand_share * paid_order_count
                then 'good'
            when
                demand_count >= costly_min_demands
                and product_group_count <= costly_max_groups
                and service_cost >= costly_cost_share * lifetime_net_amount
                then 'costly'
            else 'ordinary'
        end as member_quality
    from measured
)

select
    typed.member_key,
    typed.brand,
    typed.currency,
    typed.first_order_key,
    typed.first_order_date,
    typed.second_order_date,
    typed.first_order_currency,
    typed.first_order_net_amount,
    typed.is_first_order_full_price,
    cast(typed.paid_order_count as integer) as paid_order_count,
    cast(typed.refunded_order_count as integer) as refunded_order_count,
    cast(typed.contact_count as integer) as contact_count,
    cast(typed.service_cost as decimal(18, 2)) as service_cost_amount,
    cast(typed.lifetime_net_amount as decimal(18, 2)) as lifetime_net_amount,
    cast(typed.product_group_count as integer) as product_group_count,
    cast(typed.window_order_count as integer) as window_order_count,
    cast(typed.discounted_order_count as integer) as discounted_order_count,
    cast(typed.full_price_order_count as integer) as full_price_order_count,
    cast(typed.gap_count as integer) as gap_count,
    -- Interpolated in binary: 24.000000000000004 days are 24.
    cast(ceil(round(typed.gap_p80_days, 6)) as integer) as gap_p80_days,
    typed.speaks_for_the_shop as is_recommending,
    typed.loyalty_type,
    types.label_zh as loyalty_type_zh,
    typed.member_quality
from typed
inner join {{ ref('loyalty_types') }} as types
    on typed.loyalty_type = types.loyalty_type
