{{ config(meta={
    'touched_relation': 'int_customers__touched',
    'touched_key': 'customer_key',
    'propagates': {'members': 'founded_member_key'},
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
    union all
    select customer_key, brand, platform, shop, buyer_id, occurred_at as happened_at
    from {{ ref('stg_file__points') }}
    where {{ only_touched('customer_key', 'int_customers__touched') }}
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
),

-- Everything that has landed of the customer, visible or not: what lands later never becomes
-- earlier, so nobody's place among others moves (ADR 0014).
records as (
    select customer_key, _extracted_at
    from {{ ref('int_orders__unioned') }}
    where
        customer_key is not null and {{ only_touched('customer_key', 'int_customers__touched') }}
    union all
    -- An order that names nobody is a customer of its own.
    select unnamed.customer_key, versions._extracted_at
    from {{ ref('int_orders__current') }} as unnamed
    inner join {{ ref('int_orders__unioned') }} as versions
        on unnamed.order_key = versions.order_key
    where
        unnamed.buyer_id = 'order:' || unnamed.order_id
        and {{ only_touched('unnamed.customer_key', 'int_customers__touched') }}
    {%- for model in [
        'stg_file__members', 'int_reviews__unioned', 'stg_file__interactions', 'stg_file__sends',
        'stg_file__coupon_events', 'stg_file__points',
    ] %}
        union all
        select customer_key, _extracted_at
        from {{ ref(model) }}
        where {{ only_touched('customer_key', 'int_customers__touched') }}
    {%- endfor %}
),

recorded as (
    select
        customer_key,
        min(_extracted_at) as first_recorded_at
    from records
    group by customer_key
)

select
    visible.customer_key,
    {{ founded_member_key('visible.customer_key') }} as founded_member_key,
    visible.brand,
    visible.platform,
    visible.shop,
    visible.buyer_id,
    starts_with(visible.buyer_id, 'order:') as is_guest,
    coalesce(newest_members.is_employee, false) as is_employee,
    recorded.first_recorded_at
from visible
left join newest_members on visible.customer_key = newest_members.customer_key
left join recorded on visible.customer_key = recorded.customer_key
