{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

{%- set order_rows = ' over (partition by _batch_id, order_id)' %}

with taobao_rows as (
    select *
    from {{ source('raw', 'exports__taobao_order_details') }}
    where {{ only_pending_batches() }}
),

jd_rows as (
    select *
    from {{ source('raw', 'exports__jd_orders') }}
    where {{ only_pending_batches() }}
),

pdd_rows as (
    select *
    from {{ source('raw', 'exports__pdd_orders') }}
    where {{ only_pending_batches() }}
),

douyin_rows as (
    select *
    from {{ source('raw', 'exports__douyin_orders') }}
    where {{ only_pending_batches() }}
),

-- The older layout has neither line ids nor article numbers nor payments: the seller's own code
-- stands for the article, and what was paid for a line stays unknown.
taobao_parsed as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        order_id,
        line_id,
        coalesce(product_id, seller_code, external_code, 'unknown') as product_id,
        coalesce(external_code, seller_code) as sku_id,
        title,
        status,
        {{ parse_quantity('quantity') }} as quantity,
        {{ parse_amount('price') }} as list_price,
        {{ listed_amount() }} as goods_amount,
        {{ parse_amount('goods_amount') }} as payable_amount,
        {{ parse_amount('paid_amount') }} as paid_amount,
        {{ parse_amount('refund_amount') }} as refund_amount,
        {{ parse_instant('created_at', "'Asia/Shanghai'") }} as created_at,
        {{ parse_instant('paid_at', "'Asia/Shanghai'") }} as paid_at,
        {{ parse_instant('shipped_at', "'Asia/Shanghai'") }} as shipped_at,
        _batch_id,
        _line,
        _extracted_at
    from taobao_rows
),

taobao_lines as (
    select
        brand,
        platform,
        shop,
        order_id,
        line_id,
        product_id,
        sku_id,
        title,
        quantity,
        list_price,
        goods_amount,
        case
            when paid_amount is not null
                then {{ paid_before_refunds(
                    'paid_amount', 'refund_amount', 'coalesce(payable_amount, goods_amount)',
                    'paid_at', 'status'
                ) }}
        end as paid_amount,
        max(greatest(created_at, paid_at, shipped_at)){{ order_rows }} as modified_at,
        _batch_id,
        _line,
        _extracted_at
    from taobao_parsed
),

jd_parsed as (
    select
        *,
        {{ parse_quantity('quantity') }} as pieces,
        {{ parse_amount('price') }} as list_price,
        {{ listed_amount() }} as goods_amount,
        {{ parse_amount('payable_amount') }} as order_payable_amount,
        {{ parse_amount('balance_amount') }} as order_balance_amount,
        {{ parse_amount('shipping_amount') }} as order_shipping_amount,
        greatest(
            {{ parse_instant('created_at', "'Asia/Shanghai'") }},
            {{ parse_instant('paid_at', "'Asia/Shanghai'") }},
            {{ parse_instant('finished_at', "'Asia/Shanghai'") }}
        ) as row_modified_at
    from jd_rows
),

jd_of_order as (
    select
        *,
        max(row_modified_at){{ order_rows }} as modified_at,
        {{ told_once('order_payable_amount', order_rows) }}
        + coalesce({{ told_once('order_balance_amount', order_rows) }}, 0) as order_paid_amount,
        {{ told_once('order_shipping_amount', order_rows) }} as order_postage_amount,
        -- A basket of free articles is shared by heads.
        case when sum(goods_amount){{ order_rows }} > 0 then goods_amount else 1 end as weight
    from jd_parsed
),

-- The platform tells no payment per line: the order's, less postage, is shared by list price. Each
-- line gets what the order has been paid up to it, less what it has been paid before it, so that
-- the shares add up to the fen.
jd_shares as (
    select
        *,
        cast(
            order_paid_amount
            - {{ paid_postage('order_postage_amount', 'order_paid_amount') }} as decimal(18, 2)
        ) as shared_amount,
        cast(sum(weight){{ order_rows }} as decimal(18, 2)) as whole_weight,
        cast(sum(weight) over (
            partition by _batch_id, order_id
            order by _line asc nulls last
            rows between unbounded preceding and current row
        ) as decimal(18, 2)) as weight_so_far
    from jd_of_order
),

jd_lines as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        order_id,
        cast(null as varchar) as line_id,
        product_id,
        product_id as sku_id,
        title,
        pieces as quantity,
        list_price,
        goods_amount,
        {{ prorate('shared_amount', 'weight_so_far', 'whole_weight') }}
        - {{ prorate('shared_amount', 'weight_so_far - weight', 'whole_weight') }} as paid_amount,
        modified_at,
        _batch_id,
        _line,
        _extracted_at
    from jd_shares
),

-- An order is its one line: what was paid less postage, in so far as that was paid.
pdd_lines as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        order_id,
        cast(null as varchar) as line_id,
        product_id,
        sku_id,
        title,
        {{ parse_quantity('quantity') }} as quantity,
        cast(null as decimal(18, 2)) as list_price,
        {{ parse_amount('goods_amount') }} as goods_amount,
        {{ parse_amount('paid_amount') }}
        - {{ paid_postage(parse_amount('shipping_amount'), parse_amount('paid_amount')) }}
            as paid_amount,
        coalesce(
            greatest(
                {{ parse_instant('dealt_at', "'Asia/Shanghai'") }},
                {{ parse_instant('paid_at', "'Asia/Shanghai'") }},
                {{ parse_instant('grouped_at', "'Asia/Shanghai'") }},
                {{ parse_instant('shipped_at', "'Asia/Shanghai'") }},
                {{ parse_instant('confirmed_at', "'Asia/Shanghai'") }}
            ),
            {{ day_of_order_number('order_id') }}
        ) as modified_at,
        _batch_id,
        _line,
        _extracted_at
    from pdd_rows
),

-- 商品金额 is the price of one piece, 订单应付金额 and 运费 are the sub-order's own.
douyin_lines as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        order_id,
        line_id,
        product_id,
        cast(null as varchar) as sku_id,
        title,
        {{ parse_quantity('quantity') }} as quantity,
        {{ parse_amount('price') }} as list_price,
        {{ listed_amount() }} as goods_amount,
        {{ parse_amount('payable_amount') }}
        - {{ paid_postage(parse_amount('shipping_amount'), parse_amount('payable_amount')) }}
            as paid_amount,
        max(greatest(
            {{ parse_instant('created_at', "'Asia/Shanghai'") }},
            {{ parse_instant('paid_at', "'Asia/Shanghai'") }},
            {{ parse_instant('shipped_at', "'Asia/Shanghai'") }},
            {{ parse_instant('finished_at', "'Asia/Shanghai'") }}
        )){{ order_rows }} as modified_at,
        _batch_id,
        _line,
        _extracted_at
    from douyin_rows
),

unioned as (
    select * from taobao_lines
    union all
    select * from jd_lines
    union all
    select * from pdd_lines
    union all
    select * from douyin_lines
),

-- Line ids as numbers where there are any, else articles, give every export the same line numbers,
-- however its rows are sorted; an export lists all lines of an order.
numbered as (
    select
        *,
        row_number() over (
            partition by _batch_id, order_id
            order by
                length(line_id) asc nulls last,
                line_id asc nulls last,
                length(product_id) asc nulls last,
                product_id asc nulls last,
                sku_id asc nulls last,
                title asc nulls last,
                _line asc nulls last
        ) as line_no
    from unioned
)

select
    {{ shop_key('order_id') }} as order_key,
    cast(line_no as integer) as line_no,
    line_id,
    {{ shop_key('product_id') }} as product_key,
    product_id,
    sku_id,
    title,
    quantity,
    list_price,
    goods_amount,
    cast(goods_amount - paid_amount as decimal(18, 2)) as discount_amount,
    cast(paid_amount as decimal(18, 2)) as paid_amount,
    cast(null as varchar) as coupon_id,
    cast(null as varchar) as campaign_id,
    modified_at,
    'exports' as record_source,
    _batch_id,
    _line,
    _extracted_at
from numbered
