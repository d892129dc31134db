{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'jd_jos__orders') }}
    where {{ only_pending_batches() }}
),

coupons as (
    select
        _batch_id,
        _line,
        {{ explode('coupondetaillist') }} as coupon
    from records
),

coupon_sums as (
    select
        coupons._batch_id,
        coupons._line,
        coupons.coupon.skuid as sku_id,
        -- Only the discount of a single article (30) names its line.
        sum(
            case
                when coupons.coupon.coupontype = '30' or coupons.coupon.coupontype like '30-%'
                    then {{ parse_amount('coupons.coupon.couponprice') }}
            end
        ) as article_discount,
        sum(
            case
                when coupons.coupon.coupontype = '52' or coupons.coupon.coupontype like '52-%'
                    then {{ parse_amount('coupons.coupon.couponprice') }}
            end
        ) as gift_card_amount
    from coupons
    group by coupons._batch_id, coupons._line, coupons.coupon.skuid
),

gift_cards as (
    select
        _batch_id,
        _line,
        sum(gift_card_amount) as gift_card_amount
    from coupon_sums
    group by _batch_id, _line
),

-- What the goods of an order cost the buyer: see stg_jd_jos__orders for how the money adds up.
orders as (
    select
        records._brand as brand,
        records._platform as platform,
        records._shop as shop,
        records.orderid as order_id,
        coalesce(
            {{ parse_instant('records.modified', "'Asia/Shanghai'") }},
            {{ parse_instant('records.orderstarttime', "'Asia/Shanghai'") }}
        ) as modified_at,
        coalesce({{ parse_amount('records.freightprice') }}, 0)
        + coalesce({{ parse_amount('records.servicefee') }}, 0)
        + coalesce({{ parse_amount('records.taxfee') }}, 0) as charged_amount,
        {{ parse_amount('records.orderpayment') }}
        + coalesce({{ parse_amount('records.balanceused') }}, 0)
        + coalesce(gift_cards.gift_card_amount, 0) as paid_amount,
        records._batch_id,
        records._line,
        records._extracted_at,
        records.iteminfolist
    from records
    left join gift_cards
        on records._batch_id = gift_cards._batch_id and records._line = gift_cards._line
),

exploded as (
    select
        brand,
        platform,
        shop,
        order_id,
        modified_at,
        cast(paid_amount - least(charged_amount, paid_amount) as decimal(18, 2)) as goods_paid,
        _batch_id,
        _line,
        _extracted_at,
        {{ explode('iteminfolist') }} as item
    from orders
),

parsed as (
    select
        exploded.brand,
        exploded.platform,
        exploded.shop,
        exploded.order_id,
        exploded.modified_at,
        exploded.goods_paid,
        exploded.item.skuid as sku_id,
        coalesce(exploded.item.wareid, exploded.item.skuid, 'unknown') as product_id,
        exploded.item.skuname as title,
        {{ parse_quantity('exploded.item.itemtotal') }} as quantity,
        {{ parse_amount('exploded.item.jdprice') }} as list_price,
        exploded._batch_id,
        exploded._line,
        exploded._extracted_at
    from exploded
),

-- Lines have no id of their own and come in any order; an article that stands twice (bought, and
-- added as a gift) is told apart by its price.
numbered as (
    select
        *,
        row_number() over (
            partition by _batch_id, _line
            order by
                length(sku_id) asc nulls last,
                sku_id asc nulls last,
                list_price desc nulls last,
                quantity desc nulls last,
                product_id asc nulls last,
                title asc nulls last
        ) as line_no,
        row_number() over (
            partition by _batch_id, _line, sku_id
            order by
                list_price desc nulls last,
                quantity desc nulls last,
                product_id asc nulls last,
                title asc nulls last
        ) as place_of_article,
        count(*) over (partition by _batch_id, _line) as line_count,
        cast(coalesce(list_price, 0) * coalesce(quantity, 0) as decimal(18, 2)) as goods_amount
    from parsed
),

weighed as (
    select
        numbered.*,
        greatest(
            numbered.goods_amount - coalesce(coupon_sums.article_discount, 0), 0
        ) as discounted_amount
    from numbered
    left join coupon_sums
        on
            numbered._batch_id = coupon_sums._batch_id
            and numbered._line = coupon_sums._line
            and numbered.sku_id = coupon_sums.sku_id
            and numbered.place_of_article = 1
),

added_up as (
    select
        *,
        cast(sum(discounted_amount) over (
            partition by _batch_id, _line
            order by line_no asc nulls last
            rows between unbounded preceding and current row
        ) as decimal(18, 2)) as running_amount,
        cast(
            sum(discounted_amount) over (partition by _batch_id, _line) as decimal(18, 2)
        ) as whole_amount
    from weighed
),

-- The platform does not share an order's payment among its lines: each line bears the part of what
-- is left of it after its own discount. Rounded sums up to a line, less the sum up to the line
-- before it, add up to the order to the fen. Gifts alone share equally.
shared as (
    select
        *,
        coalesce(
            {{ prorate('goods_paid', 'running_amount', 'whole_amount') }},
            {{ prorate('goods_paid', 'line_no', 'line_count') }}
        ) as paid_so_far
    from added_up
),

paid as (
    select
        *,
        cast(
            paid_so_far - coalesce(
                lag(paid_so_far) over (
                    partition by _batch_id, _line order by line_no asc nulls last
                ),
                0
            ) as decimal(18, 2)
        ) as paid_amount
    from shared
)

select
    {{ shop_key('order_id') }} as order_key,
    cast(line_no as integer) as line_no,
    -- After-sales services name the article.
    sku_id as line_id,
    {{ shop_key('product_id') }} as product_key,
    product_id,
    sku_id,
    title,
    quantity,
    list_price,
    goods_amount,
    cast(goods_amount - paid_amount as decimal(18, 2)) as discount_amount,
    paid_amount,
    cast(null as varchar) as coupon_id,
    cast(null as varchar) as campaign_id,
    modified_at,
    'jd_jos' as record_source,
    _batch_id,
    _line,
    _extracted_at
from paid
