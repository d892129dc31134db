{{ config(meta={'touched_relation': 'int_members__touched', 'touched_key': 'member_key'}) }}

with identities as (
    select *
    from {{ ref('dim_member_identities') }}
    where {{ only_touched('member_key', 'int_members__touched') }}
),

kinds as (
    select * from {{ ref('advocacy_kinds') }}
),

automatic_texts as (
    select * from {{ ref('automatic_review_texts') }}
),

run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

-- A review that was changed says what its newest version says, even if that is nothing.
newest_reviews as (
    select *
    from {{ ref('int_reviews__unioned') }}
    qualify row_number() over (
        partition by review_key
        order by _extracted_at desc nulls last, _batch_id desc nulls last, _line desc nulls last
    ) = 1
),

orders_of_members as (
    select
        orders.order_key,
        orders.customer_key
    from {{ ref('int_orders__current') }} as orders
    inner join identities
        on orders.customer_key = identities.customer_key
),

-- What the platform wrote in the buyer's place is not the buyer's word. A source that does not say
-- whose the review is means the order's buyer.
reviews as (
    select
        reviews.brand,
        reviews.platform,
        reviews.shop,
        reviews.review_key as advocacy_key,
        coalesce(reviews.customer_key, orders.customer_key) as customer_key,
        'reviews' as stream,
        coalesce(reviews.result, 'unrated') as kind,
        coalesce(reviews.photo_count > 0, false) as has_photo,
        reviews.created_at as occurred_at
    from newest_reviews as reviews
    left join orders_of_members as orders
        on reviews.order_key = orders.order_key
    where
        reviews.photo_count > 0
        or reviews.content not in (select texts.content from automatic_texts as texts)
),

interactions as (
    select
        brand,
        platform,
        shop,
        interaction_key as advocacy_key,
        customer_key,
        'interactions' as stream,
        kind,
        false as has_photo,
        occurred_at
    from {{ ref('stg_file__interactions') }}
    qualify row_number() over (
        partition by interaction_key
        order by _extracted_at desc nulls last, _batch_id desc nulls last, _line desc nulls last
    ) = 1
),

pieces as (
    select * from reviews
    union all
    select * from interactions
),

advocacy as (
    select
        identities.member_key,
        pieces.advocacy_key,
        pieces.stream,
        pieces.kind,
        pieces.has_photo,
        {{ to_local_date('pieces.occurred_at', 'run_shops.zone') }} as advocacy_date
    from pieces
    inner join identities
        on pieces.customer_key = identities.customer_key
    inner join kinds
        on
            pieces.stream = kinds.stream
            and pieces.kind = kinds.kind
            and kinds.is_advocacy
    inner join run_shops
        on
            pieces.brand = run_shops.brand
            and pieces.platform = run_shops.platform
            and pieces.shop = run_shops.shop
            and pieces.occurred_at < run_shops.visible_until
)

select
    member_key,
    min(advocacy_date) as first_advocacy_date,
    count(*) as advocacy_count,
    count(*) filter (where stream = 'reviews') as review_count,
    count(*) filter (where has_photo) as photo_review_count,
    count(*) filter (where kind = 'share') as share_count,
    count(*) filter (where kind = 'referral_ordered') as referral_count
from advocacy
group by member_key
