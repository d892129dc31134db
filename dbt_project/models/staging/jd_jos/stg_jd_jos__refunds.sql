{{ config(meta={
    'touched_relation': 'ops.pending_batches',
    'touched_key': '_batch_id',
    'touched_column': 'batch_id',
}) }}

with records as (
    select *
    from {{ source('raw', 'jd_jos__refunds') }}
    where {{ only_pending_batches() }}
),

-- The years 1 and 1970 stand for an instant that has not come.
parsed as (
    select
        _brand as brand,
        _platform as platform,
        _shop as shop,
        serviceid as refund_id,
        orderid as order_id,
        wareid as line_id,
        -- Documented as "13 success, 14 failure, others", and no more.
        case when status in ('13', '14') then status else 'others' end as native_status,
        case
            when left(afsapplytime, 4) not in ('0001', '1970')
                then {{ parse_instant('afsapplytime', "'Asia/Shanghai'") }}
        end as created_at,
        case
            when left(approvedate, 4) not in ('0001', '1970')
                then {{ parse_instant('approvedate', "'Asia/Shanghai'") }}
        end as approved_at,
        case
            when left(completetime, 4) not in ('0001', '1970')
                then {{ parse_instant('completetime', "'Asia/Shanghai'") }}
        end as completed_at,
        {{ parse_amount('actualrefundamount') }} as actual_amount,
        {{ parse_amount('refoundamount') }} as listed_amount,
        {{ parse_amount('maxrefundamount') }} as largest_amount,
        applyreason as reason,
        _batch_id,
        _line,
        _extracted_at
    from records
)

select
    brand,
    platform,
    shop,
    {{ shop_key('refund_id') }} as refund_key,
    refund_id,
    {{ shop_key('order_id') }} as order_key,
    order_id,
    line_id,
    -- An account name is all that the platform gives here; the order knows the buyer.
    cast(null as varchar) as buyer_id,
    native_status,
    'jd' as status_set,
    created_at,
    case when native_status = '13' then completed_at end as refunded_at,
    greatest(created_at, approved_at, completed_at) as modified_at,
    -- The refund's own detail says yuan. The list's amount (misspelt refoundAmount) names no unit
    -- and is asked last of those that were paid; an open refund stands at the most it can become.
    cast(coalesce(actual_amount, listed_amount, largest_amount) as decimal(18, 2))
        as refund_amount,
    reason,
    -- Whether the goods come back is not said.
    false as is_return_goods,
    'jd_jos' as record_source,
    _batch_id,
    _line,
    _extracted_at
from parsed
