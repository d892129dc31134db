{#- Rewritten every night: the business date moves, and three days of a shop are few rows. -#}
{{ config(materialized='table') }}

with run as (
    select * from {{ source('ops', 'run') }}
),

run_shops as (
    select * from {{ source('ops', 'run_shops') }}
),

-- The business date and the two days that it is compared with.
days as (
    select
        day_offset,
        {{ add_days('as_of_date', '-day_offset') }} as day_date
    from (
        select
            as_of_date,
            {{ explode(list_of(['0', '1', '2'])) }} as day_offset
        from run
    ) as offsets
),

actions as (
    select * from {{ ref('lifecycle_actions') }}
),

-- Loyal members and fans who have not gone: part of the returning customers.
inner_groups as (
    select
        actions.cell_code,
        stages.count_stage as customer_group
    from actions
    inner join {{ ref('count_stages') }} as stages
        on
            actions.customer_group = 'returning'
            and actions.cell_code in (
                stages.count_stage || '_active', stages.count_stage || '_silent'
            )
    where stages.count_stage in ('loyal', 'fan')
    group by actions.cell_code, stages.count_stage
),

customer_groups as (
    select customer_group from actions
    union
    select customer_group from inner_groups
    union
    select 'total' as customer_group
),

grid as (
    select
        run_shops.brand,
        run_shops.platform,
        run_shops.shop,
        run_shops.currency,
        days.day_offset,
        days.day_date,
        customer_groups.customer_group
    from run_shops
    cross join days
    cross join customer_groups
),

shop_days as (
    select
        shop_daily.brand,
        shop_daily.platform,
        shop_daily.shop,
        shop_daily.day_date,
        shop_daily.customer_group,
        shop_daily.member_count,
        shop_daily.buyer_count,
        shop_daily.buyer_average_amount
    from {{ ref('mart_shop_daily') }} as shop_daily
    inner join days
        on shop_daily.day_date = days.day_date
),

identities as (
    select * from {{ ref('dim_member_identities') }}
),

stays as (
    select
        history.member_key,
        history.cell_code,
        history.activity_stage,
        days.day_date
    from {{ ref('mart_member_lifecycle_history') }} as history
    inner join days
        on
            history.valid_from <= days.day_date
            and coalesce(history.valid_to, date '9999-12-31') > days.day_date
),

inner_members as (
    select
        customers.brand,
        customers.platform,
        customers.shop,
        stays.day_date,
        inner_groups.customer_group,
        count(distinct stays.member_key) as member_count
    from stays
    inner join inner_groups
        on stays.cell_code = inner_groups.cell_code
    inner join identities
        on stays.member_key = identities.member_key
    inner join {{ ref('dim_customers') }} as customers
        on
            identities.customer_key = customers.customer_key
            and stays.day_date >= customers.first_order_date
    group by
        customers.brand, customers.platform, customers.shop, stays.day_date,
        inner_groups.customer_group
),

-- By what the buyer was the day before, as in mart_shop_daily.
inner_orders as (
    select
        orders.brand,
        orders.platform,
        orders.shop,
        orders.paid_date as day_date,
        inner_groups.customer_group,
        count(distinct identities.member_key) as buyer_count,
        sum(orders.paid_amount) filter (where orders.currency = run_shops.currency)
            as paid_amount
    from {{ ref('fct_orders') }} as orders
    inner join days
        on orders.paid_date = days.day_date
    inner join run_shops
        on
            orders.brand = run_shops.brand
            and orders.platform = run_shops.platform
            and orders.shop = run_shops.shop
    inner join identities
        on orders.customer_key = identities.customer_key
    inner join {{ ref('int_members__stage_spans') }} as spans
        on
            identities.member_key = spans.member_key
            and orders.paid_date = spans.valid_from
    inner join inner_groups
        on spans.previous_cell_code = inner_groups.cell_code
    where
        orders.is_paid
        and {{ is_countable_order('orders') }}
    group by
        orders.brand, orders.platform, orders.shop, orders.paid_date, inner_groups.customer_group
),

traffic as (
    select traffic.*
    from {{ ref('mart_shop_traffic_daily') }} as traffic
    inner join days
        on traffic.day_date = days.day_date
),

grouped as (
    select
        grid.*,
        coalesce(shop_days.member_count, inner_members.member_count, 0) as member_count,
        -- The total is the greatest of them.
        max(coalesce(shop_days.member_count, 0)) over (
            partition by grid.brand, grid.platform, grid.shop, grid.day_offset
        ) as all_member_count,
        coalesce(
            shop_days.buyer_average_amount,
            cast(
                inner_orders.paid_amount / nullif(inner_orders.buyer_count, 0) as decimal(18, 2)
            )
        ) as buyer_average_amount,
        case grid.customer_group
            when 'total' then traffic.visitor_count
            when 'new' then traffic.new_visitor_count
            when 'returning' then traffic.returning_visitor_count
        end as visitor_count,
        case grid.customer_group
            when 'total' then traffic.conversion_rate
            when 'new' then traffic.new_conversion_rate
            when 'returning' then traffic.returning_conversion_rate
        end as conversion_rate,
        case
            when grid.customer_group not in ('total', 'new', 'returning')
                then 'needs_identified_visits'
            when traffic.told_by is null then 'no_traffic_delivered'
            else coalesce(traffic.traffic_gap_reason, 'no_visitors')
        end as visit_gap_reason
    from grid
    left join shop_days
        on
            grid.brand = shop_days.brand
            and grid.platform = shop_days.platform
            and grid.shop = shop_days.shop
            and grid.day_date = shop_days.day_date
            and grid.customer_group = shop_days.customer_group
    left join inner_members
        on
            grid.brand = inner_members.brand
            and grid.platform = inner_members.platform
            and grid.shop = inner_members.shop
            and grid.day_date = inner_members.day_date
            and grid.customer_group = inner_members.customer_group
    left join inner_orders
        on
            grid.brand = inner_orders.brand
            and grid.platform = inner_orders.platform
            and grid.shop = inner_orders.shop
            and grid.day_date = inner_orders.day_date
            and grid.customer_group = inner_orders.customer_group
    left join traffic
        on
            grid.brand = traffic.brand
            and grid.platform = traffic.platform
            and grid.shop = traffic.shop
            and grid.day_date = traffic.day_date
),

-- A record without a date has always been there.
enrolments as (
    select
        profiles.member_key,
        profiles.brand,
        profiles.platform,
        profiles.shop,
        coalesce(
            {{ to_local_date('profiles.enrolled_at', 'run_shops.zone') }}, date '1970-01-01'
        ) as from_date
    from {{ ref('int_members__profiles') }} as profiles
    inner join run_shops
        on
            profiles.brand = run_shops.brand
            and profiles.platform = run_shops.platform
            and profiles.shop = run_shops.shop
),

enrolled as (
    select
        enrolments.brand,
        enrolments.platform,
        enrolments.shop,
        days.day_date,
        count(distinct enrolments.member_key) filter (where enrolments.from_date <= days.day_date)
            as enrolled_count,
        count(distinct enrolments.member_key) filter (
            where enrolments.from_date <= days.day_date and stays.activity_stage = 'active'
        ) as active_count,
        count(distinct enrolments.member_key) filter (
            where enrolments.from_date <= days.day_date and actions.customer_group = 'dormant_lost'
        ) as dormant_count
    from enrolments
    cross join days
    left join stays
        on
            enrolments.member_key = stays.member_key
            and days.day_date = stays.day_date
    left join actions
        on stays.cell_code = actions.cell_code
    group by enrolments.brand, enrolments.platform, enrolments.shop, days.day_date
),

tags as (
    select
        tags.brand,
        tags.platform,
        tags.shop,
        tags.tag,
        identities.member_key,
        coalesce({{ to_local_date('tags.tagged_at', 'run_shops.zone') }}, date '1970-01-01')
            as from_date,
        coalesce({{ to_local_date('tags.removed_at', 'run_shops.zone') }}, date '9999-12-31')
            as to_date
    from {{ ref('int_customers__tags') }} as tags
    inner join run_shops
        on
            tags.brand = run_shops.brand
            and tags.platform = run_shops.platform
            and tags.shop = run_shops.shop
    inner join identities
        on tags.customer_key = identities.customer_key
),

tagged as (
    select
        tags.brand,
        tags.platform,
        tags.shop,
        days.day_date,
        count(distinct tags.tag) filter (
            where tags.from_date <= days.day_date and tags.to_date > days.day_date
        ) as tag_count,
        count(distinct tags.member_key) filter (
            where tags.from_date <= days.day_date and tags.to_date > days.day_date
        ) as tagged_count
    from tags
    cross join days
    group by tags.brand, tags.platform, tags.shop, days.day_date
),

followers as (
    select
        interactions.brand,
        interactions.platform,
        interactions.shop,
        days.day_date,
        count(distinct identities.member_key) filter (
            where
            interactions.kind = 'follow'
            and {{ to_local_date('interactions.occurred_at', 'run_shops.zone') }} <= days.day_date
        ) as follower_count
    from {{ ref('int_customers__interactions') }} as interactions
    inner join run_shops
        on
            interactions.brand = run_shops.brand
            and interactions.platform = run_shops.platform
            and interactions.shop = run_shops.shop
    inner join identities
        on interactions.customer_key = identities.customer_key
    cross join days
    group by interactions.brand, interactions.platform, interactions.shop, days.day_date
),

shop_figures as (
    select
        grid.*,
        enrolled.enrolled_count,
        enrolled.active_count,
        enrolled.dormant_count,
        tagged.tag_count,
        tagged.tagged_count,
        followers.follower_count
    from grid
    left join enrolled
        on
            grid.brand = enrolled.brand
            and grid.platform = enrolled.platform
            and grid.shop = enrolled.shop
            and grid.day_date = enrolled.day_date
    left join tagged
        on
            grid.brand = tagged.brand
            and grid.platform = tagged.platform
            and grid.shop = tagged.shop
            and grid.day_date = tagged.day_date
    left join followers
        on
            grid.brand = followers.brand
            and grid.platform = followers.platform
            and grid.shop = followers.shop
            and grid.day_date = followers.day_date
    where grid.customer_group = 'total'
),

figures as (
    {%- for figure, value, unit, reason in [
        ('member_count', 'member_count', 'members', 'cast(null as varchar)'),
        (
            'member_share',
            'cast(member_count as double) / nullif(all_member_count, 0)',
            'share',
            "'no_members'",
        ),
        ('buyer_average_amount', 'buyer_average_amount', 'amount', "'no_buyers'"),
        ('visitor_count', 'visitor_count', 'visitors', 'visit_gap_reason'),
        ('conversion_rate', 'conversion_rate', 'share', 'visit_gap_reason'),
    ] %}
        select
            brand,
            platform,
            shop,
            currency,
            day_offset,
            day_date,
            customer_group,
            '{{ figure }}' as figure,
            '{{ unit }}' as unit,
            cast({{ value }} as decimal(18, 6)) as value,
            {{ reason }} as gap_reason
        from grouped
        union all
    {%- endfor %}
    {%- for figure, unit, reason in [
        ('enrolled_count', 'members', 'no_member_records_delivered'),
        ('active_count', 'members', 'no_member_records_delivered'),
        ('dormant_count', 'members', 'no_member_records_delivered'),
        ('tag_count', 'tags', 'no_tags_delivered'),
        ('tagged_count', 'members', 'no_tags_delivered'),
        ('follower_count', 'members', 'no_interactions_delivered'),
    ] %}
        select
            brand,
            platform,
            shop,
            currency,
            day_offset,
            day_date,
            customer_group,
            '{{ figure }}' as figure,
            '{{ unit }}' as unit,
            cast({{ figure }} as decimal(18, 6)) as value,
            '{{ reason }}' as gap_reason
        from shop_figures
        {{ 'union all' if not loop.last }}
    {%- endfor %}
),

compared as (
    select
        brand,
        platform,
        shop,
        currency,
        customer_group,
        figure,
        unit,
        max(day_date) as day_date,
        max(value) filter (where day_offset = 0) as value,
        max(value) filter (where day_offset = 1) as day_before_value,
        max(value) filter (where day_offset = 2) as two_days_before_value,
        max(gap_reason) filter (where day_offset = 0 and value is null) as value_gap_reason
    from figures
    group by brand, platform, shop, currency, customer_group, figure, unit
),

-- How files of averages name these figures: as business_daily does, or as we do.
industry_names as (
    {%- for group, figure, name in [
        ('total', 'visitor_count', 'visitors'),
        ('total', 'buyer_average_amount', 'spend_per_buyer_amount'),
        ('new', 'visitor_count', 'new_visitors'),
        ('returning', 'visitor_count', 'returning_visitors'),
    ] %}
        select
            '{{ group }}' as customer_group,
            '{{ figure }}' as figure,
            '{{ name }}' as industry_figure
        union all
    {%- endfor %}
    select
        customer_group,
        figure,
        case when customer_group = 'total' then figure else customer_group || '_' || figure end
            as industry_figure
    from compared
    group by customer_group, figure
),

-- Averages are often a day late: the newest of the three days. One of all categories is preferred;
-- of several nobody can tell which one is the shop's.
industry as (
    select
        averages.brand,
        averages.platform,
        averages.shop,
        names.customer_group,
        names.figure,
        averages.day_date as industry_date,
        count(distinct averages.category) as category_count,
        count(*) filter (where averages.category = 'all') as overall_count,
        min_by(averages.category, averages.figure) as only_category,
        min_by(averages.industry_average, averages.figure) as only_average,
        min_by(averages.industry_average, averages.figure) filter (
            where averages.category = 'all'
        ) as overall_average
    from {{ ref('mart_shop_industry_daily') }} as averages
    inner join days
        on averages.day_date = days.day_date
    inner join industry_names as names
        on averages.figure = names.industry_figure
    group by
        averages.brand, averages.platform, averages.shop, names.customer_group, names.figure,
        averages.day_date
    qualify
        row_number() over (
            partition by
                averages.brand, averages.platform, averages.shop, names.customer_group, names.figure
            order by averages.day_date desc nulls last
        ) = 1
)

select
    compared.brand,
    compared.platform,
    compared.shop,
    compared.day_date,
    compared.customer_group,
    compared.figure,
    compared.unit,
    compared.currency,
    compared.value,
    compared.day_before_value,
    compared.two_days_before_value,
    compared.value_gap_reason,
    industry.industry_date,
    case
        when industry.overall_count > 0 then 'all'
        when industry.category_count = 1 then industry.only_category
    end as industry_category,
    cast(
        case
            when industry.overall_count > 0 then industry.overall_average
            when industry.category_count = 1 then industry.only_average
        end as decimal(18, 4)
    ) as industry_average,
    case
        when industry.industry_date is null then 'no_average_delivered'
        when industry.overall_count = 0 and industry.category_count > 1 then 'several_categories'
    end as industry_gap_reason
from compared
left join industry
    on
        compared.brand = industry.brand
        and compared.platform = industry.platform
        and compared.shop = industry.shop
        and compared.customer_group = industry.customer_group
        and compared.figure = industry.figure
