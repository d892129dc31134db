{{ config(meta={
    'touched_relation': 'int_orders__touched',
    'touched_key': 'order_key',
    'propagates': {'products': 'product_key'},
}) }}

with source_ranks as (
    select * from {{ ref('source_ranks') }}
),

-- A line without a modification time of its own is as young as its order in the files.
file_orders as (
    select order_key, max(modified_at) as modified_at
    from {{ ref('stg_file__orders') }}
    where {{ only_touched('order_key', 'int_orders__touched') }}
    group by order_key
),

versions as (
    select
        order_key, line_no, brand, platform, shop, line_id, product_id, sku_id, title, quantity,
        list_price, goods_amount, discount_amount, paid_amount, coupon_id, campaign_id,
        modified_at, record_source, _batch_id, _line, _extracted_at
    from {{ ref('stg_taobao_top__order_lines') }}
    where {{ only_touched('order_key', 'int_orders__touched') }}
    union all
    select
        lines.order_key, lines.line_no, lines.brand, lines.platform, lines.shop, lines.line_id,
        lines.product_id, lines.sku_id, lines.title, lines.quantity, lines.list_price,
        lines.goods_amount, lines.discount_amount, lines.paid_amount, lines.coupon_id,
        lines.campaign_id, coalesce(lines.modified_at, file_orders.modified_at) as modified_at,
        lines.record_source, lines._batch_id, lines._line, lines._extracted_at
    from {{ ref('stg_file__order_lines') }} as lines
    left join file_orders on lines.order_key = file_orders.order_key
    where {{ only_touched('lines.order_key', 'int_orders__touched') }}
),

ranked as (
    select
        versions.*,
        source_ranks.source_rank,
        coalesce(source_ranks.delivers_all_lines, false) as delivers_all_lines
    from versions
    left join source_ranks on versions.record_source = source_ranks.record_source
),

newest as (
    select *
    from ranked
    qualify
        row_number() over (partition by order_key, line_no order by {{ newest_first() }}) = 1
),

-- The newest version that listed all lines of its order: what it did not list is gone.
complete_lists as (
    select
        order_key,
        max({{ version_order('source_rank') }}) as listed_by
    from ranked
    where delivers_all_lines
    group by order_key
),

current_lines as (
    select newest.*
    from newest
    left join complete_lists on newest.order_key = complete_lists.order_key
    where
        complete_lists.listed_by is null
        or {{ version_order('newest.source_rank', 'newest') }} >= complete_lists.listed_by
),

-- Platforms do not name the campaign a coupon came from; what a file told of the line stays.
newest_coupons as (
    select
        order_key,
        coalesce(line_id, cast(line_no as varchar)) as line_name,
        coupon_id,
        campaign_id
    from ranked
    where coalesce(coupon_id, campaign_id) is not null
    qualify
        row_number() over (
            partition by order_key, coalesce(line_id, cast(line_no as varchar))
            order by {{ newest_first() }}
        ) = 1
),

completed as (
    select
        current_lines.order_key,
        current_lines.line_no,
        current_lines.brand,
        current_lines.platform,
        current_lines.shop,
        current_lines.line_id,
        coalesce(current_lines.product_id, 'unknown') as product_id,
        current_lines.sku_id,
        current_lines.title,
        cast(coalesce(current_lines.quantity, 0) as decimal(18, 3)) as quantity,
        current_lines.list_price,
        cast(coalesce(
            current_lines.goods_amount,
            current_lines.list_price * current_lines.quantity,
            current_lines.paid_amount + coalesce(current_lines.discount_amount, 0),
            0
        ) as decimal(18, 2)) as goods_amount,
        current_lines.discount_amount,
        cast(coalesce(current_lines.paid_amount, 0) as decimal(18, 2)) as payable_amount,
        coalesce(current_lines.coupon_id, newest_coupons.coupon_id) as coupon_id,
        coalesce(current_lines.campaign_id, newest_coupons.campaign_id) as campaign_id,
        current_lines.record_source,
        current_lines._batch_id,
        current_lines._line
    from current_lines
    left join newest_coupons
        on
            current_lines.order_key = newest_coupons.order_key
            and coalesce(current_lines.line_id, cast(current_lines.line_no as varchar))
            = newest_coupons.line_name
)

select
    order_key,
    line_no,
    brand,
    platform,
    shop,
    line_id,
    {{ shop_key('product_id') }} as product_key,
    product_id,
    sku_id,
    title,
    quantity,
    list_price,
    goods_amount,
    cast(coalesce(discount_amount, goods_amount - payable_amount) as decimal(18, 2))
        as discount_amount,
    payable_amount,
    coupon_id,
    campaign_id,
    record_source,
    _batch_id,
    _line
from completed
