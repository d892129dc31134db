{{ config(meta={
    'touched_relation': 'int_customers__touched',
    'touched_key': 'customer_key',
    'propagates': {'members': 'member_key'},
}) }}

with run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

-- Every record that names a buyer proves the customer from its own instant on.
mentions as (
    select customer_key, brand, platform, shop, buyer_id, created_at as happened_at
    from {{ ref('int_orders__current') }}
    where {{ only_touched('customer_key', 'int_customers__touched') }}
    union all
    select customer_key, brand, platform, shop, buyer_id, enrolled_at as happened_at
    from {{ ref('stg_file__members') }}
    where {{ only_touched('customer_key', 'int_customers__touched') }}
    union all
    select customer_key, brand, platform, shop, buyer_id, created_at as happened_at
    from {{ ref('int_reviews__unioned') }}
    where customer_key is not null and {{ only_touched('customer_key', 'int_customers__touched') }}
    union all
    select customer_key, brand, platform, shop, buyer_id, occurred_at as happened_at
    from {{ ref('stg_file__interactions') }}
    where {{ only_touched('customer_key', 'int_customers__touched') }}
    union all
    select customer_key, brand, platform, shop, buyer_id, sent_at as happened_at
    from {{ ref('stg_file__sends') }}
    where {{ only_touched('customer_key', 'int_customers__touched') }}
    union all
    select customer_key, brand, platform, shop, buyer_id, occurred_at as happened_at
    from {{ ref('stg_file__coupon_events') }}
    where customer_key is not null and {{ only_touched('customer_key', 'int_customers__touched') }}
),

-- A record without an instant (a member file may leave out enrolled_at) shows at once.
visible as (
    select
        mentions.customer_key,
        mentions.brand,
        mentions.platform,
        mentions.shop,
        mentions.buyer_id
    from mentions
    inner join run_shops
        on
            mentions.brand = run_shops.brand
            and mentions.platform = run_shops.platform
            and mentions.shop = run_shops.shop
    where mentions.happened_at is null or mentions.happened_at < run_shops.visible_until
    group by
        mentions.customer_key,
        mentions.brand,
        mentions.platform,
        mentions.shop,
        mentions.buyer_id
),

-- A correction of the file that is dated after the business date is not known yet.
newest_members as (
    select
        members.customer_key,
        members.is_employee
    from {{ ref('stg_file__members') }} as members
    inner join run_shops
        on
            members.brand = run_shops.brand
            and members.platform = run_shops.platform
            and members.shop = run_shops.shop
    where
        coalesce(
            coalesce(members.modified_at, members.enrolled_at) < run_shops.visible_until, true
        )
        and {{ only_touched('members.customer_key', 'int_customers__touched') }}
    qualify
        row_number() over (
            partition by members.customer_key
            order by
                members.modified_at desc nulls last,
                members._extracted_at desc nulls last,
                members._batch_id desc nulls last,
                members._line desc nulls last
        ) = 1
)

select
    visible.customer_key,
    {{ founded_member_key('visible.customer_key') }} as member_key,
    visible.brand,
    visible.platform,
    visible.shop,
    visible.buyer_id,
    coalesce(newest_members.is_employee, false) as is_employee
from visible
left join newest_members on visible.customer_key = newest_members.customer_key
