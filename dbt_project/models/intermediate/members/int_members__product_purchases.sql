{{ config(meta={'touched_relation': 'int_members__touched', 'touched_key': 'member_key'}) }}

with identities as (
    select *
    from {{ ref('dim_member_identities') }}
    where {{ only_touched('member_key', 'int_members__touched') }}
),

products as (
    select
        products.product_key,
        {{ cycle_group('products') }} as product_group,
        products.repurchase <> 'none' as is_repurchasable
    from {{ ref('dim_products') }} as products
),

run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

-- What is used up begins to be when it has arrived.
orders as (
    select
        identities.member_key,
        identities.brand,
        orders.order_key,
        orders.customer_key,
        orders.paid_date,
        coalesce(
            {{ to_local_date('orders.signed_at', 'run_shops.zone') }}, orders.paid_date
        ) as started_date
    from {{ ref('fct_orders') }} as orders
    inner join identities
        on orders.customer_key = identities.customer_key
    inner join run_shops
        on
            orders.brand = run_shops.brand
            and orders.platform = run_shops.platform
            and orders.shop = run_shops.shop
    where orders.is_valid_order
),

-- What was given back in full is not consumed.
lines as (
    select *
    from {{ ref('fct_order_lines') }}
    where
        customer_key in (select identities.customer_key from identities)
        and (refunded_amount < paid_amount or paid_amount = 0)
),

purchases as (
    select
        orders.member_key,
        orders.brand,
        products.product_group,
        products.is_repurchasable,
        orders.paid_date as purchase_date,
        min(orders.order_key) as order_key,
        max(orders.started_date) as started_date,
        sum(lines.quantity) as quantity,
        sum(lines.paid_amount) as paid_amount
    from orders
    inner join lines
        on orders.order_key = lines.order_key
    inner join products
        on lines.product_key = products.product_key
    group by
        orders.member_key,
        orders.brand,
        products.product_group,
        products.is_repurchasable,
        orders.paid_date,
        case when {{ parameter('same_day_merge', 'varchar') }} = 'no' then orders.order_key end
)

select
    member_key,
    brand,
    product_group,
    is_repurchasable,
    purchase_date,
    order_key,
    started_date,
    cast(quantity as decimal(18, 3)) as quantity,
    cast(paid_amount as decimal(18, 2)) as paid_amount,
    cast(
        {{ days_between('purchase_date', 'lead(purchase_date) over of_group') }} as integer
    ) as gap_days,
    lead(purchase_date) over of_group is null as is_last_of_group,
    -- What is to be bought again tells when its buyer is late; what is not never does.
    row_number() over (
        partition by member_key
        order by
            is_repurchasable desc nulls last,
            purchase_date desc nulls last,
            paid_amount desc nulls last,
            product_group asc nulls last,
            order_key asc nulls last
    ) = 1 as is_telling
from purchases
window of_group as (
    partition by member_key, product_group, is_repurchasable
    order by purchase_date asc nulls last, order_key asc nulls last
)
