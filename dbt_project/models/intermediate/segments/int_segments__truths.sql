{{ config(meta={'touched_relation': 'int_members__touched', 'touched_key': 'member_key'}) }}

-- Bounds of other comparisons than ages may be far larger than any number of days.
with conditions as (
    select
        *,
        case when comparison = 'age' then low end as low_days,
        case when comparison = 'age' then high end as high_days
    from {{ source('config', 'segment_conditions') }}
    where not is_as_of
),

members as (
    select *
    from {{ ref('dim_members') }}
    where {{ only_touched('member_key', 'int_members__touched') }}
),

identities as (
    select *
    from {{ ref('dim_member_identities') }}
    where {{ only_touched('member_key', 'int_members__touched') }}
),

stage_spans as (
    select *
    from {{ ref('int_members__stage_spans') }}
    where {{ only_touched('member_key', 'int_members__touched') }}
),

purchases as (
    select *
    from {{ ref('int_members__product_purchases') }}
    where {{ only_touched('member_key', 'int_members__touched') }}
),

behaviour as (
    select *
    from {{ ref('mart_member_behaviour') }}
    where {{ only_touched('member_key', 'int_members__touched') }}
),

cells as (
    select * from {{ ref('lifecycle_actions') }}
),

run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

brand_shops as (
    select
        brand,
        min_by(zone, shop) as zone,
        min(first_date) as first_date
    from run_shops
    group by brand
),

orders as (
    select
        identities.member_key,
        identities.brand,
        orders.order_key,
        orders.shop,
        orders.channel,
        orders.store_id,
        orders.currency,
        orders.net_amount,
        orders.paid_date,
        coalesce(orders.void_date, date '9999-12-31') as void_date,
        orders.is_valid_order,
        {{ to_local_date('orders.shipped_at', 'run_shops.zone') }} as shipped_date,
        {{ to_local_date('orders.signed_at', 'run_shops.zone') }} as signed_date
    from {{ ref('fct_orders') }} as orders
    inner join identities
        on orders.customer_key = identities.customer_key
    inner join run_shops
        on
            orders.brand = run_shops.brand
            and orders.platform = run_shops.platform
            and orders.shop = run_shops.shop
    where orders.paid_date is not null and {{ is_countable_order('orders') }}
),

first_spans as (
    select
        member_key,
        min(valid_from) as first_date
    from stage_spans
    group by member_key
),

-- Somebody is known from the first order or the enrolment on; of whoever has neither the shop says
-- so, and nobody since when.
known_members as (
    select
        members.*,
        behaviour.first_order_date,
        {{ to_local_date('members.enrolled_at', 'brand_shops.zone') }} as enrolled_date,
        coalesce(
            least(
                first_spans.first_date,
                {{ to_local_date('members.enrolled_at', 'brand_shops.zone') }}
            ),
            brand_shops.first_date
        ) as known_from
    from members
    inner join brand_shops
        on members.brand = brand_shops.brand
    left join first_spans
        on members.member_key = first_spans.member_key
    left join behaviour
        on members.member_key = behaviour.member_key
),

stage_facts as (
    select
        spans.member_key,
        conditions.condition_id,
        conditions.brand,
        case conditions.field
            when 'count_stage' then spans.count_stage
            when 'activity_stage' then spans.activity_stage
            when 'cell_code' then spans.cell_code
            when 'customer_group' then cells.customer_group
            when 'is_advocate' then case when spans.is_advocate then 'true' else 'false' end
        end as text_value,
        case
            when conditions.field = 'valid_order_count' then spans.valid_order_count
        end as number_value,
        case
            when conditions.field = 'days_since_last_order' then spans.last_valid_order_date
        end as since_date,
        spans.valid_from,
        coalesce(spans.valid_to, date '9999-12-31') as valid_to
    from stage_spans as spans
    inner join known_members
        on spans.member_key = known_members.member_key
    inner join conditions
        on
            known_members.brand = conditions.brand
            and conditions.family = 'stage'
    left join cells
        on spans.cell_code = cells.cell_code
),

profile_facts as (
    select
        known_members.member_key,
        conditions.condition_id,
        conditions.brand,
        case conditions.field
            when 'is_member' then 'true'
            when 'gender' then known_members.gender
            when 'age_band' then known_members.age_band
            when 'province' then known_members.province
            when 'city' then known_members.city
            when 'enrol_source' then known_members.enrol_source
            when 'phone_prefix_era' then eras.era
            when 'email_domain_class' then domains.domain_class
        end as text_value,
        case
            when conditions.field = 'birth_month' then known_members.birth_month
        end as number_value,
        case conditions.field
            when 'days_since_first_order' then known_members.first_order_date
            when 'days_since_enrolled' then known_members.enrolled_date
        end as since_date,
        known_members.known_from as valid_from,
        date '9999-12-31' as valid_to
    from known_members
    inner join conditions
        on
            known_members.brand = conditions.brand
            and conditions.family in ('member', 'profile')
    left join {{ ref('phone_prefix_eras') }} as eras
        on
            substr(known_members.phone_masked, 1, 3) = eras.prefix
            and conditions.field = 'phone_prefix_era'
    left join {{ ref('email_domain_classes') }} as domains
        on
            lower(split_part(known_members.email_masked, '@', 2)) = domains.domain
            and conditions.field = 'email_domain_class'
),

customer_facts as (
    select
        known_members.member_key,
        conditions.condition_id,
        conditions.brand,
        case conditions.field
            when 'platform' then customers.platform
            when 'shop' then customers.shop
        end as text_value,
        cast(null as decimal(28, 8)) as number_value,
        cast(null as date) as since_date,
        known_members.known_from as valid_from,
        date '9999-12-31' as valid_to
    from known_members
    inner join conditions
        on
            known_members.brand = conditions.brand
            and conditions.family = 'customer'
    inner join identities
        on known_members.member_key = identities.member_key
    inner join {{ ref('dim_customers') }} as customers
        on identities.customer_key = customers.customer_key
),

region_facts as (
    select
        known_members.member_key,
        conditions.condition_id,
        conditions.brand,
        events.event as text_value,
        cast(null as decimal(28, 8)) as number_value,
        cast(null as date) as since_date,
        greatest(known_members.known_from, events.from_date) as valid_from,
        {{ add_days('events.to_date', 'coalesce(conditions.within_days, 1)') }} as valid_to
    from known_members
    inner join conditions
        on
            known_members.brand = conditions.brand
            and conditions.family = 'region'
    inner join {{ ref('region_events') }} as events
        on
            starts_with(known_members.province, events.region)
            or starts_with(known_members.city, events.region)
),

purchase_facts as (
    select
        purchases.member_key,
        conditions.condition_id,
        conditions.brand,
        purchases.product_group as text_value,
        cast(null as decimal(28, 8)) as number_value,
        cast(null as date) as since_date,
        purchases.purchase_date as valid_from,
        coalesce(
            {{ add_days('purchases.purchase_date', 'conditions.within_days') }}, date '9999-12-31'
        ) as valid_to
    from purchases
    inner join conditions
        on
            purchases.brand = conditions.brand
            and conditions.family = 'purchase'
),

-- What was given back in full was not bought.
line_facts as (
    select
        orders.member_key,
        conditions.condition_id,
        conditions.brand,
        lines.product_id as text_value,
        cast(null as decimal(28, 8)) as number_value,
        cast(null as date) as since_date,
        orders.paid_date as valid_from,
        coalesce(
            {{ add_days('orders.paid_date', 'conditions.within_days') }}, date '9999-12-31'
        ) as valid_to
    from orders
    inner join conditions
        on
            orders.brand = conditions.brand
            and conditions.family = 'line'
    inner join {{ ref('fct_order_lines') }} as lines
        on orders.order_key = lines.order_key
    where
        orders.is_valid_order
        and (lines.refunded_amount < lines.paid_amount or lines.paid_amount = 0)
),

order_facts as (
    select
        orders.member_key,
        conditions.condition_id,
        conditions.brand,
        case conditions.field
            when 'bought_in_shop' then orders.shop
            when 'bought_in_channel' then orders.channel
            when 'bought_in_store' then orders.store_id
        end as text_value,
        cast(null as decimal(28, 8)) as number_value,
        cast(null as date) as since_date,
        orders.paid_date as valid_from,
        least(
            orders.void_date, {{ add_days('orders.paid_date', 'conditions.within_days') }}
        ) as valid_to
    from orders
    inner join conditions
        on
            orders.brand = conditions.brand
            and conditions.family = 'order'
),

parcels as (
    select
        member_key,
        brand,
        signed_date,
        max({{ days_between('shipped_date', 'signed_date') }}) as logistics_days
    from orders
    where is_valid_order and shipped_date is not null and signed_date is not null
    group by member_key, brand, signed_date
),

parcel_facts as (
    select
        parcels.member_key,
        conditions.condition_id,
        conditions.brand,
        cast(null as varchar) as text_value,
        parcels.logistics_days as number_value,
        cast(null as date) as since_date,
        parcels.signed_date as valid_from,
        coalesce(
            lead(parcels.signed_date) over (
                partition by parcels.member_key, conditions.condition_id
                order by parcels.signed_date asc nulls last
            ),
            date '9999-12-31'
        ) as valid_to
    from parcels
    inner join conditions
        on
            parcels.brand = conditions.brand
            and conditions.family = 'parcel'
),

activity_orders as (
    select orders.order_key
    from orders
    inner join {{ ref('activity_windows') }} as windows
        on
            windows.brand in ('*', orders.brand)
            and orders.paid_date >= windows.from_date
            and orders.paid_date <= windows.to_date
    group by orders.order_key
),

-- What conditions share is summed once: everything over orders of the same last days.
windows as (
    select
        brand,
        within_days,
        currency,
        dense_rank() over (
            order by brand asc nulls last, within_days asc nulls last, currency asc nulls last
        ) as window_no
    from conditions
    where family = 'window'
    group by brand, within_days, currency
),

-- An order counts from its payment until the window or the order itself is over.
counted_orders as (
    select
        orders.member_key,
        windows.window_no,
        orders.paid_date as counted_from,
        least(
            orders.void_date, {{ add_days('orders.paid_date', 'windows.within_days') }}
        ) as counted_to,
        case when orders.currency = windows.currency then 1 else 0 end as currency_count,
        case when orders.currency = windows.currency then orders.net_amount else 0 end
            as net_amount,
        case when activity_orders.order_key is not null then 1 else 0 end as activity_count
    from orders
    inner join windows
        on orders.brand = windows.brand
    left join activity_orders
        on orders.order_key = activity_orders.order_key
),

window_changes as (
    select
        member_key,
        window_no,
        counted_from as change_date,
        1 as order_count,
        currency_count,
        net_amount,
        activity_count
    from counted_orders
    where counted_to > counted_from
    union all
    select
        member_key,
        window_no,
        counted_to as change_date,
        -1 as order_count,
        -currency_count as currency_count,
        -net_amount as net_amount,
        -activity_count as activity_count
    from counted_orders
    where counted_to > counted_from and counted_to < date '9999-12-31'
    union all
    -- None is a number, too.
    select
        known_members.member_key,
        windows.window_no,
        known_members.known_from as change_date,
        0 as order_count,
        0 as currency_count,
        0 as net_amount,
        0 as activity_count
    from known_members
    inner join windows
        on known_members.brand = windows.brand
),

window_days as (
    select
        member_key,
        window_no,
        change_date,
        cast(sum(order_count) as integer) as order_change,
        cast(sum(currency_count) as integer) as currency_change,
        cast(sum(net_amount) as decimal(18, 2)) as net_change,
        cast(sum(activity_count) as integer) as activity_change
    from window_changes
    group by member_key, window_no, change_date
),

window_sums as (
    select
        member_key,
        window_no,
        change_date as valid_from,
        coalesce(
            lead(change_date) over (
                partition by member_key, window_no order by change_date asc nulls last
            ),
            date '9999-12-31'
        ) as valid_to,
        cast(sum(order_change) over until_then as integer) as order_count,
        cast(sum(currency_change) over until_then as integer) as currency_count,
        cast(sum(net_change) over until_then as decimal(18, 2)) as net_amount,
        cast(sum(activity_change) over until_then as integer) as activity_count
    from window_days
    window until_then as (
        partition by member_key, window_no order by change_date asc nulls last
        rows between unbounded preceding and current row
    )
),

window_facts as (
    select
        sums.member_key,
        conditions.condition_id,
        conditions.brand,
        cast(null as varchar) as text_value,
        cast(
            case conditions.field
                when 'order_count' then sums.order_count
                when 'net_amount' then sums.net_amount
                when 'aov_amount' then sums.net_amount / nullif(sums.currency_count, 0)
                when 'activity_order_share' then sums.activity_count / nullif(sums.order_count, 0)
            end as decimal(28, 8)
        ) as number_value,
        cast(null as date) as since_date,
        sums.valid_from,
        sums.valid_to
    from window_sums as sums
    inner join windows
        on sums.window_no = windows.window_no
    inner join conditions
        on
            windows.brand = conditions.brand
            and windows.currency = conditions.currency
            and coalesce(windows.within_days, 0) = coalesce(conditions.within_days, 0)
            and conditions.family = 'window'
),

facts as (
    {%- for family in (
        'stage', 'profile', 'customer', 'region', 'purchase', 'line', 'order', 'parcel', 'window'
    ) %}
        select
            member_key,
            condition_id,
            brand,
            text_value,
            cast(number_value as decimal(28, 8)) as number_value,
            since_date,
            valid_from,
            valid_to
        from {{ family }}_facts
        {{ 'union all' if not loop.last }}
    {%- endfor %}
),

-- Days since a date are days of the calendar: the condition holds from one until another.
held_facts as (
    select
        facts.member_key,
        facts.condition_id,
        greatest(
            facts.valid_from, {{ add_days('facts.since_date', 'conditions.low_days') }}
        ) as valid_from,
        least(
            facts.valid_to, {{ add_days('facts.since_date', 'conditions.high_days + 1') }}
        ) as valid_to
    from facts
    inner join conditions
        on
            facts.condition_id = conditions.condition_id
            and facts.brand = conditions.brand
    where
        {{ condition_holds(
            'conditions', 'facts.text_value', 'facts.number_value', 'facts.since_date'
        ) }}
),

spans as (
    select
        member_key,
        condition_id,
        valid_from,
        valid_to
    from held_facts
    where valid_from < valid_to
)

{{ merged_spans('spans', ['member_key', 'condition_id']) }}
