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
        order_key, line_no, modified_at, 'taobao_top' as record_source, _batch_id, _line,
        _extracted_at
    from {{ ref('stg_taobao_top__order_lines') }}
    where {{ only_touched('order_key', 'int_orders__touched') }}
    union all
    select
        lines.order_key, lines.line_no,
        coalesce(lines.modified_at, file_orders.modified_at) as modified_at,
        'file' as record_source, lines._batch_id, lines._line, lines._extracted_at
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

-- The newest version that listed all lines of its order: what it did not list is gone.
complete_lists as (
    select
        order_key,
        max({{ version_order('source_rank') }}) as listed_by
    from ranked
    where delivers_all_lines
    group by order_key
),

placed as (
    select
        ranked.*,
        coalesce(
            {{ version_order('ranked.source_rank', 'ranked') }} < complete_lists.listed_by, false
        ) as is_unlisted
    from ranked
    left join complete_lists on ranked.order_key = complete_lists.order_key
),

-- Nearly every line is down to one version by now; only the others are worth sorting.
contested_orders as (
    select order_key
    from (
        select order_key
        from placed
        where not is_unlisted
        group by order_key, line_no
        having count(*) > 1
    ) as contested_lines
    group by order_key
),

outdated as (
    select order_key, line_no, record_source, _batch_id, _line
    from placed
    where is_unlisted
    union all
    select order_key, line_no, record_source, _batch_id, _line
    from placed
    where
        not is_unlisted
        and order_key in (select contested_orders.order_key from contested_orders)
    qualify
        row_number() over (partition by order_key, line_no order by {{ newest_first() }}) > 1
),

-- Platforms do not name the campaign a coupon came from; what a file told of the line stays.
file_coupons as (
    select
        order_key, line_id, coupon_id, campaign_id
    from {{ ref('stg_file__order_lines') }}
    where
        line_id is not null
        and coalesce(coupon_id, campaign_id) is not null
        and order_key in (select complete_lists.order_key from complete_lists)
    qualify
        row_number() over (
            partition by order_key, line_id
            order by
                modified_at desc nulls last,
                _extracted_at desc nulls last,
                _batch_id desc nulls last,
                _line desc nulls last
        ) = 1
),

lines as (
    select
        api.order_key, api.line_no, api.line_id, api.product_key, api.product_id, api.sku_id,
        api.title, api.quantity, api.list_price, api.goods_amount, api.discount_amount,
        api.paid_amount, file_coupons.coupon_id, file_coupons.campaign_id,
        'taobao_top' as record_source, api._batch_id, api._line
    from {{ ref('stg_taobao_top__order_lines') }} as api
    left join file_coupons
        on
            api.order_key = file_coupons.order_key
            and api.line_id = file_coupons.line_id
    where {{ only_touched('api.order_key', 'int_orders__touched') }}
    union all
    select
        order_key, line_no, line_id, product_key, product_id, sku_id, title, quantity, list_price,
        goods_amount, discount_amount, paid_amount, coupon_id, campaign_id,
        'file' as record_source, _batch_id, _line
    from {{ ref('stg_file__order_lines') }}
    where {{ only_touched('order_key', 'int_orders__touched') }}
),

current_lines as (
    select
        lines.order_key,
        lines.line_no,
        lines.line_id,
        lines.product_key,
        lines.product_id,
        lines.sku_id,
        lines.title,
        cast(coalesce(lines.quantity, 0) as decimal(18, 3)) as quantity,
        lines.list_price,
        cast(coalesce(
            lines.goods_amount,
            cast(lines.list_price * lines.quantity as decimal(18, 2)),
            lines.paid_amount + coalesce(lines.discount_amount, 0),
            0
        ) as decimal(18, 2)) as goods_amount,
        lines.discount_amount,
        cast(coalesce(lines.paid_amount, 0) as decimal(18, 2)) as payable_amount,
        lines.coupon_id,
        lines.campaign_id
    from lines
    left join outdated
        on
            lines.order_key = outdated.order_key
            and lines.line_no = outdated.line_no
            and lines.record_source = outdated.record_source
            and lines._batch_id = outdated._batch_id
            and lines._line = outdated._line
    where outdated.order_key is null
)

select
    order_key,
    line_no,
    line_id,
    product_key,
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
    campaign_id
from current_lines
